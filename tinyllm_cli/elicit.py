"""The elicitation stage: find which rationales are missing, drive a teacher, keep each reply as it comes.

Knows nothing of engines (`backends` does) and of terminals (`cli` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from backends.base import Completion, Failure, Message, Outcome, Request, Sampling, Selective, Teacher
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
    absent: int = 0
    """Questions that a teacher with some answers only has none for."""

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


class Pending:
    """The requests of a job that the store has no reply to, made as the teacher takes them.

    Holds the prompts in flight and a page of questions, never the data set. Equal questions are asked once."""

    def __init__(self, store: Store, job: Job, teacher: Teacher) -> None:
        sizes = check(store, job)
        self.asking = asking_for(job, teacher)
        self.tally = Tally(wanted=min(sizes[job.split], job.limit or sizes[job.split]) * job.samples)
        self._store, self._job = store, job
        self._teacher = teacher if isinstance(teacher, Selective) else None
        self._in_flight: dict[Request, Prompt] = {}
        self._taken: set[Address] = set()  # in flight, or answered since the page was looked up

    def __iter__(self) -> Iterator[Request]:
        job = self._job
        for page in _pages(stored_questions.iterate(self._store, job.dataset, job.split, job.limit)):
            self._taken = {(prompt.hash, request.sample) for request, prompt in self._in_flight.items()}
            have = stored_rationales.answered(self._store, self.asking, [question.hash for question in page])
            for question in page:
                for request, prompt in self._requests(question):
                    address = (prompt.hash, request.sample)
                    if address in have or address in self._taken:
                        self.tally.already += 1
                        continue
                    self._taken.add(address)
                    self._in_flight[request] = prompt
                    yield request

    def settle(self, request: Request, *, done: bool) -> Prompt:
        """Take `request` out of flight and give its prompt back; what is not done may be asked again."""
        prompt = self._in_flight.pop(request)
        if not done:
            self._taken.discard((prompt.hash, request.sample))
        return prompt

    def prompt(self, question: Question) -> Prompt:
        """The prompt that this job makes of `question`."""
        job = self._job
        examples = draw_examples(
            question, job.recipe, lambda point: stored_questions.after(self._store, job.dataset, "train", point)
        )
        return build_prompt(question, job.recipe, examples)

    def _requests(self, question: Question) -> Iterator[tuple[Request, Prompt]]:
        if self._teacher is None:
            prompt = self.prompt(question)
            for sample in range(self._job.samples):
                yield _request(question, sample, prompt.messages), prompt
            return
        for sample in range(self._job.samples):
            request = _request(question, sample, ())
            edition = self._teacher.edition(request)
            if edition is not None:
                forced = self._job.spec.teacher_forcing
                yield request, recorded_prompt(question, edition, teacher_forcing=forced)
            elif sample == 0:
                self.tally.absent += 1


def elicit(store: Store, job: Job, teacher: Teacher, watch: Watch) -> Tally:
    """Ask `teacher` for what is missing and commit each reply before it counts. `watch` is called after each.

    Raises UsageProblem when the job can't be done on this data set, TeacherError when the teacher gives up."""
    pending = Pending(store, job, teacher)
    asking, tally = pending.asking, pending.tally
    stored_rationales.add_asking(store, asking)
    described = False
    for request, outcome in teacher.generate(iter(pending), asking.sampling):
        done = isinstance(outcome, Completion)
        prompt = pending.settle(request, done=done)
        if isinstance(outcome, Completion):
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


def _request(question: Question, sample: int, messages: tuple[Message, ...]) -> Request:
    return Request(split=question.split, key=question.key, messages=messages, sample=sample)


def _pages(questions: Iterable[Question]) -> Iterator[list[Question]]:
    stream = iter(questions)
    while page := list(islice(stream, _PAGE)):
        yield page
