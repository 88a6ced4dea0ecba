"""Run the commands of docs/tutorial.md in order, in an empty folder, and write their output below them.

A block `sh` holds one command; the block `text` after it is its output, which this script writes. A comment with the
name of a file in docs/tutorial/ is followed by the file's content. Progress is left out, and a long output is cut.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent / "tutorial.md"
FILES = Path(__file__).parent / "tutorial"
_COMMAND = re.compile(r"^```sh\n(tinyllm [^\n]+)\n```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^<!-- ([\w.]+) -->\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
_PROGRESS = re.compile(r"^[^│]*: \d+/\d+(?:,.*)?$")
_LONGEST = 30  # lines


def commands(page: str) -> list[str]:
    """The commands of the page, in order."""
    return [found[1] for found in _COMMAND.finditer(page)]


def run(command: str, folder: Path) -> tuple[int, str]:
    """The exit code of a command and what it prints, with paths in `folder` as in the reader's own folder."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    for name in ("TINYLLM_DB", "TINYLLM_CONFIG", "TINYLLM_LOG", "FORCE_COLOR"):
        environment.pop(name, None)
    words = [sys.executable, "-m", "tinyllm_cli", *shlex.split(command)[1:]]
    done = subprocess.run(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, shown_output(done.stdout.replace(f"{folder.resolve()}/", ""))


def shown_output(printed: str) -> str:
    """An output as the page shows it."""
    lines = [line.rstrip() for line in printed.strip("\n").splitlines() if not _PROGRESS.match(line)]
    return "\n".join(lines if len(lines) <= _LONGEST else [*lines[: _LONGEST - 5], "...", *lines[-2:]])


def with_files(page: str) -> str:
    """The page with the current content of the files it shows."""

    def shown(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n\n```text\n{(FILES / found[1]).read_text(encoding='utf-8')}```\n"

    return _FILE.sub(shown, page)


def main(folder: Path) -> int:
    """Run everything in `folder`. The page is written when every command has succeeded."""
    page = with_files(PAGE.read_text(encoding="utf-8"))
    for path in FILES.iterdir():
        shutil.copy(path, folder)
    outputs: dict[str, str] = {}
    for command in commands(page):
        sys.stderr.write(f"$ {command}\n")
        code, outputs[command] = run(command, folder)
        sys.stderr.write(outputs[command] + "\n")
        if code:
            return code
    made = _COMMAND.sub(lambda found: f"```sh\n{found[1]}\n```\n\n```text\n{outputs[found[1]]}\n```\n", page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as new:
        sys.exit(main(Path(new)))
