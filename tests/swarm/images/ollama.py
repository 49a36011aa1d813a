#!/usr/bin/env python3
"""`ollama serve`, `ollama pull MODEL` and `ollama list`, as far as compose.ollama.yml uses them."""

import json
import os
import signal
import sys
import urllib.request

from tests.engines.ollama import Ollama
from tests.engines.server import Reply, Request
from tests.engines.speech import told


class Pulling(Ollama):
    """It has the model that it is told to pull, and none before."""

    address = "0.0.0.0"
    wanted_port = 11434
    model = ""
    context = 8192

    def answer(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/api/pull"):
            self.model = request.body["model"]
            return Reply(body={"status": "success"})
        if request.path == "/api/chat":
            body = request.body
            self.script.text = told(body.get("format"), body["messages"][-1]["content"])
        return super().answer(request)


def ask(path: str, body: object = None) -> None:
    url = os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434") + path
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as said:
        sys.stdout.write(said.read().decode())


match sys.argv[1:]:
    case ["serve"]:
        with Pulling():
            signal.sigwait({signal.SIGTERM, signal.SIGINT})
    case ["pull", model]:
        ask("/api/pull", {"model": model})
    case ["list"]:
        ask("/api/tags")
