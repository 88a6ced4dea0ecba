"""How a hub's answers about a model are reported: a loopback server plays the hub."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backends import hub as hub_check
from tests.conftest import Command


class _Hub(BaseHTTPRequestHandler):
    """Knows two models: `owner/gated`, which wants a token, and nothing else."""

    def _answer(self) -> None:
        gated = "/owner/gated" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("X-Error-Message", "Access to model owner/gated is restricted." if gated else "Not found")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = _answer

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("owner/gated", ["owner/gated is gated", "HF_TOKEN", "smollm2"]),
        ("owner/missing", ["The hub has no model called owner/missing", "smollm2"]),
    ],
)
def test_a_model_that_the_hub_refuses(tinyllm: Command, tmp_path: Path, hub: str, model: str, said: list[str]) -> None:
    done = tinyllm(
        "eval", "--model", model, "--dataset", "everyday", "--scoring", "rank",
        HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "home"),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert all(text in done.stderr for text in said), done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_folder_names_the_similar_ones_beside_it(tinyllm: Command, tmp_path: Path) -> None:
    for name in ("my-student", "my-students"):
        (tmp_path / "students" / name).mkdir(parents=True)
        (tmp_path / "students" / name / "config.json").write_text("{}")
    (tmp_path / "students" / "my-studen").mkdir()  # holds no model
    for wrong in ("students/my-studnt", "./students/my-studnt"):
        done = tinyllm("predict", "Why?", "-o", "a", "-o", "b", "--model", wrong, HF_ENDPOINT="http://127.0.0.1:9")
        assert done.returncode == 1
        assert "Did you mean students/my-student or students/my-students?" in " ".join(done.stderr.split())


def test_a_hub_that_never_answers_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_check, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not hub_check._answers(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_hub_that_answers_with_an_error_is_there(hub: str) -> None:
    assert hub_check._answers(hub)
