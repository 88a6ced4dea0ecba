"""What surrounds an endpoint: proxies and certificates of the environment, and servers that don't speak HTTP."""

from __future__ import annotations

import gzip
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import backends
from backends.base import BadTeacherConfig, BatchState, OutOfReach, TeacherError
from backends.hosted.batch_api import OpenAIBatches
from backends.hosted.client import LARGEST_FILE, LARGEST_REPLY
from backends.network import proxy_for
from backends.openai_compatible import OpenAICompatibleTeacher
from tests.conftest import answers
from tests.endpoint import SAMPLING, Answer, ask, serving, text_of
from tests.relay import relaying

pytestmark = pytest.mark.usefixtures("key", "no_proxies")
HEAD = b"HTTP/1.1 200 OK\r\n"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def sending(reply: bytes, *, at_once: bool = False) -> Iterator[str]:
    """A server that sends `reply`, whatever it gets, and closes; `at_once`: before it gets anything. Its URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if not at_once:
                self.request.recv(65536)
            self.request.sendall(reply)
            self.request.settimeout(2.0)
            try:
                self.request.recv(65536)
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """A client that leaves is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def teacher(url: str, **settings: Any) -> OpenAICompatibleTeacher:
    made = backends.create("openai", {"model": "m", "base_url": url, "give_up_after": 0.5, "timeout": 5.0, **settings})
    assert isinstance(made, OpenAICompatibleTeacher)
    return made


NO_HTTP = {
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x16",
    "a header of 9 kB": HEAD + b"X-A: " + b"a" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "noise": b"\x00\xff" * 100,
    "no length": HEAD + b"Content-Length: abc\r\n\r\n",
    "a wrong chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", NO_HTTP)
def test_a_server_that_does_not_speak_http_is_an_endpoint_that_does_not_answer(kind: str) -> None:
    with sending(NO_HTTP[kind], at_once=kind == "an SSH banner") as url:
        with pytest.raises(TeacherError, match="does not answer as it should"):
            answers(teacher(url), ask(20), SAMPLING)
        if kind != "a header of 9 kB":  # which the other client takes
            with pytest.raises(TeacherError):
                teacher(url).batches().find("token")


def test_another_endpoint_does_the_work_of_one_that_does_not_speak_http() -> None:
    with sending(NO_HTTP["an SSH banner"]) as wrong, serving(lambda _n, _b: Answer()) as right:
        made = backends.create("openai", {"model": "m", "base_urls": [wrong, right.url]})
        found = answers(made, ask(60), SAMPLING)
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert len(found) == 60


BOMB = gzip.compress(b"{" + b" " * 40_000_000)


def test_a_compressed_answer_is_refused_before_it_fills_the_memory() -> None:
    reply = HEAD + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(BOMB), BOMB)
    with sending(reply) as url:
        with pytest.raises(TeacherError, match=r"the answer is compressed \(gzip\)"):
            answers(teacher(url), ask(20), SAMPLING)
        with pytest.raises(OutOfReach, match=r"the answer is compressed \(gzip\)"):
            teacher(url).batches().find("token")


@pytest.mark.parametrize(("files", "limit"), [((), LARGEST_REPLY), (("f",), LARGEST_FILE)])
def test_answers_about_batches_have_a_limit(files: tuple[str, ...], limit: int) -> None:
    def look(batches: OpenAIBatches) -> object:
        if not files:
            return batches.state("b")
        return list(batches.answers(BatchState(id="b", status="completed", files=files), SAMPLING))

    with (
        sending(HEAD + b"Content-Length: %d\r\n\r\n" % (limit + 1)) as url,
        pytest.raises(OutOfReach, match=r"the answer has [\d,]+ bytes"),
    ):
        look(teacher(url).batches())


def test_a_flood_of_a_batch_is_not_read_to_its_end() -> None:
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    reply = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20
    with sending(reply) as url, pytest.raises(OutOfReach, match="the answer has no end"):
        teacher(url).batches().state("b")


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:7890", "socks5h://u:PASSWORD@h:1", "ftp://h", "http://h:99999"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(BadTeacherConfig, match=f"The proxy in {variable} can't be used") as caught:
        answers(teacher("http://llm.example.com/v1"), ask(1), SAMPLING)
    assert "NO_PROXY" in caught.value.hint
    assert "PASSWORD" not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(BadTeacherConfig, match=variable):
        teacher("http://llm.example.com/v1").batches().find("token")


def test_no_proxy_covers_an_endpoint_whatever_the_proxy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:7890")
    monkeypatch.setenv("NO_PROXY", "localhost,.internal")
    assert proxy_for("http://llm.internal/v1") is None
    with serving(lambda _n, _b: Answer()) as endpoint:
        assert len(answers(teacher(endpoint.url), ask(3), SAMPLING)) == 3


def test_requests_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda _n, _b: Answer()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        found = answers(teacher("http://llm.example.com/v1"), ask(1), SAMPLING)
    assert text_of(found[0][1]) == "It follows."
    assert proxy.paths == ["http://llm.example.com/v1/chat/completions"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("h:3128", "http://h:3128"), ("http://h", "http://h"), ("https://h:1", "https://h:1"), ("", None)],
)
def test_a_proxy_without_a_scheme_is_an_http_proxy(
    stated: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", stated)
    assert proxy_for("https://llm.example.com/v1") == expected
    assert proxy_for("http://llm.example.com/v1") is None
    assert proxy_for("https://127.0.0.1:8000/v1") is None


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named_by_their_variable(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "certificates.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(BadTeacherConfig, match="The certificates in SSL_CERT_FILE can't be read"):
        answers(teacher("http://127.0.0.1:9/v1"), ask(1), SAMPLING)


def test_an_endpoint_behind_a_unix_socket(tmp_path: Path) -> None:
    """How the vLLM server is reached: no port that another user of the machine could take."""
    path = str(tmp_path / "socket")
    with serving(lambda _n, _b: Answer()) as endpoint, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        with relaying(listening, lambda: socket.create_connection(("127.0.0.1", endpoint.port))):
            made = OpenAICompatibleTeacher({"model": "m", "base_url": "http://localhost/v1"}, socket=path)
            found = answers(made, ask(40), SAMPLING)
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert len(endpoint.bodies) == 40
