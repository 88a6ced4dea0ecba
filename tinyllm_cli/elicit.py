"""The elicitation stage: find which rationales are missing, drive a teacher, keep each reply as it comes.

Knows nothing of engines (`backends` does) and of terminals (`cli` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from backends.base import Completion, Failure, Outcome, Request, Sampling, Teacher
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.prompts import Recipe, build_prompt, draw_examples, recorded_prompt
from tinyllm_cli.records import Asking, Prompt
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales

_PAGE = 200
RECORDED = "recorded"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to ask of whom. `limit` counts questions of the split, from its beginning."""

    dataset: str
    split: str
    spec: TeacherSpec
    recipe: Recipe
    sampling: Sampling
    samples: int = 1
    limit: int | None = None


@dataclass(kw_only=True)
class Tally:
    """What happened so far; counts of replies, tokens, seconds. `cost` is None while no price is known."""

    wanted: int = 0
    already: int = 0
    done: int = 0
    failed: int = 0
    cut_off: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(key, reason) of the first failures, for showing; all of them are in the store."""

    _SHOWN = 20

    def count(self, request: Request, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            self.failed += 1
            if len(self.failures) < self._SHOWN:
                self.failures.append((request.key, outcome.reason))
            return
        self.done += 1
        self.cut_off += outcome.finish_reason == "length"
        self.prompt_tokens += outcome.prompt_tokens or 0
        self.completion_tokens += outcome.completion_tokens or 0
        if outcome.cost is not None:
            self.cost = (self.cost or 0.0) + outcome.cost


Watch = Callable[[Tally], None]
Address = tuple[str, int]
"""(prompt hash, sample number): which reply of a teacher that is asked in one way."""


def asking_for(job: Job, teacher: Teacher) -> Asking:
    """The identity that this job's rationales will have, apart from prompt and sample number."""
    identity = teacher.identity()
    sampling = Sampling(max_tokens=0) if job.spec.backend == RECORDED else job.sampling
    return Asking(
        teacher=job.spec.name,
        backend=job.spec.backend,
        model=identity["model"],
        revision=identity["revision"],
        sampling=sampling,
    )


def prompt_for(store: Store, job: Job, question: Question, pool_size: int) -> Prompt:
    """The prompt that this job makes of `question`."""
    if job.spec.backend == RECORDED:
        return recorded_prompt(question, teacher_forcing=job.spec.teacher_forcing)
    examples = draw_examples(
        question,
        job.recipe,
        pool_size,
        lambda position: stored_questions.at(store, job.dataset, "train", position),
    )
    return build_prompt(question, job.recipe, examples)


def elicit(store: Store, job: Job, teacher: Teacher, watch: Watch) -> Tally:
    """Ask `teacher` for what is missing and commit each reply before it counts. `watch` is called after each.

    Raises UsageProblem when the job can't be done on this data set, TeacherError when the teacher gives up."""
    counts = check(store, job)
    asking = asking_for(job, teacher)
    stored_rationales.add_asking(store, asking)
    tally = Tally(wanted=min(counts[job.split], job.limit or counts[job.split]) * job.samples)
    in_flight: dict[Request, Prompt] = {}
    asked: set[Address] = set()  # in flight by content: two rows may hold one question
    fresh: set[Address] = set()

    def requests() -> Iterator[Request]:
        for request, prompt in missing(store, job, asking, tally, counts.get("train", 0), asked, fresh):
            in_flight[request] = prompt
            yield request

    described = False
    for request, outcome in teacher.generate(requests(), asking.sampling):
        prompt = in_flight.pop(request)
        asked.discard((prompt.hash, request.sample))
        if isinstance(outcome, Completion):
            fresh.add((prompt.hash, request.sample))
            stored_rationales.add_completion(store, asking, prompt, request.sample, outcome)
        else:
            stored_rationales.add_failure(store, asking, prompt, request.sample, outcome)
        if not described:
            stored_rationales.describe_engine(store, asking, teacher.describe())
            described = True
        tally.count(request, outcome)
        watch(tally)
    return tally


def check(store: Store, job: Job) -> dict[str, int]:
    """Sizes of the data set's splits.

    Raises UsageProblem when the job asks for what they can't give."""
    counts = stored_questions.splits(store, job.dataset)
    if job.split not in counts:
        raise UsageProblem(f"The data set {job.dataset} has no split '{job.split}'.", f"It has: {', '.join(counts)}.")
    recorded = job.spec.backend == RECORDED
    if job.recipe.icl and not counts.get("train") and not recorded:
        raise UsageProblem(
            f"In-context examples are drawn from train, and {job.dataset} has no train split.", "Use --icl 0."
        )
    if job.samples > 1 and job.sampling.temperature == 0 and not recorded:
        raise UsageProblem(
            f"At temperature 0, {job.samples} samples would be {job.samples} copies.",
            "Add --temperature 0.7.",
        )
    return counts


def missing(
    store: Store, job: Job, asking: Asking, tally: Tally, pool_size: int, asked: set[Address], fresh: set[Address]
) -> Iterator[tuple[Request, Prompt]]:
    """What is neither in the store nor in `asked`, which grows by what is yielded; a page of questions at a time.

    `fresh` gets what is answered meanwhile: a page looks into the store once, before its first question."""
    for page in _pages(stored_questions.iterate(store, job.dataset, job.split, job.limit)):
        prompts = [prompt_for(store, job, question, pool_size) for question in page]
        have = stored_rationales.answered(store, asking, [prompt.question for prompt in prompts])
        fresh.clear()
        for question, prompt in zip(page, prompts, strict=True):
            for sample in range(job.samples):
                address = (prompt.hash, sample)
                if address in have or address in asked or address in fresh:
                    tally.already += 1
                    continue
                asked.add(address)
                yield _request(question, prompt, sample), prompt


def _request(question: Question, prompt: Prompt, sample: int) -> Request:
    return Request(split=question.split, key=question.key, messages=prompt.messages, sample=sample)


def _pages(questions: Iterable[Question]) -> Iterator[list[Question]]:
    stream = iter(questions)
    while page := list(islice(stream, _PAGE)):
        yield page
