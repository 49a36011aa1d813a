"""Which questions an engine got twice, and the fault that each of them was lost to."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANY = ("summarize", "rollup")
"""The stages that ask."""
STORING = 2.0
"""Seconds after the end of an answer within which it may still be on its way to Postgres."""
HITS: Mapping[str, Sequence[str]] = {
    "kill near": ("summarize",),
    "kill far": ("summarize",),
    "kill rest": ("rollup",),
    "half-open connections": ("summarize",),
    "restart the broker": ANY,
    "broker full": ANY,
    "restart Postgres": ANY,
    "disk full": ANY,
    "engine away": ANY,
}
"""The stages whose questions a fault can cut off, for each kind that can. A broker cuts off those of
a worker that ends itself when it is gone."""
KILLS = "kill "
"""Begins the kinds that are over at once: what was lost to them was in flight at that moment."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A question that an engine got, and for how long it was at it, in seconds since the epoch."""

    question: str
    stage: str
    began: float
    ended: float
    whole: bool
    """Whether the answer was written to its end."""


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault, from its begin until nothing of it was felt, in seconds since the epoch."""

    kind: str
    began: float
    ended: float


def askings(told: Sequence[Mapping[str, Any]], *, now: float) -> list[Asking]:
    """The questions among what an engine tells of its requests; what only tries it out is none."""
    return [
        Asking(
            hashlib.sha256(json.dumps(one["body"]["messages"]).encode()).hexdigest(),
            _stage(one["body"]["response_format"]),
            one["began"],
            now if one["ended"] is None else one["ended"],
            one["whole"],
        )
        for one in told
        if one["body"].get("response_format")
    ]


def _stage(shape: Mapping[str, Any]) -> str:
    """A summary is asked for as points, a sentence of a roll-up as a text."""
    return "summarize" if "points" in shape["json_schema"]["schema"]["properties"] else "rollup"


def again(asked: Sequence[Asking]) -> list[Asking]:
    """The askings that came to nothing: each question's, without its last."""
    by_question: dict[str, list[Asking]] = defaultdict(list)
    for one in asked:
        by_question[one.question].append(one)
    return [
        one
        for same in by_question.values()
        for one in sorted(same, key=lambda asking: asking.began)[:-1]
    ]


def unexplained(lost: Sequence[Asking], blows: Sequence[Blow]) -> list[Asking]:
    """Those that were not in flight, to the engine or to Postgres, when a fault hit their stage."""
    return [one for one in lost if not any(_explains(blow, one) for blow in blows)]


def _explains(blow: Blow, asking: Asking) -> bool:
    hit = asking.stage in HITS.get(blow.kind, ())
    return hit and asking.began <= blow.ended and blow.began <= asking.ended + STORING
