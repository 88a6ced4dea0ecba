"""The requests of a job that need a reply: built as the teacher takes them, and claimed against other processes.

Holds the prompts in flight and a page of questions, never the data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from backends.base import Completion, Failure, Message, Outcome, Request, Selective, Teacher
from backends.sampling import Shaping
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.answered import AnsweredPrompts
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import SkippedCounts
from tinyllm_cli.elicitation.job import RECORDED, check, config_of
from tinyllm_cli.elicitation.job import Job as Job
from tinyllm_cli.elicitation.prompts import build_prompt, draw_examples, recorded_prompt
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.elicitation import Prompt
from tinyllm_cli.store import Store
from tinyllm_cli.store.elicitations import RequestId, Worker
from tinyllm_cli.store.rationales import Settled

_PAGE = 200
_SHARES = 16
"""The least number of pages, so that several processes share a small data set too."""

_NAME = re.compile(r"([0-9a-f]{32})-(0|[1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRequest:
    """A request with the prompt behind it. `options` is the number of the question's options. `failed_before`: an
    earlier run got no reply to it."""

    request: Request
    prompt: Prompt
    options: int
    failed_before: bool = False

    @property
    def request_id(self) -> RequestId:
        return self.prompt.hash, self.request.sample


@dataclass(frozen=True, kw_only=True)
class MissingPage:
    """The missing requests of some questions, and the counts of the others."""

    requests: list[PlannedRequest]
    skipped: SkippedCounts


class MissingRationales:
    """The requests of a job that the store has no reply to. Equal questions are asked once. Walks through the questions
    once: what `pages` has yielded is not yielded again."""

    def __init__(self, store: Store, job: Job, teacher: Teacher) -> None:
        sizes = check(store, job)
        self.config = config_of(store, job, teacher)
        self.sampling = job.sampling if isinstance(teacher, Shaping) else self.config.sampling
        """What is asked for; the configuration has what is sent."""

        recorded = job.spec.backend == RECORDED
        questions = min(sizes[job.split], job.limit or sizes[job.split])
        if not recorded:
            questions = store.questions.count_to_ask(job.dataset, job.split, job.limit)
        self.requests = questions * job.samples
        """Of the whole job, answered or not."""

        self._store, self._job = store, job
        self._teacher = teacher if isinstance(teacher, Selective) else None
        places = store.questions.places(job.dataset, job.split, job.limit, others=recorded)
        self._ahead = batched(places, max(1, min(_PAGE, questions // _SHARES)))
        self._answered = None if self._teacher is not None else AnsweredPrompts(store, job, self.config, self.prompt)

    def pages(self, worker: Worker | None = None) -> Iterator[MissingPage]:
        """What is missing, a page of questions at a time; claimed for `worker`, where there is one."""
        job = self._job
        for places in self._ahead:
            done = self._answered.among(places) if self._answered is not None else frozenset[str]()
            skipped = SkippedCounts(already=job.samples * sum(place.hash in done for place in places))
            open_places = [place for place in places if place.hash not in done]
            if not open_places:
                yield MissingPage(requests=[], skipped=skipped)
                continue
            questions = self._store.questions.at_places(job.dataset, job.split, open_places)
            plans = [self._planned(question) for question in questions]
            planned = [one for plan, _ in plans for one in plan]
            skipped = sum((counts for _, counts in plans), skipped)
            hashes = [question.hash for question in questions]
            if worker is None:
                missing, known = self._unanswered(planned, hashes)
                yield MissingPage(requests=missing, skipped=skipped + known)
                continue
            with self._store.writing():
                missing, known = self._unanswered(planned, hashes)
                mine = set(worker.claim([one.request_id for one in missing]))
            others = SkippedCounts(elsewhere=sum(one.request_id not in mine for one in missing))
            yield MissingPage(
                requests=[one for one in missing if one.request_id in mine], skipped=skipped + known + others
            )

    def rest(self) -> SkippedCounts:
        """What needs no request among the questions that `pages` has not reached.

        Looked up by recipe and sample, without building prompts, so a reply whose in-context examples have changed
        since counts as answered. Exact where batches are open or the teacher is selective."""
        if self._teacher is not None or self._store.batches.open_ones(self._job.spec.name):
            return sum((page.skipped for page in self.pages()), SkippedCounts())
        samples, recipe = range(self._job.samples), self._job.recipe.name
        answered = 0
        for places in self._ahead:
            hashes = [place.hash for place in places]
            replies = self._store.rationales.replies_by_recipe(self.config, hashes, recipe)
            have = {(one.question, one.sample) for one in replies}
            answered += sum((one, sample) in have for one in hashes for sample in samples)
        return SkippedCounts(already=answered)

    def prompt(self, question: Question) -> Prompt:
        """The prompt that this job makes of `question`."""
        job = self._job
        examples = draw_examples(
            question, job.recipe, lambda point: self._store.questions.after(job.dataset, "train", point)
        )
        return build_prompt(question, job.recipe, examples)

    def _unanswered(
        self, planned: list[PlannedRequest], hashes: list[str]
    ) -> tuple[list[PlannedRequest], SkippedCounts]:
        """Those of `planned` that are neither answered nor in a batch, and how many are."""
        have = self._store.rationales.answered(self.config, hashes)
        failed = self._store.rationales.failed(self.config, hashes)
        held = self._store.batches.held(self.config, [one.prompt.hash for one in planned])
        missing = [one for one in planned if one.request_id not in have]
        free = [one for one in missing if one.request_id not in held]
        skipped = SkippedCounts(already=len(planned) - len(missing), pending=len(missing) - len(free))
        asked = [one for one in free if one.request_id not in self._job.leave]
        return [replace(one, failed_before=True) if one.request_id in failed else one for one in asked], skipped

    def _planned(self, question: Question) -> tuple[list[PlannedRequest], SkippedCounts]:
        """All requests about one question, and the samples that a selective teacher does not have."""
        job, options = self._job, len(question.options)
        if self._teacher is None:
            prompt = self.prompt(question)
            requests = [_request(question, sample, prompt.messages) for sample in range(job.samples)]
            return [PlannedRequest(request=one, prompt=prompt, options=options) for one in requests], SkippedCounts()
        planned: list[PlannedRequest] = []
        for sample in range(job.samples):  # numbered without gaps: after the first missing one there are no more
            request = _request(question, sample, ())
            edition = self._teacher.edition(request)
            if edition is None:
                lacking = SkippedCounts(absent=int(sample == 0), unrecorded=job.samples - max(1, sample))
                return planned, lacking
            prompt = recorded_prompt(question, edition, teacher_forcing=job.spec.teacher_forcing)
            if job.edits is not None:
                prompt = replace(prompt, recipe=job.edits.recipe)
            planned.append(PlannedRequest(request=request, prompt=prompt, options=options))
        return planned, SkippedCounts()


class RequestQueue:
    """The missing requests as a teacher takes them: within the budget, at most `most`, and each content once."""

    def __init__(
        self, missing: MissingRationales, worker: Worker, teacher: Teacher, budget: Budget, most: int | None
    ) -> None:
        self._missing = missing
        self.skipped = SkippedCounts()  # what needed no request, among the questions so far
        self._teacher, self._budget, self._left = teacher, budget, most
        self._planned = self._walk(worker)
        self._held: PlannedRequest | None = None
        self._in_flight: dict[Request, PlannedRequest] = {}
        self._asked: set[RequestId] = set()  # the contents in flight
        self._answered: set[RequestId] = set()  # since the page was looked up
        self._failed: set[RequestId] = set()  # since then, too

    @property
    def in_flight(self) -> int:
        """Requests that the teacher has taken and not answered."""
        return len(self._in_flight)

    @property
    def held(self) -> bool:
        """Whether a request waits for room in the budget."""
        return self._held is not None

    def __iter__(self) -> Iterator[Request]:
        """Ends when nothing is missing, or when the next request would not fit into the budget any more; iterate
        again when something has been settled."""
        while self._left is None or self._left > 0:
            planned = self._held or next(self._planned, None)
            self._held = None
            if planned is None:
                return
            if planned.request_id in self._asked or planned.request_id in self._answered:  # a content that repeats
                self.skipped += SkippedCounts(already=1)
                continue
            if not self._budget.reserve(self._teacher, planned.request, self._missing.sampling):
                self._held = planned
                return
            self._asked.add(planned.request_id)
            self._in_flight[planned.request] = planned
            self._left = None if self._left is None else self._left - 1
            yield planned.request

    def settle(self, request: Request, outcome: Outcome) -> Settled:
        """Take `request` out of flight; what failed may be asked again."""
        planned = self._in_flight.pop(request)
        self._budget.settle(request, outcome)
        if isinstance(outcome, Completion) and outcome.answer is not None and outcome.answer >= planned.options:
            outcome = Failure(reason=f"answer_index {outcome.answer} is none of the {planned.options} options")
        failed_before = planned.failed_before or planned.request_id in self._failed
        self._asked.discard(planned.request_id)
        (self._failed if isinstance(outcome, Failure) else self._answered).add(planned.request_id)
        return Settled(prompt=planned.prompt, sample=request.sample, outcome=outcome, failed_before=failed_before)

    def _walk(self, worker: Worker) -> Iterator[PlannedRequest]:
        for page in self._missing.pages(worker):
            self.skipped += page.skipped
            self._answered.clear()
            self._failed.clear()
            yield from page.requests


def format_request_id(request_id: RequestId) -> str:
    """A request id as one word, for batch files."""
    prompt, sample = request_id
    return f"{prompt}-{sample}"


def parse_request_id(name: str) -> RequestId | None:
    """The request id of such a word; None for any other."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def _request(question: Question, sample: int, messages: tuple[Message, ...]) -> Request:
    return Request(split=question.split, key=question.key, messages=messages, sample=sample)
