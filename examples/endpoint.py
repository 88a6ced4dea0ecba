"""An OpenAI-compatible endpoint on this machine that answers with fixed texts: for examples without a key.

    python examples/endpoint.py     # prints the URL, and serves until Ctrl-C

It names the right option when the prompt does, as a teacher with teacher-forcing would, and counts tokens as words.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def reply(prompt: str) -> str:
    """An explanation for the last answer that the prompt states."""
    answers = re.findall(r"answer[^\n]*?:\s*(?:\([a-z]\)\s*)?([^\n]+)", prompt, re.IGNORECASE)
    answer = answers[-1].strip().rstrip(".") if answers else "the first option"
    return f"The question asks for what fits the situation best. Only '{answer}' follows from how such things work."


class Completions(BaseHTTPRequestHandler):
    """POST /v1/chat/completions."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = "\n".join(message["content"] for message in body["messages"])
        text = reply(prompt)
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        answer = {
            "id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }  # fmt: skip
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are counted by tinyllm; no log."""


class Endpoint(ThreadingHTTPServer):
    request_queue_size = 1024  # of the default's 5, a client that opens many connections at once would lose some


def serve(port: int = 0) -> str:
    """Start an endpoint that lives as long as this process, and return its base URL. Port 0 is any free one."""
    server = Endpoint(("127.0.0.1", port), Completions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/v1"


if __name__ == "__main__":
    print(serve(), flush=True)
    threading.Event().wait()
