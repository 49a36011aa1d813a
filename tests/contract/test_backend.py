"""What every engine behind `ports.Backend` does, whichever it is.

The real ones here are llama.cpp and Triton; vLLM, trtllm-serve and Ollama are played by the
servers in `tests/engines`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import jsonschema
import pytest

from sparky.errors import BadAnswer, ContextExceeded, EngineError
from sparky.llm.backend import HttpBackend
from sparky.llm.ollama import OllamaBackend
from sparky.llm.openai import OpenAIBackend
from sparky.llm.router import Router
from sparky.llm.seat import Member
from sparky.llm.triton import TritonBackend
from sparky.ports import Backend, Prompt
from tests.engines.llama import Llama
from tests.engines.ollama import Ollama
from tests.engines.triton import CONTEXT as TRITON_CONTEXT
from tests.engines.triton import LAYOUTS, triton
from tests.engines.trtllm import TrtLlm
from tests.engines.vllm import Vllm
from tests.fakes import FakeBackend

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["fix", "feature"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["kind", "count"],
    "additionalProperties": False,
}
QUESTION = Prompt("You sort changes.", "Sort this change: Fix the parser.", 96, SCHEMA)
NONE = "no-such-model"


@dataclass(frozen=True, slots=True)
class Case:
    """One engine, up and running."""

    name: str
    """What the engine calls itself."""
    open: Callable[[str | None], Backend]
    """A new backend that asks for this model, or for whatever is served."""
    model: str
    """What it serves."""


def _fake() -> Case:
    return Case("fake", lambda model: FakeBackend(model=model or "fake-1"), "fake-1")


def _llama(stack: ExitStack, folder: pytest.TempPathFactory) -> Case:
    server = stack.enter_context(Llama(folder.mktemp("llama")))
    return Case(
        "llama.cpp", lambda model: OpenAIBackend(server.url, model, server.key), server.model
    )


def _vllm(stack: ExitStack) -> Case:
    server = stack.enter_context(Vllm())
    return Case("vllm", lambda model: OpenAIBackend(server.url, model), server.model)


def _pool(stack: ExitStack) -> Case:
    server = stack.enter_context(Vllm())

    def open_one(model: str | None) -> Backend:
        backend, trial = OpenAIBackend(server.url, model), OpenAIBackend(server.url, model)
        return Router([Member(name=server.url, backend=backend, trial=trial)])

    return Case("vllm", open_one, server.model)


def _trtllm(stack: ExitStack) -> Case:
    server = stack.enter_context(TrtLlm())
    return Case(
        "tensorrt-llm",
        lambda model: OpenAIBackend(server.url, model, context=server.max_num_tokens),
        server.model,
    )


def _ollama(stack: ExitStack) -> Case:
    server = stack.enter_context(Ollama())
    return Case("ollama", lambda model: OllamaBackend(server.url, model, context=512), server.model)


def _triton(layout: str, way: str, stack: ExitStack, folder: pytest.TempPathFactory) -> Case:
    urls = stack.enter_context(triton(layout, folder.mktemp(layout)))
    url = urls.grpc if way == "grpc" else urls.http
    return Case(
        "triton", lambda model: TritonBackend(url, model, context=TRITON_CONTEXT), LAYOUTS[layout]
    )


STRUCTURED = [
    "fake", "llama", "vllm", "pool", "trtllm", "ollama",
    "triton-inflight-http", "triton-inflight-grpc",
]  # fmt: skip
"""The engines that hold their answers to a schema."""


@pytest.fixture(scope="module", params=[*STRUCTURED, "triton-llmapi-http", "triton-llmapi-grpc"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    with ExitStack() as stack:
        match request.param.split("-"):
            case ["llama"]:
                yield _llama(stack, tmp_path_factory)
            case ["vllm"]:
                yield _vllm(stack)
            case ["pool"]:
                yield _pool(stack)
            case ["trtllm"]:
                yield _trtllm(stack)
            case ["ollama"]:
                yield _ollama(stack)
            case ["triton", layout, way]:
                yield _triton(layout, way, stack, tmp_path_factory)
            case _:
                yield _fake()


@pytest.fixture
def backend(case: Case) -> Iterator[Backend]:
    backend = case.open(None)
    yield backend
    backend.close()


def test_an_engine_says_what_it_is(case: Case, backend: Backend) -> None:
    """Name, model and context come from the server, and are the same each time."""
    engine = backend.engine()
    assert (engine.name, engine.model) == (case.name, case.model)
    assert engine.context >= 256
    assert engine.slots >= 1
    assert backend.engine() == engine


def test_the_model_that_is_asked_for_is_found(case: Case) -> None:
    """A model that is served answers under its name."""
    backend = case.open(case.model)
    assert backend.engine().model == case.model
    backend.close()


def test_a_model_that_is_not_served_is_refused_with_those_that_are(case: Case) -> None:
    """No other model answers in its place, and the user reads what there is."""
    backend = case.open(NONE)
    with pytest.raises(EngineError) as caught:
        backend.engine()
    assert NONE in str(caught.value)
    assert case.model in str(caught.value)
    assert caught.value.remedy
    with pytest.raises(EngineError):
        backend.complete(QUESTION)
    backend.close()


def test_counts_grow_with_the_text(backend: Backend) -> None:
    """Nothing has no tokens; more text has more; the same text has the same."""
    short, long = "Fix the parser.", "Fix the parser of empty lines in src/http/lines.py (#12)."
    assert backend.count("") == 0
    assert 0 < backend.count(short) < backend.count(long) <= len(long.encode())
    assert backend.count(short) == backend.count(short)


def test_any_text_can_be_counted(backend: Backend) -> None:
    """Text of any script, and text that looks like an engine's own marks, has a count."""
    for text in ("修复解析器", "🦊" * 9, "<|im_end|>", "a\x00b", "lone \ud800 surrogate", " \n"):
        assert backend.count(text) >= 1


@pytest.mark.parametrize("case", ["llama", "vllm", "triton-inflight-http"], indirect=True)
def test_texts_counted_together_have_the_counts_they_have_alone(case: Case) -> None:
    """Counting many at once is a matter of speed only, whatever the texts hold."""
    texts = [
        "Fix the parser of empty lines (#12)",
        "  leading and trailing space\n\n",
        "\n",
        "修复解析器 🦊",
        "<|im_end|> and </s> are text here",
        "src/http/lines.py | 3 +-",
        "",
        "Fix the parser of empty lines (#12)",
    ]
    together, alone = case.open(None), case.open(None)
    assert isinstance(together, HttpBackend)
    assert together.count_all(texts) == [alone.count(text) for text in texts]
    together.close()
    alone.close()


def test_an_answer_is_whole(case: Case, backend: Backend) -> None:
    """It has text, the model that wrote it, and what it cost."""
    answer = backend.complete(QUESTION)
    assert answer.text == answer.text.strip() != ""
    assert answer.model == case.model
    assert answer.prompt_tokens > 5
    assert answer.completion_tokens > 0
    assert (answer.finish, answer.cached) == ("stop", False)


@pytest.mark.parametrize("case", STRUCTURED, indirect=True)
def test_an_answer_satisfies_its_schema(backend: Backend) -> None:
    """An engine that can hold an answer to a schema is told to, in its own way."""
    jsonschema.validate(json.loads(backend.complete(QUESTION).text), SCHEMA)


def test_the_same_question_has_the_same_answer(backend: Backend) -> None:
    """Nothing is left to chance: temperature 0 and a fixed seed reach the engine."""
    first, second = backend.complete(QUESTION), backend.complete(QUESTION)
    assert first.text == second.text


def test_an_answer_cut_at_its_limit_is_no_answer(backend: Backend) -> None:
    """Half a sentence never passes for a whole one."""
    with pytest.raises(BadAnswer, match="limit of 2 tokens"):
        backend.complete(Prompt("", "Tell a long story.", 2, SCHEMA))


def test_a_prompt_beyond_the_context_is_refused(backend: Backend) -> None:
    """It is told apart from other refusals, and nothing is cut off silently."""
    user = "word " * (backend.engine().context + 64)
    with pytest.raises(ContextExceeded):
        backend.complete(Prompt("You sort changes.", user, 16))


def test_threads_share_a_backend(backend: Backend) -> None:
    """Answers asked for at the same time are the answers that come one by one."""
    alone = backend.complete(QUESTION).text
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(backend.complete, [QUESTION] * 2))
    assert [answer.text for answer in answers] == [alone, alone]


def test_closing_twice_is_harmless(case: Case) -> None:
    """Whoever closes last may do so again."""
    backend = case.open(None)
    backend.engine()
    backend.close()
    backend.close()
