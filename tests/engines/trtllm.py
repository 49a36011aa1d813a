"""trtllm-serve, TensorRT-LLM's OpenAI server, as far as a client meets it."""

from __future__ import annotations

from typing import Any

from tests.engines.openai_like import prompt_tokens, streamed
from tests.engines.server import Reply, Request, StandIn

# tensorrt_llm/serve/openai_protocol.py, ChatCompletionRequest: what of its fields a client of
# text may send. `max_completion_tokens` has the alias `max_tokens`, so one of the two is taken.
FIELDS = {
    "messages",
    "model",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "user",
    "reasoning_effort",
    "top_k",
    "min_p",
    "repetition_penalty",
    "stop_token_ids",
    "ignore_eos",
    "min_tokens",
    "skip_special_tokens",
    "add_generation_prompt",
    "chat_template_kwargs",
}


class TrtLlm(StandIn):
    """trtllm-serve 1.2.1 on the PyTorch backend, without chunked prefill."""

    model = "gpt-oss-20b"
    max_num_tokens = 384
    """The longest prompt."""
    healthy = True
    guided = True
    """Whether it was started with `guided_decoding_backend`."""

    def answer(self, request: Request) -> Reply:
        match request.method, request.path:
            case "GET", "/health":
                # tensorrt_llm/serve/openai_server.py, health
                if self.healthy:
                    return Reply()
                text = "LLM is unavailable. Please check the server logs for more details."
                return Reply(503, text, kind="text/plain")
            case "GET", "/version":
                return Reply(body={"version": "1.2.1"})
            case "GET", "/v1/models":  # no word of a context length
                card = {"id": self.model, "object": "model", "owned_by": "tensorrt_llm"}
                return Reply(body={"object": "list", "data": [card]})
            case "POST", "/v1/chat/completions":
                return self._chat(request.body or {})
        return Reply(404, {"detail": "Not Found"})

    def _chat(self, body: dict[str, Any]) -> Reply:
        if self.script.reply:
            return self.script.reply
        # OpenAIBaseModel forbids extra fields; the handler of RequestValidationError answers with
        # a bare text under `error`.
        extra = sorted(set(body) - FIELDS)
        if {"max_tokens", "max_completion_tokens"} <= set(body):
            extra.append("max_completion_tokens")
        if "messages" not in body:
            missing = {"type": "missing", "loc": ("body", "messages"), "msg": "Field required"}
            return Reply(400, {"error": str([missing])})
        if extra:
            detail = {"type": "extra_forbidden", "loc": ("body", extra[0])}
            detail["msg"] = "Extra inputs are not permitted"
            return Reply(400, {"error": str([detail])})
        if body.get("stream_options") and not body.get("stream"):
            return self._error("Stream options can only be defined when stream is true.")
        prompt = prompt_tokens(body)
        # tensorrt_llm/executor/base_worker.py and llmapi/llm.py, both reached by long prompts
        if prompt >= self.context:
            return self._error(
                f"`default_max_tokens` ({self.context - prompt}) must be greater than 0,"
                f" `default_max_tokens` ({self.context - prompt}) = max_seq_len ({self.context})"
                f" - `splited_prompt_len` ({prompt}) - `query_token_len` (0)"
            )
        if prompt > self.max_num_tokens:
            return self._error(
                f"The sum of prompt length ({prompt}.0), query length (0) should not exceed"
                f" max_num_tokens ({self.max_num_tokens})"
            )
        # Too large a limit is clamped without a word.
        asked = body.get("max_tokens") or body.get("max_completion_tokens")
        room = self.context - prompt
        limit = min(asked, room) if asked else room
        return streamed(
            self, body, schema=self._schema(body), limit=limit, reasoning_field="reasoning_content"
        )

    def _schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        # _response_format_to_guided_decoding_params of 1.2.1: `json` takes the schema beside it;
        # `json_schema` passes OpenAI's wrapper on as if it were the schema, which then allows
        # anything. Without a backend for guidance every format is ignored.
        shape = body.get("response_format") or {}
        if not self.guided:
            return None
        schema: dict[str, Any] | None = shape.get(
            "schema" if shape.get("type") == "json" else "json_schema"
        )
        return schema

    @staticmethod
    def _error(message: str) -> Reply:
        # create_error_response: a flat object with an integer code
        error = {"object": "error", "message": message, "type": "BadRequestError"}
        return Reply(400, error | {"param": None, "code": 400})
