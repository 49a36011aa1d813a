"""The real llama.cpp with a real model, small enough to answer in seconds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from sparky.services import Wanted, attach, weights

MODEL = "smollm2-135m-instruct"


class Llama(ExitStack):
    """A llama.cpp server for as long as the block runs, started as Sparky starts it.

    Args:
        state: an empty folder for its socket and log.
    """

    model = MODEL

    def __init__(self, state: Path) -> None:
        super().__init__()
        self._state = state
        self.url = ""
        self.key: str | None = None

    def __enter__(self) -> Self:
        gguf = weights.ensure(
            MODEL,
            cache=Path.home() / ".cache/sparky",
            path=None,
            sha256=None,
            on_progress=lambda progress: None,
        )
        wanted = Wanted(postgres=False, valkey=False, llama=gguf)
        ends = self.enter_context(attach(self._state, wanted, model_name=MODEL))
        assert ends.llm_url
        self.url, self.key = ends.llm_url, ends.llm_api_key
        return self
