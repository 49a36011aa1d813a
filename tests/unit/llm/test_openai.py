"""Servers of OpenAI's protocol: each is recognised and spoken to in its own way."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sparky.errors import BadAnswer, ContextExceeded, EngineError, Transient
from sparky.llm.openai import VLLM, OpenAIBackend
from sparky.ports import Prompt
from tests.engines.ollama import Ollama
from tests.engines.server import Reply, Request, StandIn
from tests.engines.trtllm import TrtLlm
from tests.engines.vllm import Vllm

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PROMPT = Prompt("You sort.", "Sort this.", 32, SCHEMA)


_OPEN: list[OpenAIBackend] = []


def connect(*args: Any, **options: Any) -> OpenAIBackend:
    """A backend that is closed after the test."""
    _OPEN.append(OpenAIBackend(*args, **options))
    return _OPEN[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


@pytest.fixture
def vllm() -> Iterator[Vllm]:
    with Vllm() as server:
        yield server


@pytest.fixture
def trtllm() -> Iterator[TrtLlm]:
    with TrtLlm() as server:
        yield server


class Plain(StandIn):
    """A server that says nothing of itself but its models."""

    def __init__(self, *cards: dict[str, Any]) -> None:
        super().__init__()
        self.cards = cards

    def answer(self, request: Request) -> Reply:
        if request.path == "/v1/models":
            return Reply(body={"data": list(self.cards)})
        return Reply(404, {"detail": "Not Found"})


# ---- recognised


def test_vllm_tells_its_context(vllm: Vllm) -> None:
    """The context is the model's `max_model_len`; room for reasoning is not offered to others."""
    assert connect(vllm.url).engine().context == vllm.context
    assert connect(vllm.url, reasoning_tokens=100).engine().context == vllm.context - 100


def test_a_setting_makes_a_context_smaller_but_not_larger(vllm: Vllm) -> None:
    """Nobody can promise more than the server can read."""
    assert connect(vllm.url, context=300).engine().context == 300
    assert connect(vllm.url, context=300_000).engine().context == vllm.context


def test_trtllm_needs_to_be_told_its_context(trtllm: TrtLlm) -> None:
    """It says nothing: the setting counts, or its own default limit of a prompt."""
    assert connect(trtllm.url).engine().context == 8192
    assert connect(trtllm.url, context=131_072).engine().context == 131_072


def test_trtllm_serves_a_model_under_its_folders_name(trtllm: TrtLlm) -> None:
    """The name that everybody else gives the model finds it."""
    assert connect(trtllm.url, "openai/gpt-oss-20b").engine().model == "gpt-oss-20b"


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ({"id": "m", "owned_by": "llamacpp"}, "llama.cpp"),
        ({"id": "m", "owned_by": "somebody", "max_model_len": 9000}, "vllm"),
        ({"id": "m", "owned_by": "tensorrt_llm"}, "tensorrt-llm"),
        ({"id": "m", "owned_by": "sglang"}, "openai"),
        ({"id": "m"}, "openai"),
    ],
)
def test_a_dialect_is_found_by_asking(card: dict[str, Any], name: str) -> None:
    """Servers are told apart by what they say of their models."""
    with Plain(card) as server:
        assert connect(server.url).engine().name == name


class Renamed(TrtLlm):
    """Behind a gateway that gives its models another owner."""

    def answer(self, request: Request) -> Reply:
        if request.path == "/v1/models":
            return Reply(body={"data": [{"id": self.model, "owned_by": "the company"}]})
        return super().answer(request)


def test_trtllm_is_known_by_how_it_refuses() -> None:
    """Also where its models go by another owner; its own form of a schema is used."""
    with Renamed() as server:
        backend = connect(server.url)
        assert backend.engine().name == "tensorrt-llm"
        backend.complete(PROMPT)
        assert server.asked["response_format"] == {"type": "json", "schema": SCHEMA}


@pytest.mark.parametrize("engine", [Vllm, TrtLlm])
def test_a_model_reasons_only_where_it_has_room_for_it(engine: type[Vllm | TrtLlm]) -> None:
    """Without room its template is told so, as reasoning would eat the answer."""
    with engine() as server:
        connect(server.url).complete(PROMPT)
        assert server.asked["chat_template_kwargs"] == {"enable_thinking": False}
        connect(server.url, reasoning_tokens=64).complete(PROMPT)
        assert "chat_template_kwargs" not in server.asked


def test_a_given_dialect_is_not_asked_for() -> None:
    """Whoever knows the server says so."""
    with Plain({"id": "m"}) as server:
        assert connect(server.url, dialect=VLLM).engine().name == "vllm"


def test_one_of_several_models_must_be_chosen() -> None:
    """No model is taken by chance; the user reads which there are."""
    with Plain({"id": "small"}, {"id": "large"}) as server:
        with pytest.raises(EngineError, match="small, large"):
            connect(server.url).engine()
        assert connect(server.url, "large").engine().model == "large"


def test_ollama_is_not_spoken_to_in_openais_way() -> None:
    """Its OpenAI form drops text silently, so the user is sent to the right kind."""
    with Ollama() as server, pytest.raises(EngineError, match="SPARKY_LLM_KIND=ollama"):
        connect(server.url).engine()


def test_a_server_of_another_kind_is_refused() -> None:
    """A web server without models is no engine."""
    with Plain() as server, pytest.raises(EngineError, match="no models"):
        connect(server.url).engine()


def test_a_wedged_server_is_not_used(trtllm: TrtLlm) -> None:
    """It lists its model and says that it cannot answer; later it can."""
    backend = connect(trtllm.url)
    trtllm.healthy = False
    with pytest.raises(Transient, match="unavailable"):
        backend.engine()
    trtllm.healthy = True
    assert backend.engine().model == trtllm.model


def test_an_engine_is_asked_once(vllm: Vllm) -> None:
    """What the server is does not cost a round trip for each answer."""
    backend = connect(vllm.url)
    for _ in range(3):
        backend.complete(PROMPT)
    paths = [request.path for request in vllm.requests]
    assert paths.count("/v1/models") == 1
    assert paths.count("/v1/chat/completions") == 3


# ---- spoken to


def test_vllm_gets_the_schema_in_openais_wrapper(vllm: Vllm) -> None:
    """Exactly one limit, a fixed seed, no temperature, counts asked for."""
    answer = connect(vllm.url).complete(PROMPT)
    assert json.loads(answer.text) == {"n": 0}
    asked = vllm.asked
    assert asked["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (asked["max_tokens"], asked["temperature"], asked["seed"]) == (32, 0.0, 7)
    assert "max_completion_tokens" not in asked
    assert [m["role"] for m in asked["messages"]] == ["system", "user"]


def test_trtllm_gets_the_bare_schema(trtllm: TrtLlm) -> None:
    """In its own form, which all its versions read alike; no field that it would refuse."""
    answer = connect(trtllm.url).complete(PROMPT)
    assert json.loads(answer.text) == {"n": 0}
    assert trtllm.asked["response_format"] == {"type": "json", "schema": SCHEMA}


def test_no_empty_system_turn_is_sent(vllm: Vllm) -> None:
    """Some templates refuse one."""
    connect(vllm.url).complete(Prompt("", "Hello", 32))
    assert vllm.asked["messages"] == [{"role": "user", "content": "Hello"}]


def test_counts_come_from_the_engine(vllm: Vllm) -> None:
    """Prompt, answer and what its cache saved are those of the usage that it sends."""
    answer = connect(vllm.url).complete(PROMPT)
    assert answer.prompt_tokens == 12
    assert answer.completion_tokens == 7
    assert answer.cached_tokens == 16


def test_an_engine_without_counts_still_answers(vllm: Vllm) -> None:
    """Counts are then estimates, never zero."""
    vllm.script.usage = False
    answer = connect(vllm.url).complete(PROMPT)
    assert answer.prompt_tokens > 0
    assert answer.completion_tokens > 0


def test_a_schema_that_the_engine_refuses_is_left_out(vllm: Vllm) -> None:
    """The prompt is asked again without it, and later ones do not try it anew."""

    class Picky(Vllm):
        def _chat(self, body: dict[str, Any]) -> Reply:
            if "response_format" in body:
                return Reply(400, {"error": {"message": "GuidedDecoder is not setup"}})
            return super()._chat(body)

    with Picky() as server:
        backend = connect(server.url)
        for _ in range(2):
            assert backend.complete(PROMPT).text
        chats = [r.body for r in server.requests if r.path == "/v1/chat/completions" and r.body]
    assert ["response_format" in body for body in chats] == [True, False, False]


# ---- reasoning


@pytest.mark.parametrize("engine", [Vllm, TrtLlm])
def test_reasoning_is_kept_out_and_paid_for(engine: type[Vllm | TrtLlm]) -> None:
    """It comes in a field of its own, gets room on top, and counts as tokens of the answer."""
    with engine() as server:
        server.script.text = "Done."
        server.script.reasoning = "Let me think about what was asked here."
        answer = connect(server.url, reasoning_tokens=64).complete(PROMPT)
        assert server.asked["max_tokens"] == 32 + 64
    assert answer.text == "Done."
    assert answer.completion_tokens == 11


def test_reasoning_that_eats_the_answer_is_no_answer(vllm: Vllm) -> None:
    """The message says where the tokens went."""
    vllm.script.reasoning = "thinking " * 200
    with pytest.raises(BadAnswer, match="reasoning and answer reached the limit of 32"):
        connect(vllm.url).complete(PROMPT)


class Metered(Plain):
    """A gateway that tells what an answer took from the socket."""

    def answer(self, request: Request) -> Reply:
        if request.path != "/v1/chat/completions":
            return super().answer(request)
        said = {"message": {"content": "Sorted."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "energy_joules": 12.5}
        return Reply(body={"model": "m", "choices": [said], "usage": usage})


def test_energy_is_kept_where_a_server_tells_it(vllm: Vllm) -> None:
    """And is unknown, not nothing, where it does not."""
    with Metered({"id": "m"}) as server:
        assert connect(server.url).complete(PROMPT).joules == 12.5
    assert connect(vllm.url).complete(PROMPT).joules is None


def test_an_empty_answer_with_status_200_is_no_answer(vllm: Vllm) -> None:
    """gpt-oss can end with `stop` and have said nothing."""
    vllm.script.text = ""
    with pytest.raises(BadAnswer, match="said nothing"):
        connect(vllm.url).complete(PROMPT)


@pytest.mark.parametrize(
    "part",
    [
        {"choices": ["x"]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": 7},
        {"usage": "many"},
        {"choices": [{"delta": "x"}]},
    ],
)
def test_parts_that_are_none_can_be_tried_again(vllm: Vllm, part: dict[str, Any]) -> None:
    """JSON of another shape does not crash a worker."""
    vllm.script.reply = Reply(body=part)
    with pytest.raises(Transient, match="no part of an answer"):
        connect(vllm.url).complete(PROMPT)


def test_an_answer_without_an_end_can_be_tried_again(vllm: Vllm) -> None:
    """A stream that merely stops is not taken for a whole answer."""
    vllm.script.reply = Reply(body={"choices": [{"delta": {"content": "Half an"}}]})
    with pytest.raises(Transient, match="broke off"):
        connect(vllm.url).complete(PROMPT)


@pytest.mark.parametrize("tokens", [370, 600])
def test_both_limits_of_trtllm_are_understood(trtllm: TrtLlm, tokens: int) -> None:
    """A prompt beyond `max_num_tokens`, and one beyond the sequence, have wordings of their own."""
    backend = connect(trtllm.url)
    with pytest.raises(ContextExceeded):
        backend.complete(Prompt("", "word " * (tokens + 20), 16))


# ---- counting


def test_vllm_counts_exactly_and_is_asked_once(vllm: Vllm) -> None:
    """The same text is not sent twice."""
    backend = connect(vllm.url)
    assert [backend.count("Fix the parser.") for _ in range(3)] == [4, 4, 4]
    assert [r.path for r in vllm.requests].count("/tokenize") == 1


def test_trtllm_counts_nothing_so_counts_are_learned(trtllm: TrtLlm) -> None:
    """Estimates are careful at first, and closer after a few answers."""
    backend = connect(trtllm.url)
    text = "The parser accepts empty lines and says where it stopped. " * 12
    before = backend.count(text)
    for _ in range(3):
        backend.complete(Prompt("", text, 32))
    assert 132 <= backend.count(text) < before


def test_many_texts_are_counted_as_each_alone(vllm: Vllm) -> None:
    """Also where the engine cannot count them together."""
    texts = ["Fix it.", "", "Fix the parser.", "Fix it."]
    assert connect(vllm.url).count_all(texts) == [3, 0, 4, 3]
