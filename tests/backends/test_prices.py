"""What a hosted teacher charges, and the most that a request can take."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import backends
from backends.base import Hosted, Message, Prices, Request, Sampling
from backends.hosted.prices import is_private
from tests.conftest import answers
from tests.endpoint import Answer, Body, completion, serving

pytestmark = pytest.mark.usefixtures("key")
OPENAI = "https://api.openai.com/v1"


def hosted(**options: object) -> Hosted:
    teacher = backends.create("openai", {"model": "m", **options})
    assert isinstance(teacher, Hosted)
    return teacher


def test_own_prices_win_over_the_list() -> None:
    teacher = hosted(model="gpt-4o-mini", base_url=OPENAI, price_prompt=3.0, price_completion=4)
    assert teacher.prices() == Prices(prompt=3.0, completion=4.0, source="tinyllm.toml")
    assert teacher.costs_money()


def test_the_list_knows_what_the_provider_charges() -> None:
    prices = hosted(model="gpt-4o-mini", base_url=OPENAI).prices()
    assert prices is not None
    assert (prices.prompt, prices.completion) == (pytest.approx(0.15), pytest.approx(0.6))
    assert prices.source == "genai-prices"


def test_without_a_base_url_the_provider_is_openai() -> None:
    assert hosted(model="gpt-4o-mini").prices() == hosted(model="gpt-4o-mini", base_url=OPENAI).prices()


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("a-model-that-nobody-sells", OPENAI),
        ("gpt-4o-mini", "http://127.0.0.1:8000/v1"),
        ("gpt-4o-mini", "http://localhost:8000/v1"),
        ("gpt-4o-mini", "http://gpu-7.internal/v1"),
        ("gpt-4o-mini", "https://llm.example.com/v1"),
    ],
)
def test_what_is_not_listed_is_unknown_and_never_nothing(model: str, url: str) -> None:
    assert hosted(model=model, base_url=url).prices() is None


def test_endpoints_of_different_prices_have_none_together() -> None:
    urls = [OPENAI, "https://llm.example.com/v1"]
    assert hosted(model="gpt-4o-mini", base_urls=urls).prices() is None
    assert hosted(model="gpt-4o-mini", base_urls=urls).costs_money()


@pytest.mark.parametrize(
    ("url", "costs"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://192.168.3.4/v1", False),
        ("http://vllm:8000/v1", False),
        ("http://box.local/v1", False),
        ("https://llm.example.com/v1", True),
        ("https://8.8.8.8/v1", True),
        (OPENAI, True),
    ],
)
def test_only_endpoints_of_the_own_network_are_free_without_a_price(url: str, costs: bool) -> None:
    assert hosted(base_url=url).costs_money() is costs
    assert is_private(url) is not costs


def test_a_price_of_zero_is_a_price() -> None:
    teacher = hosted(base_url=OPENAI, price_prompt=0, price_completion=0)
    assert teacher.prices() == Prices(prompt=0.0, completion=0.0, source="tinyllm.toml")
    assert not teacher.costs_money()


def request_of(text: str, number: int = 0) -> Request:
    return Request(split="train", key=str(number), messages=(Message(role="user", content=text),))


def test_an_endpoint_that_is_asked_once_only_takes_half() -> None:
    sampling = Sampling(max_tokens=100)
    once = hosted(base_url="http://a/v1", length_retry_factor=1).at_most(request_of("Why?" * 25), sampling)
    twice = hosted(base_url="http://a/v1", length_retry_factor=3).at_most(request_of("Why?" * 25), sampling)
    assert 100 <= once[0] <= 200
    assert once[1] == 100
    assert twice == (2 * once[0], 400)


def counted(text: str, density: float, wrapping: int) -> int:
    """As a server with a token for every byte of what is not ASCII, and `density` tokens a character of what is."""
    plain = len(text.encode("ascii", "ignore"))
    return ceil(plain * density) + len(text.encode()) - plain + wrapping


TEXTS = st.text(st.characters(codec="ascii"), min_size=1, max_size=99) | st.text(min_size=1, max_size=99)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.tuples(TEXTS, st.integers(1, 40)), min_size=1, max_size=6),
    density=st.floats(0.05, 1),
    spread=st.floats(0.3, 1),
    wrapping=st.integers(0, 60),
    talk=st.integers(1, 99),
    factor=st.sampled_from([1.0, 1.5, 2.0]),
)
@example(texts=[("Why is it so? ", 99)] * 6, density=0.3, spread=0.4, wrapping=0, talk=9, factor=1.0)
def test_no_request_takes_more_than_was_said_before(
    texts: list[tuple[str, int]], density: float, spread: float, wrapping: int, talk: int, factor: float
) -> None:
    """Whatever the replies before it taught: of a server with at most a token a byte, where no prompt has more than a
    quarter more tokens a character than the first."""
    said: dict[str, tuple[int, int]] = {}
    sampling = Sampling(max_tokens=60)

    def behave(number: int, body: Body) -> Answer:
        text = body["messages"][0]["content"]
        prompt = counted(text, density * (0.8, 1, spread)[min(number, 1 + number % 2)], wrapping)
        return Answer(body=completion("So.", tokens=(prompt, min(talk, body["max_tokens"]))))

    def requests() -> Iterator[Request]:
        for number, (text, times) in enumerate(texts):
            request = request_of(text * times, number)
            said[request.key] = teacher.at_most(request, sampling)
            yield request

    with serving(behave) as endpoint:
        teacher = hosted(base_url=endpoint.url, max_in_flight=1, length_retry_factor=factor)
        found = answers(teacher, requests(), sampling)
    assert len(found) == len(texts)
    for request, outcome in found:
        assert (outcome.prompt_tokens or 0) <= said[request.key][0]
        assert (outcome.completion_tokens or 0) <= said[request.key][1]


def test_what_replies_teach_makes_the_most_a_better_guess() -> None:
    text = "Why is this so, and not otherwise? " * 20
    with serving(lambda _n, _b: Answer(body=completion("So.", tokens=(len(text) // 5, 3)))) as endpoint:
        teacher = hosted(base_url=endpoint.url)
        before = teacher.at_most(request_of(text), Sampling())
        answers(teacher, [request_of(text)])
        after = teacher.at_most(request_of(text), Sampling())
    assert 2 * len(text) <= before[0]
    assert 2 * len(text) / 5 <= after[0] < before[0] / 2
