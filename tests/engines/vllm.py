"""vLLM's OpenAI server, as far as a client meets it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tests.engines.openai_like import prompt_tokens, streamed
from tests.engines.server import Reply, Request, StandIn
from tests.engines.speech import words


class Vllm(StandIn):
    """vLLM 0.11 and newer."""

    model = "Qwen/Qwen3-8B"

    def answer(self, request: Request) -> Reply:
        # vllm/entrypoints/openai/api_server.py, AuthenticationMiddleware: only /v1 is guarded.
        guarded = request.path.startswith("/v1")
        if guarded and self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply(401, {"error": "Unauthorized"})
        match request.method, request.path:
            case "GET", "/health":  # an empty 200
                return Reply()
            case "GET", "/version":
                return Reply(body={"version": "0.11.2"})
            case "GET", "/v1/models":
                # vllm/entrypoints/openai/engine/protocol.py, ModelCard
                card = {
                    "id": self.model,
                    "object": "model",
                    "owned_by": "vllm",
                    "root": self.model,
                    "max_model_len": self.context,
                }
                return Reply(body={"object": "list", "data": [card]})
            case "POST", "/tokenize":
                # vllm/entrypoints/serve/tokenize/protocol.py: `prompt` or `messages`
                tokens = list(range(len(words((request.body or {})["prompt"]))))
                count = len(tokens)
                return Reply(body={"count": count, "max_model_len": self.context, "tokens": tokens})
            case "POST", "/v1/chat/completions":
                return self._chat(request.body or {})
        return Reply(404, {"detail": "Not Found"})

    def _chat(self, body: dict[str, Any]) -> Reply:
        if self.script.reply:
            return self.script.reply
        # vllm/entrypoints/openai/models/serving.py
        if body.get("model") != self.model:
            return self._error(404, f"The model `{body.get('model')}` does not exist.")
        # Unknown fields are allowed, and both names of the limit are
        # (vllm/entrypoints/openai/chat_completion/protocol.py).
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        prompt = prompt_tokens(body)
        if limit is None:
            limit = self.context - prompt
        # vllm/renderers/params.py: refused, never clamped.
        if prompt + limit > self.context:
            return self._error(
                400,
                f"This model's maximum context length is {self.context} tokens. However, you"
                f" requested {limit} output tokens and your prompt contains at least {prompt}"
                f" input tokens, for a total of at least {prompt + limit} tokens. Please reduce"
                " the length of the input prompt or the number of requested output tokens.",
            )
        shape = body.get("response_format") or {}
        schema = (shape.get("json_schema") or {}).get("schema")
        return streamed(self, body, schema=schema, limit=limit, reasoning_field="reasoning")

    @staticmethod
    def _error(status: int, message: str) -> Reply:
        # vllm/entrypoints/openai/engine/protocol.py, ErrorResponse
        kind = "NotFoundError" if status == 404 else f"{HTTPStatus(status).phrase}Error"
        error = {"message": message, "type": kind.replace(" ", ""), "param": None, "code": status}
        return Reply(status, {"error": error})
