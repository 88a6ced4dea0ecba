"""Draw docs/terminal.svg: run a real command in a terminal of 92 columns and keep what it printed.

.venv/bin/python docs/picture.py tinyllm report --db demo/tinyllm.db
"""

from __future__ import annotations

import io
import os
import pty
import re
import sys
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


def main() -> None:
    command = sys.argv[1:]
    shown = output_of(command)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(
        f"[bold]$ {' '.join(word for word in command if word != '--db' and not word.endswith('.db'))}[/bold]\n"
    )
    console.print(Text.from_ansi(shown), soft_wrap=True)
    # The fonts that Rich names come from a network; any monospaced one will do.
    (Path(__file__).parent / "terminal.svg").write_text(
        _without_fonts(console.export_svg(title="tinyllm")), encoding="utf-8"
    )


def _without_fonts(svg: str) -> str:
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


if __name__ == "__main__":
    main()
