"""A real HTTP server on loopback that speaks the part of the hub's API that an upload uses.

Names and shapes are those that huggingface_hub sends and reads: whoami, repository info, create, the check of a card,
preupload (which file goes where), git LFS, and a commit of JSON lines.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_this_is_a_secret_0123456789"


@dataclass
class Repository:
    """What was uploaded, by path."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class HubServer:
    """`repositories` by (type, name). `lfs` are uploaded objects by hash. `fail` maps a part of a path to (status,
    message) that a request there gets."""

    url: str = ""
    account: str = "me"
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    fail: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, Any]:
        path = path.partition("?")[0]
        self.requests.append((method, path))
        for part, (status, message) in self.fail.items():
            if part in path:
                return status, {"error": message}
        if method == "PUT":  # storage, which signs its URLs
            digest = path.rpartition("/")[2]
            assert hashlib.sha256(body).hexdigest() == digest
            self.lfs[digest] = body
            return 200, {}
        if token != TOKEN:
            return 401, {"error": "Invalid credentials in Authorization header"}
        if path.endswith("/info/lfs/objects/batch"):
            return 200, {"objects": [self._lfs_object(one) for one in json.loads(body)["objects"]]}
        assert path.startswith("/api/"), path
        return self._api(method, path.removeprefix("/api/"), body)

    def _lfs_object(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.lfs:
            return one
        return {**one, "actions": {"upload": {"href": f"{self.url}/storage/{one['oid']}"}}}

    def _api(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path == "whoami-v2":
            return 200, {"name": self.account, "type": "user"}
        if path == "validate-yaml":
            content = json.loads(body)["content"]
            return (200, {}) if content.startswith("---\n") else (400, {"errors": [{"message": "no metadata"}]})
        if path == "repos/create":
            return self._create(json.loads(body))
        kind, owner, name, *rest = path.split("/")
        key = kind.removesuffix("s"), f"{owner}/{name}"
        repository = self.repositories.get(key)
        if repository is None:
            return 404, {"error": "Repository not found"}
        if not rest:
            return 200, {"id": key[1], "private": repository.private, "sha": "0" * 40}
        if rest[0] == "preupload":
            files = json.loads(body)["files"]
            return 200, {"files": [self._mode(one) for one in files]}
        assert rest == ["commit", "main"], rest
        return self._commit(key, repository, body)

    def _create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        if wanted["organization"] != self.account:
            return 403, {"error": f"You don't have the rights to create a model under the namespace {wanted['name']}"}
        key = wanted.get("type", "model"), f"{wanted['organization']}/{wanted['name']}"
        if key in self.repositories:
            return 409, {"error": "You already created this repo", "url": self._address(key)}
        self.repositories[key] = Repository(private=wanted.get("visibility") == "private")
        return 200, {"url": self._address(key)}

    @staticmethod
    def _mode(one: dict[str, Any]) -> dict[str, Any]:
        large = one["path"].endswith((".safetensors", ".model")) or one["size"] > 10_000_000
        return {"path": one["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def _commit(self, key: tuple[str, str], repository: Repository, body: bytes) -> tuple[int, Any]:
        for line in body.splitlines():
            part = json.loads(line)
            value = part["value"]
            if part["key"] == "header":
                repository.commits.append(value["summary"])
            elif part["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert part["key"] == "lfsFile", part
                repository.files[value["path"]] = self.lfs[value["oid"]]
        oid = hashlib.sha1(body).hexdigest()
        return 200, {"commitUrl": f"{self._address(key)}/commit/{oid}", "commitOid": oid, "success": True}

    def _address(self, key: tuple[str, str]) -> str:
        return f"{self.url}/{'datasets/' if key[0] == 'dataset' else ''}{key[1]}"


@contextmanager
def serving_hub() -> Iterator[HubServer]:
    """The hub, in threads of its own."""
    hub = HubServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PUT = do_GET

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            try:
                status, answer = hub.answer(self.command, self.path, token, body)
            except (AssertionError, KeyError, ValueError) as error:  # not what the hub takes: the test shows it
                status, answer = 500, {"error": f"{type(error).__name__}: {error}"}
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            if status >= 400 and status != 500:
                code = "RepoNotFound" if status == 404 else ""
                self.send_header("X-Error-Code", code)
                self.send_header("X-Error-Message", str(answer.get("error", "")))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
