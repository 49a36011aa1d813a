"""Ollama's own API, as far as a client meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.engines.openai_like import prompt_tokens
from tests.engines.server import Reply, Request, StandIn
from tests.engines.speech import words


class Ollama(StandIn):
    """Ollama 0.30 and newer; one model that was pulled."""

    model = "llama3.2:3b"
    context = 2048
    """The model's own; a request pins less of it with `num_ctx`."""
    default_context = 256
    thinks = False
    """Whether the model has the capability of thinking."""

    def answer(self, request: Request) -> Reply:
        body = request.body or {}
        match request.method, request.path:
            case "GET", "/api/version":
                return Reply(body={"version": "0.33.3"})
            case "GET", "/api/tags":
                card = {"name": self.model, "model": self.model, "size": 2019393189}
                return Reply(body={"models": [card]})
            case "GET", "/v1/models":
                card = {"id": self.model, "object": "model", "owned_by": "library"}
                return Reply(body={"object": "list", "data": [card]})
            case "POST", "/api/show":
                info = {"general.architecture": "llama", "llama.context_length": self.context}
                return Reply(body={"model_info": info, "capabilities": ["completion"]})
            case "POST", "/api/chat":
                return self._chat(body)
        return Reply(404, "404 page not found", kind="text/plain")

    def _chat(self, body: dict[str, Any]) -> Reply:
        if self.script.reply:
            return self.script.reply
        # server/routes.go, ChatHandler
        if body.get("model") != self.model:
            return Reply(404, {"error": f"model '{body.get('model')}' not found"})
        if body.get("think") and not self.thinks:
            return Reply(400, {"error": f'"{self.model}" does not support thinking'})
        options = body.get("options") or {}
        window = min(options.get("num_ctx", self.default_context), self.context)
        tokens = prompt_tokens(body)
        if tokens > window:
            # server/prompt.go drops the oldest text silently, unless `truncate` is false; then the
            # runner's own error comes through as JSON inside JSON.
            if body.get("truncate", True):
                tokens = window // 2
            else:
                inner = {
                    "code": 400,
                    "message": f"request ({tokens} tokens) exceeds the available context size"
                    f" ({window} tokens), try increasing it",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": tokens,
                    "n_ctx": window,
                }
                return Reply(400, {"error": json.dumps({"error": inner})})
        limit = min(options.get("num_predict", window), window - tokens)
        lines = self._lines(body, tokens, limit)
        return Reply(parts=lines, kind="application/x-ndjson")

    def _lines(self, body: Mapping[str, Any], tokens: int, limit: int) -> Iterator[bytes]:
        # api/types.go, ChatResponse: one JSON object a line, the last with the counts
        def line(message: Mapping[str, Any], **more: Any) -> bytes:
            value = {"model": self.model, "created_at": "2026-11-23T00:00:00Z"}
            said = {"role": "assistant", "content": "", **message}
            return json.dumps({**value, "message": said, "done": False, **more}).encode() + b"\n"

        script = self.script
        thought = words(script.reasoning) if body.get("think", True) else []
        said = script.tokens(body.get("format"), body)
        room = max(limit - len(thought), 0)
        for token in thought[:limit]:
            yield line({"thinking": token})
        for token in said[:room]:
            yield line({"content": token})
        counts = {"prompt_eval_count": tokens, "eval_count": min(len(thought) + len(said), limit)}
        finish = "length" if len(said) > room else script.finish
        yield line({}, done=True, done_reason=finish, **(counts if script.usage else {}))
