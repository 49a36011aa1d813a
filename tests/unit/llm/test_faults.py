"""Every refusal that was seen or is documented, and what it means to Sparky."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import ContextExceeded, EngineError, SparkyError, Throttled, Transient
from sparky.llm.faults import LONGEST_WAIT, Overloaded, SchemaRefused, fault, said

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SERVER = "http://gpu:8000"


def openai(message: str, **more: object) -> str:
    """An error as OpenAI's protocol has it."""
    return json.dumps({"error": {"message": message, **more}})


def flat(message: str) -> str:
    """An error as trtllm-serve has it."""
    error = {"object": "error", "message": message, "type": "BadRequestError", "param": None}
    return json.dumps({**error, "code": 400})


def plain(message: str) -> str:
    """An error as Ollama and Triton have it."""
    return json.dumps({"error": message})


LLAMA_CONTEXT = openai(
    "request (9031 tokens) exceeds the available context size (2048 tokens), try increasing it",
    code=400,
    type="exceed_context_size_error",
    n_prompt_tokens=9031,
    n_ctx=2048,
)

# (what happened, status, body, what it means)
RECORDED: list[tuple[str, int, str, type[SparkyError]]] = [
    # ---- the prompt is too long
    ("llama.cpp", 400, LLAMA_CONTEXT, ContextExceeded),
    (
        "trtllm: max_num_tokens",
        400,
        flat(
            "The sum of prompt length (72417.0), query length (0) should not exceed"
            " max_num_tokens (69632)"
        ),
        ContextExceeded,
    ),
    (
        "trtllm: max_num_tokens, without a query",
        400,
        flat("prompt length (9000) should not exceed max_num_tokens (8192)"),
        ContextExceeded,
    ),
    (
        "trtllm: default_max_tokens",
        400,
        flat(
            "`default_max_tokens` (-152) must be greater than 0, `default_max_tokens` (-152) ="
            " max_seq_len (8192) - `splited_prompt_len` (8344)"
        ),
        ContextExceeded,
    ),
    (
        "trtllm: default_max_tokens, with a query",
        400,
        flat(
            "`default_max_tokens` (-152) must be greater than 0, `default_max_tokens` (-152) ="
            " max_seq_len (8192) - `splited_prompt_len` (8344) - `query_token_len` (0)"
        ),
        ContextExceeded,
    ),
    (
        "trtllm: TensorRT engine",
        400,
        flat(
            "The sum of prompt length (4000) and query length (0) max_tokens (2048) should not"
            " exceed max_seq_len (4096)"
        ),
        ContextExceeded,
    ),
    (
        "vllm: prompt and answer",
        400,
        openai(
            "This model's maximum context length is 16384 tokens. However, you requested 8192"
            " output tokens and your prompt contains at least 8193 input tokens, for a total of at"
            " least 16385 tokens.",
            type="BadRequestError",
            code=400,
        ),
        ContextExceeded,
    ),
    (
        "vllm 0.6: prompt and answer",
        400,
        flat(
            "This model's maximum context length is 4096 tokens. However, you requested 4196"
            " tokens (4096 in the messages, 100 in the completion). Please reduce the length of"
            " the messages or completion."
        ),
        ContextExceeded,
    ),
    (
        "vllm: limit of the answer",
        400,
        openai(
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum"
            " context length is 8192 tokens and your request has 12 input tokens"
        ),
        ContextExceeded,
    ),
    (
        "vllm: prompt",
        400,
        openai(
            "The decoder prompt (length 12324) is longer than the maximum model length of 8192."
        ),
        ContextExceeded,
    ),
    (
        "sglang: prompt",
        400,
        openai("Input length (66001) exceeds model's maximum context length (65536)."),
        ContextExceeded,
    ),
    ("ollama, truncate false", 400, plain(LLAMA_CONTEXT), ContextExceeded),
    (
        "ollama, shift false",
        400,
        plain(
            "the prompt is longer than the context length currently available to the model; reduce"
            " the prompt"
        ),
        ContextExceeded,
    ),
    (
        "ollama, older",
        500,
        plain("the input length exceeds the context length"),
        ContextExceeded,
    ),
    (
        "triton",
        500,
        plain(
            "Error generating request: The sum of prompt length (500.0), query length (0) should"
            " not exceed max_num_tokens (384)"
        ),
        ContextExceeded,
    ),
    ("openai", 400, openai("too long", code="context_length_exceeded"), ContextExceeded),
    ("a proxy's limit of a body", 413, "<h1>413 Payload Too Large</h1>", ContextExceeded),
    # ---- the key
    (
        "llama.cpp",
        401,
        openai("Invalid API Key", type="authentication_error", code=401),
        EngineError,
    ),
    ("vllm", 401, plain("Unauthorized"), EngineError),
    ("a gateway", 403, "Forbidden", EngineError),
    # ---- the model, the address
    (
        "vllm: model",
        404,
        openai("The model `x` does not exist.", type="NotFoundError", code=404),
        EngineError,
    ),
    ("ollama: model", 404, plain('model "x" not found, try pulling it first'), EngineError),
    ("triton: model", 404, plain("Request for unknown model: 'x' is not found"), EngineError),
    ("llama.cpp: address", 404, openai("File Not Found", code=404), EngineError),
    ("uvicorn: address", 404, '{"detail":"Not Found"}', EngineError),
    ("another method", 405, '{"detail":"Method Not Allowed"}', EngineError),
    # ---- the schema
    (
        "llama.cpp: schema",
        400,
        openai(
            "Unable to generate parser for this template. Automatic parser generation failed: JSON"
            " schema error at #: unrecognized type nonsense",
            code=400,
        ),
        SchemaRefused,
    ),
    (
        "trtllm: no guidance",
        400,
        flat(
            "Encountered an error when fetching new request: Request is specified with"
            " GuidedDecodingParams, but GuidedDecoder is not setup."
        ),
        SchemaRefused,
    ),
    ("ollama: schema", 500, plain("invalid JSON schema in format"), SchemaRefused),
    (
        "vllm: schema",
        400,
        openai("The provided structured_outputs grammar has features not supported by xgrammar."),
        SchemaRefused,
    ),
    # ---- the request
    (
        "trtllm: unknown field",
        400,
        plain("[{'type': 'extra_forbidden', 'loc': ('body', 'guided_json')}]"),
        EngineError,
    ),
    (
        "fastapi: a field's value",
        422,
        '{"detail":[{"msg":"Input should be a number"}]}',
        EngineError,
    ),
    # ---- overload and trouble
    ("a limit of requests", 429, openai("Rate limit reached"), Overloaded),
    (
        "ollama: queue",
        503,
        plain("server busy, please try again.  maximum pending requests exceeded"),
        Overloaded,
    ),
    ("llama.cpp: loading", 503, openai("Loading model", type="unavailable_error"), Overloaded),
    (
        "trtllm: dead executor",
        503,
        "LLM is unavailable. Please check the server logs for more details.",
        Overloaded,
    ),
    ("haproxy: no server", 503, "<html><body><h1>503 Service Unavailable</h1>", Overloaded),
    ("haproxy: bad gateway", 502, "", Transient),
    ("haproxy: timeout", 504, "", Transient),
    ("vllm: dead engine", 500, openai("EngineCore encountered an issue."), Transient),
    ("request timeout", 408, "", Transient),
    ("too early", 425, "", Transient),
    # ---- elsewhere
    ("moved", 301, "", EngineError),
    ("redirect", 308, "", EngineError),
]


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [pytest.param(s, b, m, id=f"{s} {name}") for name, s, b, m in RECORDED],
)
def test_a_refusal_has_one_meaning(status: int, body: str, meaning: type[SparkyError]) -> None:
    """Whether to try again, to shorten or to give up follows from what the engine said."""
    error = fault(status, body, {}, server=SERVER, now=NOW)
    assert type(error) is meaning
    assert SERVER in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        (" 0.5 ", timedelta(seconds=0.5)),
        ("Mon, 23 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("99999999999999999999", LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
    ],
)
def test_a_refusal_that_says_when_to_come_back(status: int, header: str, wait: timedelta) -> None:
    """Seconds and dates are understood; nobody makes us wait for ever."""
    error = fault(status, "", {"retry-after": header}, server=SERVER, now=NOW)
    assert isinstance(error, Throttled)
    assert error.until == NOW + wait


@pytest.mark.parametrize("header", ["", "soon", "-5", "NaN", "1e400", "Mon, 99 Nov"])
def test_a_time_that_cannot_be_read_is_no_time(header: str) -> None:
    """The call is tried again after a pause of our own."""
    error = fault(503, "", {"retry-after": header}, server=SERVER, now=NOW)
    assert type(error) is Overloaded


def test_a_message_in_any_shape_is_found() -> None:
    """The engine's own words reach the user, not its JSON."""
    for body in (openai("out of luck"), flat("out of luck"), plain("out of luck"), "out of luck"):
        assert said(body) == "out of luck"
    assert said(plain(openai("out of luck"))) == "out of luck"
    assert said('{"detail": "out of luck"}') == "out of luck"


@given(
    st.text()
    | st.recursive(
        st.none() | st.text(),
        lambda x: st.dictionaries(st.sampled_from(["error", "message", "detail"]), x),
    ).map(json.dumps)
)
def test_no_body_breaks_the_message(body: str) -> None:
    """Whatever a server sends, the error is one short line."""
    line = said(body)
    assert len(line) <= 300
    assert "\n" not in line
