"""Ollama: the context is pinned, nothing is dropped silently, thinking has its room."""

from collections.abc import Iterator
from typing import Any

import pytest

from sparky.errors import BadAnswer, ContextExceeded, EngineError, Transient
from sparky.llm.ollama import OllamaBackend
from sparky.ports import Prompt
from tests.engines.ollama import Ollama
from tests.engines.server import Reply
from tests.engines.vllm import Vllm

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PROMPT = Prompt("You sort.", "Sort this.", 32, SCHEMA)


_OPEN: list[OllamaBackend] = []


def connect(*args: Any, **options: Any) -> OllamaBackend:
    """A backend that is closed after the test."""
    _OPEN.append(OllamaBackend(*args, **options))
    return _OPEN[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    with Ollama() as server:
        yield server


def test_the_context_is_pinned_and_no_larger_than_the_models(ollama: Ollama) -> None:
    """Every request sends it, so that no default of the machine counts."""
    assert connect(ollama.url, context=512).engine().context == 512
    backend = connect(ollama.url)
    assert backend.engine().context == ollama.context
    backend.complete(PROMPT)
    assert ollama.asked["options"]["num_ctx"] == ollama.context


def test_a_long_prompt_fails_rather_than_lose_its_beginning(ollama: Ollama) -> None:
    """Without being told, Ollama answers with half of the prompt unread."""
    backend = connect(ollama.url, context=512)
    with pytest.raises(ContextExceeded):
        backend.complete(Prompt("You sort.", "word " * 600, 32))
    assert ollama.asked["truncate"] is False
    assert ollama.asked["shift"] is False


def test_a_model_that_can_think_does_not_unless_it_has_room(ollama: Ollama) -> None:
    """Thinking would eat the answer's tokens."""
    ollama.script.reasoning = "thinking " * 40
    assert connect(ollama.url).complete(PROMPT).text
    assert ollama.asked["think"] is False
    backend = connect(ollama.url, reasoning_tokens=64)
    assert backend.complete(PROMPT).completion_tokens > 40
    assert "think" not in ollama.asked
    assert ollama.asked["options"]["num_predict"] == 32 + 64
    assert ollama.asked["options"]["num_ctx"] == backend.engine().context + 64


def test_thinking_that_eats_the_answer_is_no_answer(ollama: Ollama) -> None:
    """The message says where the tokens went."""
    ollama.script.reasoning = "thinking " * 400
    with pytest.raises(BadAnswer, match="reasoning and answer"):
        connect(ollama.url, reasoning_tokens=64).complete(PROMPT)


def test_counts_may_be_missing(ollama: Ollama) -> None:
    """They are estimates then, never zero."""
    ollama.script.usage = False
    answer = connect(ollama.url).complete(PROMPT)
    assert answer.prompt_tokens > 0
    assert answer.completion_tokens > 0


def test_latest_may_be_left_out() -> None:
    """As on Ollama's own command line."""

    class Latest(Ollama):
        model = "mistral:latest"

    with Latest() as server:
        assert connect(server.url, "mistral").engine().model == "mistral:latest"


def test_a_full_queue_can_be_tried_again(ollama: Ollama) -> None:
    """Ollama answers 503 and names no time."""
    busy = "server busy, please try again.  maximum pending requests exceeded"
    ollama.script.reply = Reply(503, {"error": busy})
    with pytest.raises(Transient, match="server busy"):
        connect(ollama.url).complete(PROMPT)


def test_another_server_is_not_ollama() -> None:
    """The user is told to check the kind."""
    with Vllm() as server, pytest.raises(EngineError, match="is not Ollama") as caught:
        connect(server.url).engine()
    assert "SPARKY_LLM_KIND" in caught.value.remedy
