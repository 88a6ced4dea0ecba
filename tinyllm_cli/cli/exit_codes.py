"""Exit codes: what each means, by command. The reference of commands is generated from this."""

from __future__ import annotations

from collections.abc import Mapping

COMMON: Mapping[int, str] = {
    0: "Success.",
    1: "An error in a file, disk, network or database, a model that can't be loaded, or a defect of tinyllm.",
    2: "The command, an option or a setting is invalid. Nothing was done.",
    130: "Stopped with Ctrl-C. Finished work is stored; the same command resumes.",
}
"""Codes of every command."""

_BUSY = "Another process {}. Run the command again later."
OWN: Mapping[str, Mapping[int, str]] = {
    "import": {1: "No row of a teacher's file could be used, or a file can't be read."},
    "elicit": {1: "No request returned a rationale."},
    "audit": {1: "With `--strict`: a check reports an error."},
    "distill": {1: "The training diverged, or its loss is not finite.", 75: _BUSY.format("trains this run")},
    "predict": {
        1: "With `--file`: rows were skipped. The other rows are answered.",
        75: _BUSY.format("writes to the same `--out`"),
    },
    "export": {1: "The export's answers differ from the student's.", 75: _BUSY.format("exports to the same `--out`")},
    "experiment": {1: "A run or an evaluation failed. The others are finished.", 75: _BUSY.format("runs this plan")},
}
"""What a code means in addition, by command."""


def exit_codes(command: str) -> list[tuple[int, str]]:
    """The codes of a command with their meanings, in order."""
    own = OWN.get(command, {})
    return [(code, " ".join(filter(None, [COMMON.get(code), own.get(code)]))) for code in sorted({*COMMON, *own})]
