"""Which requests of a job still need a reply: made as the teacher takes them, and claimed against other processes.

Holds the prompts in flight and a page of questions, never the data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from backends.base import Failure, Message, Outcome, Request, Sampling, Selective, Teacher
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.prompts import build_prompt, draw_examples, recorded_prompt
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Recipe
from tinyllm_cli.store import Store
from tinyllm_cli.store.elicitations import RequestId, Worker
from tinyllm_cli.store.rationales import Settled

_PAGE = 200
_SHARES = 16
"""At least so many pages: several processes on a small data set shall all have something to do."""

_NAME = re.compile(r"([0-9a-f]{32})-(0|[1-9]\d{0,8})", re.ASCII)
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
    leave: frozenset[RequestId] = frozenset()
    """Replies that are missing and not asked for this time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRequest:
    """A request with the prompt behind it. `failed_before`: an earlier run got no reply to it."""

    request: Request
    prompt: Prompt
    failed_before: bool

    @property
    def address(self) -> RequestId:
        return self.prompt.hash, self.request.sample


def asking_for(job: Job, teacher: Teacher) -> ElicitationConfig:
    """The identity that this job's rationales will have, apart from prompt and sample number."""
    identity = teacher.identity()
    sampling = Sampling(max_tokens=0) if job.spec.backend == RECORDED else job.sampling
    return ElicitationConfig(
        teacher=job.spec.name,
        backend=job.spec.backend,
        model=identity["model"],
        revision=identity["revision"],
        sampling=sampling,
    )


def check(store: Store, job: Job) -> dict[str, int]:
    """Sizes of the data set's splits.

    Raises UsageProblem when the job asks for what they can't give."""
    counts = store.questions.splits(job.dataset)
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


class MissingRationales:
    """The requests of a job that the store has no reply to. Equal questions are asked once."""

    def __init__(self, store: Store, job: Job, teacher: Teacher) -> None:
        sizes = check(store, job)
        self.asking = asking_for(job, teacher)
        self.already = self.absent = self.elsewhere = self.pending = 0
        """Answered; without an answer at a teacher that has some only; in another process's hands; in a batch."""

        self._store, self._job = store, job
        self._teacher = teacher if isinstance(teacher, Selective) else None
        questions = min(sizes[job.split], job.limit or sizes[job.split])
        self.wanted = questions * job.samples
        self._ahead = _pages(
            store.questions.iterate(job.dataset, job.split, job.limit),
            max(1, min(_PAGE, questions // _SHARES)),
        )

    def pages(self, worker: Worker | None = None) -> Iterator[list[PlannedRequest]]:
        """What is missing, a page of questions at a time, each page once; claimed for `worker`, where there is
        one."""
        for page in self._ahead:
            asks = [ask for question in page for ask in self._asks(question)]
            hashes = [question.hash for question in page]
            if worker is None:
                yield self._unanswered(asks, hashes)
                continue
            with self._store.writing():
                found = self._unanswered(asks, hashes)
                mine = set(worker.claim([ask.address for ask in found]))
            self.elsewhere += sum(ask.address not in mine for ask in found)
            yield [ask for ask in found if ask.address in mine]

    def prompt(self, question: Question) -> Prompt:
        """The prompt that this job makes of `question`."""
        job = self._job
        examples = draw_examples(
            question, job.recipe, lambda point: self._store.questions.after(job.dataset, "train", point)
        )
        return build_prompt(question, job.recipe, examples)

    def _unanswered(self, asks: list[PlannedRequest], hashes: list[str]) -> list[PlannedRequest]:
        have = self._store.rationales.answered(self.asking, hashes)
        failed = self._store.rationales.failed(self.asking, hashes)
        held = self._store.batches.held(self.asking, [ask.prompt.hash for ask in asks])
        missing = [ask for ask in asks if ask.address not in have]
        free = [ask for ask in missing if ask.address not in held]
        self.already += len(asks) - len(missing)
        self.pending += len(missing) - len(free)
        return [
            PlannedRequest(request=ask.request, prompt=ask.prompt, failed_before=ask.address in failed)
            for ask in free
            if ask.address not in self._job.leave
        ]

    def _asks(self, question: Question) -> Iterator[PlannedRequest]:
        if self._teacher is None:
            prompt = self.prompt(question)
            for sample in range(self._job.samples):
                yield PlannedRequest(
                    request=_request(question, sample, prompt.messages), prompt=prompt, failed_before=False
                )
            return
        for sample in range(self._job.samples):
            request = _request(question, sample, ())
            edition = self._teacher.edition(request)
            if edition is not None:
                prompt = recorded_prompt(question, edition, teacher_forcing=self._job.spec.teacher_forcing)
                yield PlannedRequest(request=request, prompt=prompt, failed_before=False)
            elif sample == 0:
                self.absent += 1
            else:
                self.wanted -= 1  # nobody promised as many samples


class RequestQueue:
    """The missing requests as a teacher takes them: within the budget, and each content once."""

    def __init__(
        self, missing: MissingRationales, worker: Worker, teacher: Teacher, budget: Budget, most: int | None
    ) -> None:
        self.missing = missing
        self.again = 0
        """Contents that came up again while they were in flight, or had just been answered."""

        self._teacher, self._budget, self._left = teacher, budget, most
        self._asks = self._walk(worker)
        self._held: PlannedRequest | None = None
        self._in_flight: dict[Request, PlannedRequest] = {}
        self._taken: set[RequestId] = set()  # in flight, or answered since the page was looked up
        self._failed: set[RequestId] = set()  # since then

    @property
    def held(self) -> bool:
        """Whether a request waits for room in the budget."""
        return self._held is not None

    def __iter__(self) -> Iterator[Request]:
        """Ends when nothing is missing, or when the next request would not fit into the budget any more; iterate
        again when something has been settled."""
        while self._left is None or self._left > 0:
            ask = self._held or next(self._asks, None)
            self._held = None
            if ask is None:
                return
            if ask.address in self._taken:
                self.again += 1
                continue
            if not self._budget.reserve(self._teacher, ask.request, self.missing.asking.sampling):
                self._held = ask
                return
            self._taken.add(ask.address)
            self._in_flight[ask.request] = ask
            self._left = None if self._left is None else self._left - 1
            yield ask.request

    def settle(self, request: Request, outcome: Outcome) -> Settled:
        """Take `request` out of flight; what came to nothing may be asked again."""
        ask = self._in_flight.pop(request)
        failed_before = ask.failed_before or ask.address in self._failed
        if isinstance(outcome, Failure):
            self._taken.discard(ask.address)
            self._failed.add(ask.address)
        self._budget.settle(request, outcome)
        return Settled(prompt=ask.prompt, sample=request.sample, outcome=outcome, failed_before=failed_before)

    def _walk(self, worker: Worker) -> Iterator[PlannedRequest]:
        for page in self.missing.pages(worker):
            self._taken = {ask.address for ask in self._in_flight.values()}
            self._failed.clear()
            yield from page


def name_of(address: RequestId) -> str:
    """What a request is called where there is room for a name only."""
    prompt, sample = address
    return f"{prompt}-{sample}"


def address_of(name: str) -> RequestId | None:
    """None for a name that `name_of` doesn't make."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def _request(question: Question, sample: int, messages: tuple[Message, ...]) -> Request:
    return Request(split=question.split, key=question.key, messages=messages, sample=sample)


def _pages(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    stream = iter(questions)
    while page := list(islice(stream, size)):
        yield page
