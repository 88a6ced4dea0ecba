"""The terminal: results on stdout, everything else on stderr, progress as bars or as plain lines.

Nothing that comes from a teacher or a file is ever read as markup.
"""

from __future__ import annotations

import json as jsonlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tinyllm_cli.cli.views import log
from tinyllm_cli.cli.views.progress import ProgressLines
from tinyllm_cli.errors import at_place
from tinyllm_cli.events import Event, Finished, Notice, OnEvent
from tinyllm_cli.terminal import REORDERING, LongTable, fit, printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_PROSE = 100
"""Columns of the text below a table."""


class Meter(Protocol):
    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Show `done` of `total` (0: unknown), and `detail` at the end of the line."""


@dataclass
class Console:
    json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """A line of the result."""
        if not self.json:
            self._print(text, error=False)

    def show(self, renderable: RenderableType | LongTable) -> None:
        """A table or the like, as part of the result."""
        from rich.table import Table

        if self.json:
            return
        console = self._rich(error=False)
        if not isinstance(renderable, (Table, LongTable)):
            console.print(renderable)
            return
        outline = renderable.outline(console.width) if isinstance(renderable, LongTable) else None
        table = outline or (renderable.table() if isinstance(renderable, LongTable) else renderable)
        title, caption = table.title, table.caption
        table.title = table.caption = None  # Rich breaks them at the table's width, not the terminal's
        console.width = fit(table, console.width)
        if title:
            console.print(title)
        if outline is not None and isinstance(renderable, LongTable):
            _print_long(console, renderable, outline)
        else:
            console.print(table)
        if caption:
            console.print(caption, "", sep="\n", width=min(console.width, _PROSE))

    def result(self, value: Any) -> None:
        """The result, a mapping or a dataclass, as one JSON object under --json."""
        if self.json:
            plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            text = jsonlib.dumps(plain, ensure_ascii=False, indent=2, default=str)
            # JSON escapes the control characters below 32 only; others steer some terminals as well.
            sys.stdout.write(re.sub(f"[\x7f-\x9f{REORDERING}]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")

    def note(self, text: str) -> None:
        """What a person may want to know and a program doesn't."""
        if not self.quiet:
            self._log("info", "notice", text)

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where there is none."""
        return int(self._rich(error=False).width)

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask for yes or no, on stderr; anything but yes is no."""
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask(self, prompt: str) -> str:
        """A line that somebody types, after a prompt on stderr; empty at the end of input."""
        sys.stderr.write(prompt)
        sys.stderr.flush()
        return sys.stdin.readline().strip()

    def next(self, command: str) -> None:
        """What to do now: a command, several joined by ", or ", or words."""
        if not self.quiet:
            ways = (at_place(way) if way.startswith("tinyllm ") else way for way in command.split(", or "))
            self._log("info", "next", ", or ".join(ways), before="Next: ")

    def warn(self, message: str, hint: str = "") -> None:
        """What is wrong and doesn't stop the command; said even when quiet."""
        self._log("warning", "warning", message, hint, before="Warning: ")

    def error(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        """Why the command ends. Under --json the last line of stderr is an object with error, hint and exit_code."""
        found = {"error": message, "hint": hint, "exit_code": exit_code}
        if log.structured():
            log.write("error", "error", **found)
        elif self.json:
            sys.stderr.write(printable(jsonlib.dumps(found, ensure_ascii=False)) + "\n")
        else:
            self._log("error", "error", message, hint, before="Error: ")

    def trace(self, traceback: str) -> None:
        """Where an error happened, for --debug."""
        if log.structured():
            log.write("debug", "traceback", traceback=traceback)
        else:
            sys.stderr.write(printable(traceback))

    @contextmanager
    def meter(self, label: str) -> Iterator[Meter]:
        """Progress with rate and time left: a bar on a terminal, a line every ten seconds elsewhere and with
        TINYLLM_LOG=json."""
        if self.quiet:
            yield lambda done, total, detail="": None
        elif sys.stderr.isatty() and not log.structured():
            with self._bar(label) as bar:
                yield bar
        else:
            yield ProgressLines(label)

    @contextmanager
    def events(self, show_part: Callable[[object], None] | None = None) -> Iterator[OnEvent]:
        """A callback for a stage's events: a meter for each label of progress, notices and warnings as they come, and
        `show_part` for parts of the result."""
        with ExitStack() as stack:
            meter: Meter | None = None
            label: str | None = None

            def show(event: Event) -> None:
                nonlocal meter, label
                if isinstance(event, Finished):
                    stack.close()
                    label = meter = None
                    if show_part is not None:
                        show_part(event.value)
                    return
                if isinstance(event, Notice):
                    if event.warning:
                        self.warn(event.message, event.hint)
                    else:
                        self.note(event.message + (f" {event.hint}" if event.hint else ""))
                    return
                if meter is None or event.label != label:
                    stack.close()
                    label, meter = event.label, stack.enter_context(self.meter(event.label))
                meter(event.done, event.total, event.detail)

            yield show

    @contextmanager
    def _bar(self, label: str) -> Iterator[Meter]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
        )
        with Progress(*columns, console=self._rich(error=True), transient=True) as progress:
            task = progress.add_task(printable(label), total=None, detail="", rate="")

            def update(done: int, total: int, detail: str = "") -> None:
                speed = progress.tasks[0].speed
                rate = f"{speed:.1f}/s" if speed else ""
                progress.update(task, completed=done, total=total or None, detail=printable(detail), rate=rate)

            yield update

    def _log(self, level: log.Level, event: str, message: str, hint: str = "", *, before: str = "") -> None:
        """A message on stderr: as text, or with TINYLLM_LOG=json as an object."""
        if log.structured():
            log.write(level, event, message=message, hint=hint)
            return
        self._print(before + message, error=True)
        if hint:
            self._print(hint, error=True)

    def _print(self, text: str, *, error: bool) -> None:
        self._rich(error=error).print(printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    @staticmethod
    def _rich(*, error: bool) -> Any:
        from rich.console import Console as RichConsole

        return RichConsole(stderr=error)


def _print_long(console: Any, long: LongTable, outline: Table) -> None:
    """Print the rows as Rich does, in a fraction of its time, below the heading of `outline`."""
    with console.capture() as captured:
        console.print(outline)
    *head, _row, bottom = captured.get().splitlines()
    rows = long.lines([column.width or 0 for column in outline.columns])
    console.file.writelines(f"{line}\n" for line in (*head, *rows, bottom))
