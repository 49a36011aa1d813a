"""The engines of a comparison, played or real, and what they wrote while they were watched."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields

import httpx

from sparky.errors import BadAnswer
from sparky.llm.openai import OpenAIBackend
from sparky.ports import Prompt
from tests.engines.fleet import figures, fleet

MODEL = "gpt-oss-20b"
_GAUGE = r"^(?:{})(?:{{[^}}]*}})? ([\d.eE+]+)$"
_WRITTEN = re.compile(
    _GAUGE.format("llamacpp:tokens_predicted_total|vllm:generation_tokens_total"), re.MULTILINE
)
_BUSY = re.compile(
    _GAUGE.format("llamacpp:requests_processing|vllm:num_requests_running"), re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an engine, or at several together."""

    written: int
    """Tokens so far."""
    busy: int
    """Slots at work now."""

    def __add__(self, other: Look) -> Look:
        return Look(self.written + other.written, self.busy + other.busy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The engines of one comparison."""

    start: Callable[[], AbstractContextManager[list[str]]]
    """Their URLs, for as long as a block runs."""
    look: Callable[[str], Look]
    """What the one at a URL has written, and does."""
    model: str
    servers: int
    slots: int
    scale: float = 1.0
    """How much faster their time runs than ours."""


def played(servers: int, slots: int, scale: float) -> Field:
    """So many engines of `tests/engines/batching.py`, begun anew for each pass."""

    def look(url: str) -> Look:
        found = figures(url)
        return Look(found["written"], min(found["held"], slots))

    return Field(
        start=lambda: fleet(servers, slots=slots, scale=scale),
        look=look,
        model=MODEL,
        servers=servers,
        slots=slots,
        scale=scale,
    )


def real(url: str, slots: int | None = None) -> Field:
    """The engine at `url`, after it has answered once; `slots` where it does not tell them."""
    backend = OpenAIBackend(url)
    engine = backend.engine()
    with suppress(BadAnswer):  # a cut one warms it as well
        backend.complete(Prompt("You count.", "Count to ten.", 64))
    backend.close()
    if not _metrics(url).written:
        raise SystemExit(f"{url}/metrics counts no tokens; start llama.cpp with --metrics")
    return Field(
        start=lambda: nullcontext([url]),
        look=_metrics,
        model=engine.model,
        servers=1,
        slots=slots or engine.slots,
    )


def _metrics(url: str) -> Look:
    text = httpx.get(f"{url}/metrics", timeout=60).raise_for_status().text
    written, busy = (
        int(float(told[1])) if (told := gauge.search(text)) else 0 for gauge in (_WRITTEN, _BUSY)
    )
    return Look(written, busy)


@dataclass(frozen=True, slots=True)
class Tally:
    """What engines wrote in one pass, or in several, in seconds of their time."""

    tokens: int = 0
    seconds: float = 0.0
    """From the first to the last token."""
    inner_tokens: int = 0
    inner_seconds: float = 0.0
    """The same between a fifth and four of all tokens."""
    busy_seconds: float = 0.0
    """Slots × seconds at work."""

    @property
    def whole(self) -> float:
        """Tokens/s with ramp and tail."""
        return self.tokens / self.seconds

    @property
    def steady(self) -> float:
        """Tokens/s without them."""
        return self.inner_tokens / self.inner_seconds

    @property
    def busy(self) -> float:
        """Slots at work, in the mean."""
        return self.busy_seconds / self.seconds

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Tally)))


Curve = list[tuple[float, Look]]
"""Looks, each with when it was."""


def tally(curve: Curve, scale: float = 1.0) -> Tally:
    """What came of a pass by looks at it from before its begin to its end."""
    begin, first = curve[0]
    points = [(at, look.written - first.written) for at, look in curve]
    last = points[-1][1]
    end = next(at for at, written in points if written == last)
    inner = [(at, w) for at, w in points if 0.2 * last <= w <= 0.8 * last]
    (a, low), (b, high) = inner[0], inner[-1]
    busy = sum(
        look.busy * (later - at) for (at, look), (later, _) in itertools.pairwise(curve) if at < end
    )
    return Tally(last, (end - begin) * scale, high - low, (b - a) * scale, busy * scale)


@contextmanager
def watched(urls: Sequence[str], field: Field) -> Iterator[Curve]:
    """Look at the engines twice a second while the block runs."""
    curve: Curve = []
    done = threading.Event()

    def look() -> None:
        curve.append((time.monotonic(), sum(map(field.look, urls), Look(0, 0))))

    def watch() -> None:
        while not done.wait(0.5):
            look()

    look()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield curve
    finally:
        done.set()
        watcher.join()
        look()
