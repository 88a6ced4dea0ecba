"""How a hub's answers about a model are reported: a loopback server plays the hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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
