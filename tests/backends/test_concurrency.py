"""How many requests an endpoint gets at once, against a simulated engine on a clock that only the simulation moves."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from itertools import count, pairwise
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
        """Ask as many at once as `limit` says, until so many replies have come. A place is taken until the answer, and
        then for as long as `limit` holds it."""
        draw = random.Random(self.seed)
        free = [0.0] * self.places
        events: list[tuple[float, int, float | None]] = []  # (when, number, sent; None: a held place becomes free)
        numbers = count()
        taken = working = done = 0
        now = area = since = 0.0
        limit.begin(now)
        while done < replies:
            while taken < limit.limit:
                taken += 1
                if self.refuses and working >= self.places:
                    self.refused += 1
                    limit.refused(now, now)
                    heapq.heappush(events, (now + limit.hold(now, now, refused=True), next(numbers), None))
                    continue
                ends = max(now, heapq.heappop(free)) + self._service(draw)
                heapq.heappush(free, ends)
                heapq.heappush(events, (ends, next(numbers), now))
                working += 1
            when, _, sent = heapq.heappop(events)
            area += limit.limit * max(0.0, when - now)
            now = max(now, when)
            full, held = taken >= limit.limit, 0.0
            if sent is not None:
                working -= 1
                limit.replied(sent, now, full=full)
                held = limit.hold(sent, now, refused=False)
                if done == replies // 3:
                    area, since = 0.0, now
                done += 1
            if held:
                heapq.heappush(events, (now + held, next(numbers), None))
            else:
                taken -= 1
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


def test_refusals_of_one_volley_count_once() -> None:
    limit = ConcurrencyLimit()
    limit.begin(0.0)
    for number in range(16):
        limit.refused(0.0, 1.0 + number / 100)
    assert [limit for _, limit, _ in limit.history] == [16, 4]
    for _ in range(4):
        assert limit.limit == 4
        limit.refused(1.5, 2.0)
    assert limit.history[-1] == (2.0, 1, "429")


def test_without_any_reply_refusals_never_go_below_one_request() -> None:
    limit = ConcurrencyLimit()
    limit.begin(0.0)
    for second in range(1, 40):
        limit.refused(second, second)
    assert [limit for _, limit, _ in limit.history] == [16, 4, 1]
    assert limit.hold(40.0, 40.0, refused=True) == 0  # no reply time is known: the requests' own waits are all


def test_a_single_refusal_changes_nothing() -> None:
    limit, now = ConcurrencyLimit(), 0.0
    limit.begin(now)
    limit.refused(now, now)
    reply_round(limit, now)
    assert limit.history == [(0.0, 16, "start")]


def test_after_a_time_out_it_climbs_back_to_what_was_good_and_tries_more_only_later() -> None:
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
    limit.timed_out(now, now)
    assert limits(16) == [64] * 16
    assert limits(2) == [72, 81]
    limit.timed_out(now, now)
    assert limit.limit == 40
    assert limits(15) == [50, 62, *[72] * 13]
    assert limits(6)[-1] > 72


@dataclass
class Meter:
    """An endpoint that allows `rate` requests per second (None: any number), whatever is in flight, and refuses the
    share `at_random` of those that it allows. A reply takes `seconds` on average, half as long to three halves; a
    refusal over the rate comes at once."""

    rate: float | None
    at_random: float = 0.0
    seconds: float = 0.03
    seed: int = 0
    sent: int = 0
    over: int = 0

    @property
    def _bucket(self) -> float:
        """Requests that may come at once."""
        return max(4.0, self.rate or 0.0)

    def run(self, limit: ConcurrencyLimit, until: float) -> None:
        """Send as many requests as `limit` allows for so many seconds; count only the second half."""
        draw = random.Random(self.seed)
        numbers = count()
        events: list[tuple[float, int, float | None, bool]] = []  # (when, number, sent; None: a held place, refused)
        taken, now, credit, filled = 0, 0.0, self._bucket, 0.0
        limit.begin(now)
        while now < until:
            while taken < limit.limit:
                taken += 1
                credit, filled = min(self._bucket, credit + (now - filled) * (self.rate or 0)), now
                over = self.rate is not None and credit < 1
                credit -= not over
                refused = over or draw.random() < self.at_random
                when = now + (0.001 if over else self.seconds * draw.uniform(0.5, 1.5))
                heapq.heappush(events, (when, next(numbers), now, refused))
                self.sent += now > until / 2
                self.over += over and now > until / 2
            now, _, sent, refused = heapq.heappop(events)
            held = 0.0
            if sent is not None:
                if refused:
                    limit.refused(sent, now)
                else:
                    limit.replied(sent, now, full=taken >= limit.limit)
                held = limit.hold(sent, now, refused=refused)
            if held:
                heapq.heappush(events, (now + held, next(numbers), None, False))
            else:
                taken -= 1


@pytest.mark.parametrize("at_random", [0.0, 0.15])
@pytest.mark.parametrize(("rate", "seconds"), [(1.0, 0.03), (1.0, 4.0), (20.0, 0.03), (20.0, 4.0), (200.0, 0.03)])
def test_an_endpoint_that_meters_requests_gets_what_it_allows_and_little_more(
    rate: float, seconds: float, at_random: float
) -> None:
    until = 200 * max(1.0, seconds, 10 / rate)
    used, over = [], []
    for seed in range(5):
        meter = Meter(rate, at_random, seconds, seed)
        meter.run(ConcurrencyLimit(), until)
        used.append((meter.sent - meter.over) / (rate * until / 2))
        over.append(meter.over / meter.sent)
    assert median(used) > (0.7 if rate > 1 else 0.4)  # few requests prove little
    assert median(over) < 0.15


def test_refusals_at_random_alone_do_not_lower_the_limit() -> None:
    limits = [ConcurrencyLimit() for _ in range(5)]
    for seed, limit in enumerate(limits):
        Meter(None, 0.15, seconds=1.0, seed=seed).run(limit, 100.0)
    assert min(limit.limit for limit in limits) >= 8
    assert median(limit.limit for limit in limits) > 512
    assert any(limit.refuses_at_random for limit in limits)


def test_random_refusals_that_end_are_forgotten() -> None:
    limit = ConcurrencyLimit()
    Meter(None, 0.15, seconds=1.0).run(limit, 60.0)
    assert limit.refuses_at_random
    Meter(None, 0.0, seconds=1.0).run(limit, 60.0)
    assert not limit.refuses_at_random


@settings(deadline=None, max_examples=50)
@given(waits=st.lists(st.floats(0.1, 100), min_size=1, max_size=60), fixed=st.integers(1, 4000), refused=st.booleans())
def test_a_fixed_limit_stays(waits: list[float], fixed: int, refused: bool) -> None:
    limit, now = ConcurrencyLimit(fixed), 0.0
    limit.begin(now)
    for wait in waits:
        for _ in range(min(fixed, 50)):
            limit.replied(now, now + wait, full=True)
        if refused:
            limit.refused(now, now + wait)
        now += wait
    assert limit.limit == fixed
    assert limit.history == [(0.0, fixed, "fixed")]


@settings(deadline=None, max_examples=50)
@given(stale=st.lists(st.tuples(st.floats(0, 4.9), st.floats(0, 90), st.booleans()), min_size=1, max_size=200))
def test_replies_sent_before_a_cut_say_nothing_of_the_pace_after_it(stale: list[tuple[float, float, bool]]) -> None:
    def history(late: list[tuple[float, float, bool]]) -> list[tuple[float, int, str]]:
        limit, now = ConcurrencyLimit(), 5.0
        limit.begin(0.0)
        limit.refused(now, now)
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
            limit.refused(now if flag else now - seconds, now)
            now += seconds
        assert 1 <= limit.limit <= 1024
        if limit.limit != seen[-1]:
            seen.append(limit.limit)
    recorded = [limit for _, limit, _ in limit.history]
    assert set(seen) <= set(recorded)
    assert recorded[-1] == limit.limit
    assert all(one != other for one, other in pairwise(recorded))
    assert all(one[0] <= other[0] for one, other in pairwise(limit.history))
