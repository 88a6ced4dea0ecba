"""Draw docs/terminal.svg: run a command in a terminal of 92 columns and draw its output, or parts of it.

.venv/bin/python docs/picture.py --part "Finding" "Data sets" tinyllm report --db demo/tinyllm.db
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 92


def output_of(command: list[str]) -> str:
    """What `command` prints to a terminal, colours included."""
    os.environ["COLUMNS"] = str(WIDTH)
    os.environ["TERM"] = "xterm-256color"
    chunks: list[bytes] = []

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        chunks.append(data)
        return data

    pty.spawn(command, read)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def part(shown: str, begin: str, end: str) -> str:
    """The lines from the first that contains `begin` up to the next that contains `end`."""
    lines = shown.splitlines()
    first = next(number for number, line in enumerate(lines) if begin in line)
    last = next(number for number, line in enumerate(lines) if number > first and end in line)
    return "\n".join(lines[first:last])


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw docs/terminal.svg.")
    parser.add_argument("--part", nargs=2, action="append", metavar=("BEGIN", "END"), default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    command: list[str] = given.command
    shown = output_of(command)
    if given.part:
        shown = "…\n" + "…\n".join(f"{part(shown, begin, end).rstrip()}\n" for begin, end in given.part) + "…"
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(
        f"[bold]$ {' '.join(word for word in command if word != '--db' and not word.endswith('.db'))}[/bold]\n"
    )
    console.print(Text.from_ansi(shown))
    # Rich's fonts load from the network: use the viewer's monospaced font instead.
    (Path(__file__).parent / "terminal.svg").write_text(
        _without_fonts(console.export_svg(title="tinyllm")), encoding="utf-8"
    )


def _without_fonts(svg: str) -> str:
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


if __name__ == "__main__":
    main()
