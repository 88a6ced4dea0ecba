"""What one teacher's rationales for a split are worth, before anybody learns from them: how many there are, what the
gates leave of them, how long they are for a student, what they cost.

Reads them once, as a stream. What several teachers have in common is `likeness`' business.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from tinyllm_cli.rationales.gates import Verdict
from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.records.elicitation import TEMPLATE, Rationale, RationaleSet, Recipe
from tinyllm_cli.store import Store

_PAGE = 500


Lengths = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each target, for one student."""


@dataclass(frozen=True, kw_only=True)
class TeacherQuality:
    """One teacher's rationales for one split, asked in the way that `distill` would learn from."""

    dataset: str
    split: str
    teacher: str
    model: str
    recipe: str
    saw_answers: bool
    questions: int
    """In the split. `covered` have a rationale, `usable` one that is left by the gates, `failed` were asked in vain."""

    covered: int
    usable: int
    failed: int
    rationales: int
    samples: int
    """Rationales of the question that has most."""

    kept: int
    repaired: int
    rejected: int
    gates: Mapping[str, int]
    """How many rationales each gate found something in, and in `against`, how many it rejected for that."""

    against: Mapping[str, int]

    characters: float | None
    """Mean length of what is left; `tokens` the same by the student's tokenizer."""

    tokens: float | None
    longest: int | None
    targets_cut: int | None
    """Texts longer than the student's limit."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    partly: bool
    """The cost is at least this: some of it is unknown."""

    mend: str | None
    """The command that asks for what is missing; None where a recording is all there is."""

    @property
    def missing(self) -> int:
        return self.questions - self.covered

    @property
    def wanted(self) -> int:
        """Rationales if each question that has one had as many samples as any."""
        return self.covered * self.samples


def chosen_variants(store: Store, dataset: str, split: str) -> list[RationaleSet]:
    """The way of asking each teacher that `distill` would learn from."""
    known = store.rationales.variants(dataset, split)
    return [best_covered(known, teacher, dataset) for teacher in sorted({variant.teacher for variant in known})]


def quality(
    store: Store, dataset: str, split: str, variant: RationaleSet, questions: int,
    stream: Iterable[tuple[Rationale, Verdict]], *, lengths: Lengths | None = None, max_target: int = 0,
) -> TeacherQuality:  # fmt: skip
    """Reads `stream`, the rationales with their verdicts, to its end. `questions` is the size of the split."""
    count = _Count(lengths=lengths, max_target=max_target)
    left = iter(stream)
    while page := list(islice(left, _PAGE)):
        count.add(page)
    taken = store.rationale_stats.spent(dataset, split, (variant.teacher, variant.sampling, variant.recipe.name))
    texts = count.verdicts["kept"] + count.verdicts["repaired"]
    return TeacherQuality(
        dataset=dataset, split=split, teacher=variant.teacher, model=variant.model, recipe=variant.recipe.name,
        saw_answers=variant.teacher_forcing, questions=questions, covered=count.covered, usable=count.usable,
        failed=store.rationale_stats.unanswered(dataset, split, variant), rationales=count.verdicts.total(),
        samples=count.samples, kept=count.verdicts["kept"], repaired=count.verdicts["repaired"],
        rejected=count.verdicts["rejected"], gates=dict(count.gates), against=dict(count.against),
        characters=count.characters / texts if texts else None,
        tokens=count.tokens / texts if texts and lengths else None,
        longest=count.longest if texts and lengths else None,
        targets_cut=count.cut if lengths else None,
        prompt_tokens=taken.prompt_tokens, completion_tokens=taken.completion_tokens,
        cost=taken.cost, partly=taken.partly,
        mend=asking_command(store, dataset, split, variant, count.samples),
    )  # fmt: skip


@dataclass(kw_only=True)
class _Count:
    """Sums over rationales that come in the order of their questions."""

    lengths: Lengths | None
    max_target: int
    verdicts: Counter[str] = field(default_factory=Counter)
    gates: Counter[str] = field(default_factory=Counter)
    against: Counter[str] = field(default_factory=Counter)
    covered: int = 0
    usable: int = 0
    samples: int = 0
    characters: int = 0
    tokens: int = 0
    longest: int = 0
    cut: int = 0
    _position: int = -1
    _usable_position: int = -1

    def add(self, page: Sequence[tuple[Rationale, Verdict]]) -> None:
        left = [verdict.text for _, verdict in page if verdict.verdict != "rejected"]
        self.characters += sum(map(len, left))
        for rationale, verdict in page:
            self.verdicts[verdict.verdict] += 1
            self.gates.update(one.gate for one in verdict.findings)
            self.against.update(one.gate for one in verdict.findings if not one.repaired)
            self.samples = max(self.samples, rationale.sample + 1)
            self.covered += rationale.position != self._position
            self._position = rationale.position
            if verdict.verdict != "rejected":
                self.usable += rationale.position != self._usable_position
                self._usable_position = rationale.position
        if self.lengths is not None:
            for length in self.lengths(left):
                self.tokens += length
                self.longest = max(self.longest, length)
                self.cut += length > self.max_target


def asking_command(store: Store, dataset: str, split: str, variant: RationaleSet, samples: int) -> str | None:
    """The `elicit` command that asks a teacher in this very way; None for rationales that lay in a file.

    It says also what is the default: what it leaves out would come from tinyllm.toml, and another way of asking is
    asked, and paid for, all over again."""
    backend, sampling = store.rationale_stats.sampling_of(variant)
    recipe = variant.recipe
    if recipe.template != TEMPLATE or recipe.icl is None or backend == "recorded":
        return None
    usual, words = Recipe(), ["tinyllm", "elicit", "--teacher", variant.teacher, "--dataset", dataset, "--split", split]
    words += ["--icl", str(recipe.icl)] if recipe.icl != usual.icl else []
    words += [] if recipe.teacher_forcing else ["--no-teacher-forcing"]
    words += ["--samples", str(samples)] if samples > 1 else []
    words += ["--temperature", f"{sampling.temperature:g}", "--top-p", f"{sampling.top_p:g}"]
    words += ["--max-tokens", str(sampling.max_tokens)]
    if recipe.icl == 0 or recipe.seed == sampling.seed:  # else it came from tinyllm.toml, which seeds no examples
        words += ["--seed", str(sampling.seed)]
    return shlex.join(words)
