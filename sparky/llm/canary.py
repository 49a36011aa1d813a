"""A short question with a known answer: an engine that is up may still write nonsense.

A wrong quantisation, a broken kernel or a wrong chat template answers every health check.
"""

from __future__ import annotations

import re

from sparky.errors import EngineError
from sparky.ports import Answer, Backend, Prompt

QUESTION = Prompt(
    system="",
    user="What is the capital of France? Answer with one word.",
    max_tokens=256,
)
"""As free text, since a schema would shape nonsense too. The room is for models that reason."""

_KNOWN = re.compile(r"\bParis\b", re.IGNORECASE)
_SHOWN = 60


def sing(backend: Backend) -> Answer:
    """Ask, and check the answer.

    Raises:
        Transient, Throttled: the engine could not be asked.
        EngineError: it answers, but wrongly.
    """
    answer = backend.complete(QUESTION)
    if not _KNOWN.search(answer.text):
        said = " ".join(answer.text.split())
        said = said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
        raise EngineError(
            f"the engine at {answer.server or answer.model} does not know the capital of France;"
            f" it says: {said}",
            remedy="Check its weights, quantisation and chat template",
        )
    return answer
