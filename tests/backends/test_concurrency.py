"""How many requests an endpoint gets at once, against a simulated engine on a clock that only the simulation moves."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.hosted.concurrency import ConcurrencyLimit

SERVICE = 1.0  # seconds that the engine works on a reply


@dataclass
class Settled:
    """The second part of a simulated run: the limit on average, and replies a second."""

    limit: float
    rate: float


@dataclass
class Engine:
    """Works on `places` requests at a time and lets the others queue; or refuses them, with `refuses`."""

    places: int
    noise: float = 0.0
    refuses: bool = False
    seed: int = 0
    refused: int = 0

    def run(self, limit: ConcurrencyLimit, replies: int) -> Settled:
        """Ask as many at once as `limit` says, until so many replies have come."""
        draw = random.Random(self.seed)
        free = [0.0] * self.places
        in_flight: list[tuple[float, float]] = []  # (done, sent)
        now = area = since = 0.0
        limit.begin(now)
        for done in range(replies):
            while len(in_flight) < limit.limit:
                if self.refuses and len(in_flight) >= self.places:
                    self.refused += 1
                    limit.overloaded(now, now)
                    now += 0.01
                    break
                began = max(now, heapq.heappop(free))
                ends = began + self._service(draw)
                heapq.heappush(free, ends)
                heapq.heappush(in_flight, (ends, now))
            if done == replies // 3:
                area, since = 0.0, now
            full = len(in_flight) >= limit.limit
            ends, sent = heapq.heappop(in_flight)
            area += limit.limit * max(0.0, ends - now)
            now = max(now, ends)
            limit.replied(sent, now, full=full)
        return Settled(limit=area / (now - since), rate=(replies - replies // 3) / (now - since))

    def _service(self, draw: random.Random) -> float:
        """Lognormal, with `noise` as its standard deviation."""
        sigma = math.sqrt(math.log(1 + self.noise**2))
        return SERVICE * draw.lognormvariate(-(sigma**2) / 2, sigma)


@pytest.mark.parametrize("places", [1, 4, 20, 64, 200])
def test_a_steady_engine_is_kept_busy_without_a_long_queue(places: int) -> None:
    found = Engine(places).run(ConcurrencyLimit(), 4000 + 100 * places)
    assert found.rate * SERVICE > 0.9 * places
    assert 0.9 * places < found.limit < 4 * places


@pytest.mark.parametrize("places", [4, 20, 64, 200])
def test_an_engine_whose_replies_vary_is_kept_busy_as_well(places: int) -> None:
    found = [Engine(places, noise=0.5, seed=seed).run(ConcurrencyLimit(), 4000 + 100 * places) for seed in range(9)]
    assert median(one.rate for one in found) * SERVICE > 0.9 * places
    assert min(one.rate for one in found) * SERVICE > 0.6 * places
    assert median(one.limit for one in found) < 4 * places + 16


@pytest.mark.parametrize("places", [1, 8, 50, 300])
def test_an_engine_that_refuses_is_kept_busy_and_seldom_has_to(places: int) -> None:
    engine, replies = Engine(places, refuses=True), 4000 + 100 * places
    found = engine.run(ConcurrencyLimit(), replies)
    assert found.rate * SERVICE > 0.8 * places
    assert found.limit <= 1.1 * places
    assert engine.refused < replies / 15


def test_an_engine_that_never_saturates_gets_the_most_there_is() -> None:
    limit = ConcurrencyLimit()
    Engine(5000).run(limit, 5000)
    assert [limit for _, limit, _ in limit.history] == [16, 32, 64, 128, 256, 512, 1024]


def reply_round(limit: ConcurrencyLimit, now: float, *, full: bool = True, seconds: float = SERVICE) -> float:
    """As many replies as there are places, one reply time later."""
    for _ in range(limit.limit):
        limit.replied(now, now + seconds, full=full)
    return now + seconds


def test_places_that_are_not_needed_do_not_become_more() -> None:
    limit, now = ConcurrencyLimit(), 0.0
    limit.begin(now)
    for _ in range(20):
        now = reply_round(limit, now, full=False)
    assert limit.limit == 16
    reply_round(limit, now)
    assert limit.limit == 32


def test_refusals_of_one_volley_halve_it_once() -> None:
    limit = ConcurrencyLimit()
    limit.begin(0.0)
    for number in range(16):
        limit.overloaded(0.0, 1.0 + number / 100)
    assert [limit for _, limit, _ in limit.history] == [16, 8]
    limit.overloaded(1.5, 2.0)
    assert limit.history[-1] == (2.0, 4, "429")


def test_refusals_never_go_below_one_request() -> None:
    limit = ConcurrencyLimit()
    limit.begin(0.0)
    for second in range(1, 20):
        limit.overloaded(second, second)
    assert limit.limit == 1
    assert [limit for _, limit, _ in limit.history] == [16, 8, 4, 2, 1]


def test_after_a_refusal_it_climbs_back_to_what_was_good_and_tries_more_only_later() -> None:
    def limits(rounds: int) -> list[int]:
        nonlocal now
        found = []
        for _ in range(rounds):
            now = reply_round(limit, now)
            found.append(limit.limit)
        return found

    limit, now = ConcurrencyLimit(), 0.0
    limit.begin(now)
    assert limits(3)[-1] == 128
    limit.overloaded(now, now)
    assert limits(16) == [64] * 16
    assert limits(2) == [72, 81]
    limit.overloaded(now, now)
    assert limit.limit == 40
    assert limits(15) == [50, 62, *[72] * 13]
    assert limits(6)[-1] > 72


@settings(deadline=None, max_examples=50)
@given(waits=st.lists(st.floats(0.1, 100), min_size=1, max_size=60), fixed=st.integers(1, 4000), refused=st.booleans())
def test_a_fixed_limit_stays(waits: list[float], fixed: int, refused: bool) -> None:
    limit, now = ConcurrencyLimit(fixed), 0.0
    limit.begin(now)
    for wait in waits:
        for _ in range(min(fixed, 50)):
            limit.replied(now, now + wait, full=True)
        if refused:
            limit.overloaded(now, now + wait)
        now += wait
    assert limit.limit == fixed
    assert limit.history == [(0.0, fixed, "fixed")]


@settings(deadline=None, max_examples=50)
@given(stale=st.lists(st.tuples(st.floats(0, 4.9), st.floats(0, 90), st.booleans()), min_size=1, max_size=200))
def test_replies_sent_before_a_cut_say_nothing_of_the_pace_after_it(stale: list[tuple[float, float, bool]]) -> None:
    def history(late: list[tuple[float, float, bool]]) -> list[tuple[float, int, str]]:
        limit, now = ConcurrencyLimit(), 5.0
        limit.begin(0.0)
        limit.overloaded(now, now)
        for turn in range(40):
            for started, came, full in late[turn::40]:
                limit.replied(started, now + came / 100, full=full)
            now = reply_round(limit, now)
        return limit.history

    assert history(stale) == history([])


EVENTS = st.one_of(
    st.tuples(st.just("replies"), st.floats(0.001, 50), st.booleans()),
    st.tuples(st.just("refusal"), st.floats(0.001, 50), st.booleans()),
)


@settings(deadline=None, max_examples=200)
@given(events=st.lists(EVENTS, max_size=80))
def test_the_limit_stays_within_bounds_and_its_changes_are_recorded(
    events: list[tuple[str, float, bool]],
) -> None:
    limit, now = ConcurrencyLimit(), 0.0
    limit.begin(now)
    seen = [limit.limit]
    for what, seconds, flag in events:
        if what == "replies":
            now = reply_round(limit, now, full=flag, seconds=seconds)
        else:
            limit.overloaded(now if flag else now - seconds, now)
            now += seconds
        assert 1 <= limit.limit <= 1024
        if limit.limit != seen[-1]:
            seen.append(limit.limit)
    recorded = [limit for _, limit, _ in limit.history]
    assert set(seen) <= set(recorded)
    assert recorded[-1] == limit.limit
    assert all(one != other for one, other in pairwise(recorded))
    assert all(one[0] <= other[0] for one, other in pairwise(limit.history))
