"""What vLLM and trtllm-serve have in common: the streamed form of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.engines.server import Reply, Script, StandIn, events
from tests.engines.speech import words


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """The tokens of a request's messages, with three for the template around each."""
    messages = body["messages"]
    return sum(len(words(message["content"])) + 3 for message in messages)


def streamed(
    stand_in: StandIn,
    body: Mapping[str, Any],
    *,
    schema: Mapping[str, Any] | None,
    limit: int,
    reasoning_field: str,
) -> Reply:
    """The answer as server-sent events, cut after `limit` tokens."""
    chunks = _chunks(stand_in.model, stand_in.script, body, schema, limit, reasoning_field)
    return Reply(parts=events(chunks), kind="text/event-stream")


def _chunks(
    model: str,
    script: Script,
    body: Mapping[str, Any],
    schema: Mapping[str, Any] | None,
    limit: int,
    reasoning_field: str,
) -> Iterator[dict[str, Any]]:
    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    thought, said = words(script.reasoning), script.tokens(schema, body)
    room = max(limit - len(thought), 0)
    cut = len(said) > room
    yield chunk({"role": "assistant", "content": ""})
    for token in thought[:limit]:
        yield chunk({reasoning_field: token})
    for token in said[:room]:
        yield chunk({"content": token})
    yield chunk({}, "length" if cut else script.finish)
    if script.usage and body.get("stream_options", {}).get("include_usage"):
        prompt, completion = prompt_tokens(body), min(len(thought) + len(said), limit)
        yield {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": model,
            "choices": [],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": 16},
            },
        }
