"""What becomes of a server that describes itself as no engine does."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from sparky.errors import EngineError
from sparky.llm.backend import HttpBackend
from sparky.llm.ollama import OllamaBackend
from sparky.llm.openai import OpenAIBackend
from sparky.llm.triton import TritonBackend
from tests.engines.server import Reply, Request, StandIn

OLLAMA = {"/api/version": {"version": "1"}}
TRITON = {"/v2/repository/index": [{"name": "m"}]}


class Odd(StandIn):
    """Says this at these paths, and nothing anywhere else."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__()
        self.said = said

    def answer(self, request: Request) -> Reply:
        return Reply(body=self.said.get(request.path, {}))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (OpenAIBackend, {"/v1/models": {"data": 5}}),
        (OpenAIBackend, {"/v1/models": {"data": [{"id": "m", "aliases": 5}]}}),
        (OllamaBackend, OLLAMA | {"/api/tags": {"models": 5}}),
        (
            OllamaBackend,
            OLLAMA | {"/api/tags": {"models": [{"name": "m"}]}, "/api/show": {"model_info": 5}},
        ),
        (TritonBackend, TRITON | {"/v2/models/m/config": {"input": 5}}),
    ],
)
def test_a_server_that_describes_itself_oddly_is_told_with_what_to_check(
    kind: type[HttpBackend], said: dict[str, Any]
) -> None:
    """It is no mistake of Sparky's, and no canary's thread ends without a word."""
    with (
        Odd(said) as server,
        closing(kind(server.url)) as backend,
        pytest.raises(EngineError) as found,
    ):
        backend.engine()
    assert server.url in found.value.message
    assert "SPARKY_LLM_URL" in found.value.remedy


def test_a_model_whose_id_is_a_number_goes_by_that() -> None:
    said = {"/v1/models": {"data": [{"id": 5}]}}
    with Odd(said) as server, closing(OpenAIBackend(server.url)) as backend:
        assert backend.engine().model == "5"


def test_memory_that_is_told_oddly_is_not_told() -> None:
    said = {"/api/ps": {"models": [{"size_vram": "much"}, 5]}}
    with Odd(said) as server, closing(OllamaBackend(server.url)) as backend:
        assert backend.memory() == ""
