"""A command imports its own module alone, and the list of commands says what their help says."""

from __future__ import annotations

import inspect

from typer.testing import CliRunner

from tinyllm_cli.cli import app, app_for
from tinyllm_cli.cli.commands import COMMANDS, listing


def test_the_summaries_are_those_of_the_commands() -> None:
    for name, command in COMMANDS.items():
        text = inspect.getdoc(command.load())
        assert text is not None
        assert " ".join(text.split("\n\n")[0].split()) == command.summary, name


def test_the_list_of_commands_is_the_help_of_the_whole_app() -> None:
    whole = CliRunner().invoke(app, ["--help"], prog_name="tinyllm").output
    assert CliRunner().invoke(listing(), ["--help"], prog_name="tinyllm").output == whole


def test_a_named_command_is_made_alone_and_an_unknown_one_is_looked_for_among_all() -> None:
    assert [one.name for one in app_for(["gate", "--help"]).registered_commands] == ["gate"]
    assert {one.name for one in app_for(["gat"]).registered_commands} == set(COMMANDS)
    assert {one.name for one in app_for(["--help"]).registered_commands} == set(COMMANDS)
