"""The interface of a student: it encodes tasks, gives logits for target tokens, ranks options and writes text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.inputs import ANSWER, Segment, Task

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label of padding, as everywhere in Hugging Face's code."""

READ_BUDGET, READ_BUDGET_OF_A_GPU = 1000, 32_000
"""Padded input tokens that are read in one forward pass. On a CPU, what larger passes compute outgrows its caches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Longest input and target in tokens. What is longer is cut at its end and counted."""

    input: int = 1024
    target: int = 256

    @classmethod
    def of(cls, settings: TrainSettings) -> Limits:
        """The limits of a training with these settings."""
        return cls(input=settings.max_input, target=settings.max_target)

    def within(self, window: int | None, *, shared: bool) -> Limits:
        """At most what a model with `window` positions can read. `shared`: the target follows the input."""
        if window is None:
            return self
        target = min(self.target, max(window // 2, window - self.input) if shared else window)
        return Limits(input=min(self.input, window - target if shared else window), target=target)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A segment of a target, in tokens. `length` is their number: what its loss is averaged over."""

    name: str
    length: int
    weight: float = 1.0
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A task as token ids. `spans` divide `target`, which ends in the end-of-sequence token unless it was cut."""

    input: tuple[int, ...]
    target: tuple[int, ...]
    spans: tuple[Span, ...]
    input_cut: bool = False
    target_cut: bool = False

    @classmethod
    def single(
        cls, name: str, input: tuple[int, ...], target: tuple[int, ...], *, weight: float = 1.0, share: float = 1.0
    ) -> Example:
        """An example with one span."""
        span = Span(name=name, length=len(target), weight=weight, share=share)
        return cls(input=input, target=target, spans=(span,))

    @property
    def length(self) -> int:
        """Target tokens."""
        return len(self.target)

    @property
    def size(self) -> int:
        """Tokens that a batch has to hold for this example."""
        return len(self.input) + len(self.target)


class Ranker(Protocol):
    """Ranks options: a student, or an export of one. Batches are lists of any lengths, which it pads itself."""

    tokenizer: Any

    def encode(self, tasks: Sequence[Task], limits: Limits) -> list[Example]:
        """Token ids of inputs and targets; what exceeds the limits is cut and marked."""
        ...

    def option_scores(
        self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Mean log-likelihood (nats per token) of each option after its input."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """How to sample texts: `seeds` has one for each input, so that a text does not depend on the others."""

    temperature: float
    seeds: Sequence[int]


class Writer(Ranker, Protocol):
    """Writes text as well."""

    def generate(
        self, inputs: Sequence[Sequence[int]], max_new_tokens: int, sampled: Sampled | None = None
    ) -> list[str]:
        """Continuations as text, without special tokens; greedy ones, unless `sampled`."""
        ...


class Packing(Protocol):
    """How the sequences of a batch become one row of tokens, in which attention stays within a sequence."""

    @property
    def longest_check(self) -> int:
        """Tokens of the longest sequence that packing is checked with. A model with a longer attention window is
        padded."""
        ...

    @property
    def checks_gradients(self) -> bool:
        """Whether its gradients too are to be compared with the padded ones before it is used."""
        ...

    def padded(self, tokens: int) -> int:
        """The length of the row of so many tokens."""
        ...

    def row(self, model: Any, inputs: Sequence[int], targets: Sequence[int]) -> Any:
        """The argument `pack` of the model's next forward pass, over sequences of these lengths. For a causal model
        `inputs` is empty."""
        ...

    def active(self, model: Any) -> AbstractContextManager[None]:
        """Within, the model reads such rows."""
        ...


class Student(Writer, Protocol):
    """A loaded student, which can be trained."""

    @property
    def kind(self) -> Literal["seq2seq", "causal"]: ...

    model: Any
    device: str

    def target_logits(self, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, T, vocabulary) for the target positions alone, and labels (batch, T) with IGNORED padding."""
        ...

    def packed_outputs(self, batch: Sequence[Example], packing: Packing) -> torch.Tensor:
        """Logits (tokens, vocabulary) of all target tokens, example after example, computed from one row. To be called
        within `packing.active`."""
        ...


def read_budget(device: str) -> int:
    return READ_BUDGET if device == "cpu" else READ_BUDGET_OF_A_GPU


Sized = TypeVar("Sized")


def by_budget(items: Sequence[Sized], sizes: Sequence[int], budget: int) -> Iterator[list[Sized]]:
    """Groups of items of similar size whose padded total (count times the longest) stays within `budget`.

    An item over the budget makes a group of its own. Longest first, so that memory peaks at the beginning."""
    order = sorted(range(len(items)), key=lambda index: -sizes[index])
    group: list[Sized] = []
    longest = 0
    for index in order:
        if group and longest * (len(group) + 1) > budget:
            yield group
            group = []
        if not group:
            longest = sizes[index]
        group.append(items[index])
    if group:
        yield group


def by_tokens(items: Sequence[Sized], sizes: Sequence[int], budget: int) -> Iterator[list[Sized]]:
    """Groups of items of similar size whose own sizes add up to `budget` at most. Longest first."""
    group: list[Sized] = []
    total = 0
    for index in sorted(range(len(items)), key=lambda index: -sizes[index]):
        if group and total + sizes[index] > budget:
            yield group
            group, total = [], 0
        group.append(items[index])
        total += sizes[index]
    if group:
        yield group


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedTarget:
    """The token ids of a target, and the spans that its segments became; `cut`: at least one lost its end."""

    ids: tuple[int, ...]
    spans: tuple[Span, ...]
    cut: bool


def encode_target(tokenizer: Any, segments: Sequence[Segment], limit: int, *, before: str = "") -> EncodedTarget:
    """The segments and the end-of-sequence token, in `limit` tokens; `before` precedes the first text.

    What does not fit is cut at the end of a segment, and an answer is cut last: after a truncated rationale it is
    whole. Where the last segment is cut, the end-of-sequence token is left out, so that the student does not learn to
    stop in mid-sentence. A segment without any room is left out."""
    texts = [before * (number == 0) + segment.text for number, segment in enumerate(segments)]
    whole: list[list[int]] = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    whole[-1] = [*whole[-1], tokenizer.eos_token_id]
    order = sorted(range(len(segments)), key=lambda number: segments[number].name != ANSWER)
    room, kept = limit, [0] * len(segments)
    for number in order:
        kept[number] = min(room, len(whole[number]))
        room -= kept[number]
    return EncodedTarget(
        ids=tuple(token for ids, count in zip(whole, kept, strict=True) for token in ids[:count]),
        spans=tuple(
            Span(name=segment.name, length=count, weight=segment.weight, share=segment.share)
            for segment, count in zip(segments, kept, strict=True)
            if count
        ),
        cut=any(count < len(ids) for ids, count in zip(whole, kept, strict=True)),
    )


def pad_multiple(device: str) -> int:
    """What the lengths of padded rows in training are multiples of. On a GPU few different shapes are faster: for each
    new one memory is allocated and a kernel is chosen."""
    return 1 if device == "cpu" else 16


def pad(rows: Sequence[Sequence[int]], value: int, *, left: bool, device: str, pad_multiple: int = 1) -> torch.Tensor:
    """Rows of ids as one (rows, longest) tensor, longest being rounded up to a multiple of `pad_multiple`."""
    longest = -(-max(map(len, rows)) // pad_multiple) * pad_multiple
    gap = [[value] * (longest - len(row)) for row in rows]
    filled = [[*g, *row] if left else [*row, *g] for row, g in zip(rows, gap, strict=True)]
    return sent(filled, device)


def one_row(rows: Sequence[Sequence[int]], device: str, padded: Callable[[int], int]) -> torch.Tensor:
    """Rows of ids end to end, and zeros up to the length that `padded` gives: (1, that length)."""
    tokens = [token for row in rows for token in row]
    return sent([tokens + [0] * (padded(len(tokens)) - len(tokens))], device)


def sent(values: Any, device: str) -> torch.Tensor:
    """Numbers as a tensor. A GPU gets them while the program continues; the plain way waits until it has done all that
    was launched before."""
    import torch

    made = torch.tensor(values)
    return made.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else made.to(device)


def mask(rows: Sequence[Sequence[int]], *, left: bool, device: str, pad_multiple: int = 1) -> torch.Tensor:
    """1 where `pad` put a row's own ids."""
    return pad([[1] * len(row) for row in rows], 0, left=left, device=device, pad_multiple=pad_multiple)
