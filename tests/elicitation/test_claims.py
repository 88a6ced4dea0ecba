"""Who asks what: a reply is in one living process's hands at a time, and a dead one's are free again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backends.base import Answer, Completion, Failure, Message, Outcome, Request, Sampling, TeacherError
from tests.conftest import make_questions
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.requests import Job
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Recipe
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.elicitations import RequestId, Worker
from tinyllm_cli.store.locks import claiming
from tinyllm_cli.store.rationales import Settled

ASKING = ElicitationConfig(teacher="owl", backend="scripted", model="m", revision="1", sampling=Sampling())
REPLY = Completion(text="So.", finish_reason="stop")
FAILURE = Failure(reason="it would not say")
PROMPTS = [
    Prompt(
        question=question.hash,
        recipe=Recipe(icl=0),
        messages=(Message(role="user", content=question.text),),
    )
    for question in make_questions(6)
]
ADDRESSES = [(prompt.hash, sample) for prompt in PROMPTS for sample in (0, 1)]
PROMPT = {prompt.hash: prompt for prompt in PROMPTS}


def states(store: Store) -> list[str]:
    return [row["state"] for row in store.rows("SELECT state FROM elicitations ORDER BY id")]


def claimed(store: Store) -> dict[RequestId, int]:
    rows = store.rows("SELECT prompt, sample, elicitation FROM claims")
    return {(row["prompt"], row["sample"]): row["elicitation"] for row in rows}


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.lock"))


def settled(address: RequestId, outcome: Outcome) -> Settled:
    return Settled(prompt=PROMPT[address[0]], sample=address[1], outcome=outcome)


@dataclass
class Process:
    """A process that asks: a connection of its own, and a worker on it."""

    path: Path
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.store = self._stack.enter_context(open_store(self.path))
        self.worker: Worker = self._stack.enter_context(
            self.store.elicitations.working(ASKING, "toy", "train", Recipe(icl=0))
        )
        self.number = self.worker.number

    def claim(self, wanted: list[RequestId]) -> list[RequestId]:
        with self.store.writing():
            return self.worker.claim(wanted)

    def end(self, state: str) -> None:
        self.worker.finish(state, [])
        self._stack.close()

    def die(self) -> None:
        """As after SIGKILL: the row says that it runs, the claims are there, and so is the file of its lock, which
        nobody holds."""
        self._stack.close()
        self.path.with_name(f"{self.path.name}-{self.number}.lock").touch()


class Sharing(RuleBasedStateMachine):
    """Several processes claim, answer, end and die in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "tinyllm.db"
        self.store = open_store(self.path)
        self.store.questions.replace("toy", "here", "1", make_questions(6))
        self.store.rationales.add_asking(ASKING)
        self.living: list[Process] = []
        self.dead: list[int] = []
        self.owner: dict[RequestId, int] = {}
        self.states: list[str] = []
        self.counts: dict[int, tuple[int, int]] = {}

    @precondition(lambda self: len(self.living) < 3)
    @rule()
    def begin(self) -> None:
        process = Process(self.path)
        self.living.append(process)
        self.owner = {address: number for address, number in self.owner.items() if number not in self.dead}
        for number in self.dead:
            self.states[number - 1] = "killed"
        self.dead = []
        self.states.append("running")
        self.counts[process.number] = (0, 0)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), wanted=st.lists(st.sampled_from(ADDRESSES)))
    def claim(self, data: st.DataObject, wanted: list[RequestId]) -> None:
        process = data.draw(st.sampled_from(self.living))
        free = [address for address in wanted if self.owner.get(address, process.number) == process.number]
        assert process.claim(wanted) == free
        self.owner |= dict.fromkeys(free, process.number)

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from(self.living))
        mine = [address for address, number in self.owner.items() if number == process.number]
        done = data.draw(st.lists(st.sampled_from(mine), unique=True)) if mine else []
        outcomes = [data.draw(st.sampled_from([REPLY, FAILURE])) for _ in done]
        process.worker.settle([settled(address, outcome) for address, outcome in zip(done, outcomes, strict=True)])
        for address in done:
            del self.owner[address]
        replies, failures = self.counts[process.number]
        good = outcomes.count(REPLY)
        self.counts[process.number] = (replies + good, failures + len(outcomes) - good)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), how=st.sampled_from(["done", "stopped", "failed", "killed"]))
    def end(self, data: st.DataObject, how: str) -> None:
        process = self.living.pop(data.draw(st.integers(0, len(self.living) - 1)))
        if how == "killed":
            process.die()
            self.dead.append(process.number)
            return
        process.end(how)
        self.states[process.number - 1] = how
        self.owner = {address: number for address, number in self.owner.items() if number != process.number}

    @invariant()
    def the_file_says_who_has_what(self) -> None:
        assert claimed(self.store) == self.owner
        assert states(self.store) == self.states
        rows = self.store.rows("SELECT id, replies, failures FROM elicitations")
        assert {row["id"]: (row["replies"], row["failures"]) for row in rows} == self.counts
        held = [*self.dead, *(process.number for process in self.living)]
        assert locks(self.path.parent) == sorted(f"tinyllm.db-{number}.lock" for number in held)

    def teardown(self) -> None:
        for process in self.living:
            process.end("done")
        Process(self.path).end("done")
        assert claimed(self.store) == {}
        assert set(states(self.store)) <= {"done", "stopped", "failed", "killed"}
        assert locks(self.path.parent) == []
        self.store.close()
        self.folder.cleanup()


TestSharing = Sharing.TestCase
TestSharing.settings = settings(deadline=None, max_examples=25, stateful_step_count=25)

SPEC = TeacherSpec(name="owl", backend="scripted")
JOB = Job(dataset="toy", split="train", spec=SPEC, recipe=Recipe(icl=0), sampling=Sampling())


@dataclass
class Owl:
    """Answers one request after the other; before the one in place `at`, `happens` happens. `mute`: keys that fail."""

    happens: Callable[[], object] = lambda: None
    at: int = 0
    mute: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def identity(self) -> dict[str, str]:
        return {"model": "owl-1", "revision": ""}

    def describe(self) -> dict[str, str]:
        return {}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        for request in requests:
            if len(self.asked) == self.at:
                self.happens()
            self.asked.append(request.key)
            yield [(request, FAILURE if request.key in self.mute else REPLY)]

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def toy(store: Store) -> Store:
    store.questions.replace("toy", "here", "1", make_questions(450))
    return store


def run(store: Store, owl: Owl) -> ElicitationCounts:
    """As another process would."""
    with open_store(store.path) as other:
        return elicit(other, JOB, owl, lambda tally: None)


def test_a_process_that_starts_in_the_middle_asks_what_the_first_has_not_in_hand(toy: Store) -> None:
    second = Owl()
    tallies: list[ElicitationCounts] = []
    first = Owl(happens=lambda: tallies.append(run(toy, second)), at=50, mute=("train-7",))
    tally = elicit(toy, JOB, first, lambda tally: None)
    in_hand = 2 * (450 // 16)  # the page that is asked and the one before
    assert first.asked == [f"train-{number}" for number in range(in_hand)]
    assert second.asked == ["train-7", *(f"train-{number}" for number in range(in_hand, 450))]
    [other] = tallies
    assert (other.already, other.done, other.elsewhere, other.left) == (49, 451 - in_hand, in_hand - 50, 0)
    assert (tally.already, tally.done, tally.failed, tally.elsewhere) == (450 - in_hand, in_hand - 1, 1, 0)
    assert states(toy) == ["done", "done"]
    assert claimed(toy) == {}
    assert toy.one("SELECT count(*) AS n FROM rationales") == {"n": 450}
    assert toy.one("SELECT count(*) AS n FROM failures") == {"n": 0}


def test_another_teacher_or_sampling_has_claims_of_its_own(toy: Store) -> None:
    others = [replace(JOB, spec=replace(SPEC, name="eagle")), replace(JOB, sampling=Sampling(max_tokens=9))]
    asked: list[int] = []

    def happens() -> None:
        for job in others:
            with open_store(toy.path) as other:
                asked.append(elicit(other, job, Owl(), lambda tally: None).done)

    elicit(toy, JOB, Owl(happens=happens), lambda tally: None)
    assert asked == [450, 450]


def stop() -> None:
    raise KeyboardInterrupt


def give_up() -> None:
    raise TeacherError("the key is bad")


def break_down() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("happens", "error", "state", "said"),
    [
        (stop, KeyboardInterrupt, "stopped", None),
        (give_up, TeacherError, "failed", "the key is bad"),
        (break_down, ZeroDivisionError, "failed", "ZeroDivisionError"),
    ],
)
def test_whatever_ends_a_run_frees_what_it_had_in_hand(
    toy: Store, happens: Callable[[], object], error: type[BaseException], state: str, said: str | None
) -> None:
    with pytest.raises(error):
        elicit(toy, JOB, Owl(happens=happens, at=3), lambda tally: None)
    assert claimed(toy) == {}
    [row] = toy.rows("SELECT state, replies, error, finished FROM elicitations")
    assert (row["state"], row["replies"], row["error"]) == (state, 3, said)
    assert row["finished"] is not None
    assert locks(toy.path.parent) == []


def test_the_living_keep_their_claims_when_another_process_starts(toy: Store) -> None:
    toy.rationales.add_asking(ASKING)
    first = Process(toy.path)
    assert first.claim(ADDRESSES[:3]) == ADDRESSES[:3]
    second = Process(toy.path)
    assert second.claim(ADDRESSES[:4]) == ADDRESSES[3:4]
    assert states(toy) == ["running", "running"]
    first.die()
    assert second.claim(ADDRESSES[:3]) == [], "that it is dead, the next one to start finds out"
    third = Process(toy.path)
    assert third.claim(ADDRESSES[:4]) == ADDRESSES[:3]
    assert states(toy) == ["killed", "running", "running"]
    second.end("done")
    third.end("done")


def test_a_lock_file_that_is_left_alone_holds_nobody_up(toy: Store) -> None:
    toy.path.with_name(f"{toy.path.name}-1.lock").touch()
    assert run(toy, Owl()).done == 450
    assert locks(toy.path.parent) == []


def test_another_name_of_the_database_has_the_same_locks(store: Store) -> None:
    link = store.path.with_name("link.db")
    link.symlink_to(store.path)
    with open_store(link) as other, claiming(store, "1") as ours, claiming(other, "1") as theirs:
        assert (ours, theirs) == (True, False)


def test_a_lock_is_never_held_twice(store: Store) -> None:
    """Not even while its file goes: threads that open it themselves exclude each other as processes do."""
    inside, most, held_at_all = 0, 0, 0

    def contend(_number: int) -> None:
        nonlocal inside, most, held_at_all
        for _ in range(150):
            with claiming(store, "lock") as held:
                if held:
                    inside += 1
                    time.sleep(0.0001)
                    most = max(most, inside)
                    held_at_all += 1
                    inside -= 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(contend, range(6)))
    finally:
        sys.setswitchinterval(before)
    assert held_at_all
    assert most == 1
    assert locks(store.path.parent) == []
