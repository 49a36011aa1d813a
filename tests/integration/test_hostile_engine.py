"""Hostile messages through the real llama.cpp: a small model is asked, and obeys what it likes.

The whole corpus is for `make bench BENCH=injection`; here are some messages of each sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import httpx
import pytest

from sparky import plain
from sparky.llm.openai import OpenAIBackend
from sparky.ports import Backend
from tests import hostile
from tests.engines.llama import Llama

NAMES = ("orders-1", "markup-3", "unicode-5", "invented-12", "chatml-turn", "smollm-turn")
"""One of each sort, and turns in the very template of the model that answers."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    with Llama(tmp_path_factory.mktemp("llama")) as running:
        yield running


@pytest.fixture(scope="module")
def backend(server: Llama) -> Iterator[Backend]:
    made = OpenAIBackend(server.url, server.model, server.key)
    yield made
    made.close()


def test_hostile_messages_reach_nothing(backend: Backend) -> None:
    """Answers keep the schema, each honest activity is told by itself, and the digest is inert."""
    known = {case.name: case for case in hostile.cases()}
    answers = 0
    for name, one in zip(NAMES, cycle(hostile.HONEST), strict=False):
        trial = hostile.attempt((known[name],), backend.engine(), backend.complete, (one,))
        assert hostile.faults(trial) == []
        answers += len(trial.answers)
    assert answers >= len(NAMES) // 2  # what is cut off for its length is no answer


def test_no_special_token_of_the_model_is_left(server: Llama) -> None:
    """What the model's own vocabulary calls special is, after cleaning, no special token any more."""
    client = httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=30
    )

    def ids(text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": True}
        found: list[int] = client.post("/tokenize", json=body).json()["tokens"]
        return found

    special = {}
    for token in (t for tokens in hostile.families().values() for t in tokens):
        if len(found := ids(token)) == 1 and len(token) > 2:
            special[token] = found[0]
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>"} <= special.keys()
    for token in special:
        assert special.keys().isdisjoint(
            {token for token in special if token in plain.clean(token)}
        )
        assert set(special.values()).isdisjoint(ids(plain.clean(f"Fix {token} now")))
    client.close()
