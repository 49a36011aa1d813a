"""Triton over gRPC: what the real server does not do in the contract suite."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from threading import Event
from typing import Any

import pytest

from sparky.errors import ContextExceeded, EngineError, SparkyError, Transient, UsageError
from sparky.llm.faults import Overloaded
from sparky.llm.triton import TritonBackend
from sparky.llm.wire import Timeouts
from sparky.ports import Prompt

# None of them has types.
grpc: Any = import_module("grpc")
service_pb2: Any = import_module("tritonclient.grpc.service_pb2")
service_pb2_grpc: Any = import_module("tritonclient.grpc.service_pb2_grpc")
config_pb2: Any = import_module("tritonclient.grpc.model_config_pb2")

PROMPT = Prompt("You sort.", "Sort this.", 32)
Answer = Callable[[Any], Iterator[str]]


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """One decoupled model, whose answers a test writes; an answer `!…` is an error of the model."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.keys: list[str] = []

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=True)

    def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        index = service_pb2.RepositoryIndexResponse
        return index(models=[index.ModelIndex(name="tensorrt_llm", state="READY")])

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        string = config_pb2.TYPE_STRING
        text = config_pb2.ModelInput(name="text_input", data_type=string, dims=[-1])
        return service_pb2.ModelConfigResponse(config=config_pb2.ModelConfig(input=[text]))

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.keys += [str(v) for k, v in context.invocation_metadata() if k == "authorization"]
        next(iter(requests))
        stream = service_pb2.ModelStreamInferResponse
        for text in self.answer(context):
            if text.startswith("!"):
                yield stream(error_message=text[1:])
                continue
            response = service_pb2.ModelInferResponse(model_name="tensorrt_llm")
            output = response.outputs.add(name="text_output", datatype="BYTES", shape=[1])
            data = text.encode()
            response.raw_output_contents.append(len(data).to_bytes(4, "little") + data)
            assert output.name
            yield stream(infer_response=response)
        last = service_pb2.ModelInferResponse(model_name="tensorrt_llm")
        last.parameters["triton_final_response"].bool_param = True
        yield stream(infer_response=last)


@contextmanager
def serving(answer: Answer, **options: Any) -> Iterator[tuple[Server, TritonBackend]]:
    servicer = Server(answer)
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        backend = TritonBackend(f"grpc://127.0.0.1:{port}", **options)
        try:
            yield servicer, backend
        finally:
            backend.close()
            server.stop(None).wait()


def says(*texts: str) -> Answer:
    return lambda context: iter(texts)


def aborts(code: Any, said: str) -> Answer:
    def answer(context: Any) -> Iterator[str]:
        yield "Some"
        context.abort(code, said)

    return answer


def test_the_last_text_is_the_answer_and_the_key_goes_with_the_question() -> None:
    """Each response holds the whole text so far; the key is sent as a bearer token."""
    with serving(says("Some", "Some words."), api_key="k1") as (server, backend):
        assert backend.complete(PROMPT).text == "Some words."
        assert server.keys == ["Bearer k1"]


TOO_LONG = "Prompt length (900) should not exceed max_num_tokens (512)"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (says(f"!{TOO_LONG}"), ContextExceeded, "max_num_tokens"),
        (says("!Executor has failed"), Transient, "Executor has failed"),
        (aborts(grpc.StatusCode.INVALID_ARGUMENT, "unexpected input"), EngineError, "unexpected"),
        (aborts(grpc.StatusCode.INVALID_ARGUMENT, TOO_LONG), ContextExceeded, "max_num_tokens"),
        (aborts(grpc.StatusCode.UNAUTHENTICATED, "no"), EngineError, "refuses the key"),
        (aborts(grpc.StatusCode.NOT_FOUND, "unknown model"), EngineError, "unknown model"),
        (aborts(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), Overloaded, "queue"),
        (aborts(grpc.StatusCode.RESOURCE_EXHAUSTED, "full"), Overloaded, "full"),
        (aborts(grpc.StatusCode.UNAVAILABLE, "Socket closed"), Transient, "broke the connection"),
        (aborts(grpc.StatusCode.INTERNAL, "oops"), Transient, "oops"),
    ],
)
def test_each_refusal_means_what_it_means_over_http(
    answer: Answer, kind: type[SparkyError], words: str
) -> None:
    """By gRPC's code and by the engine's wording."""
    with serving(answer) as (_, backend), pytest.raises(kind, match=words):
        backend.complete(PROMPT)


def test_silence_ends_a_call_and_the_server_is_told() -> None:
    """A server that hangs in mid-answer costs the deadline and no more."""
    gone = Event()

    def answer(context: Any) -> Iterator[str]:
        context.add_callback(gone.set)
        yield "Some"
        assert gone.wait(20)

    with serving(answer, timeouts=Timeouts(idle=0.2)) as (_, backend):
        with pytest.raises(Transient, match=r"was silent for 0\.2 s"):
            backend.complete(PROMPT)
        assert gone.wait(20)


def test_nobody_there_is_told_with_the_address() -> None:
    """A closed port is a Transient that names what to check."""
    with serving(says("x")) as (_, backend):
        url = backend._wire.url
    closed = TritonBackend(url, timeouts=Timeouts(probe=5))
    with pytest.raises(Transient, match=f"the engine at {url} cannot be reached") as caught:
        closed.complete(PROMPT)
    assert "SPARKY_LLM_URL" in caught.value.remedy
    closed.close()


def test_without_its_client_the_user_reads_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is an extra; HTTP works without it."""
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(UsageError, match=r"pip install 'sparky\[triton\]'"):
        TritonBackend("grpc://127.0.0.1:8001")
    TritonBackend("http://127.0.0.1:8000").close()
