"""How many tokens a text has: remembered counts, and an estimate that learns from real answers."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict, deque
from typing import Protocol

UNLEARNED = 2.0
"""Bytes a token before anything is learned. Prose has about 4, code and hashes 2.5 to 3."""
MARGIN = 0.95
"""What a learned ratio is multiplied with, so that an estimate errs on the long side."""
_SAMPLES = 3
"""Answers needed before their ratio counts."""
_NEWS = 0.02
"""Change of the ratio that is worth keeping."""
_SMALLEST = 64
"""Tokens of the shortest prompt that teaches anything; shorter ones are mostly template."""


class Memory:
    """Counts of texts seen before, the latest `size` of them; keeps hashes, not texts."""

    def __init__(self, size: int = 65_536) -> None:
        self._size = size
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str) -> int | None:
        key = _key(text)
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
            return self._counts.get(key)

    def put(self, text: str, tokens: int) -> None:
        key = _key(text)
        with self._lock:
            self._counts[key] = tokens
            if len(self._counts) > self._size:
                self._counts.popitem(last=False)


class Ratios(Protocol):
    """Keeps bytes a token for each model between runs. Errors: Transient, StoreError."""

    def ratio(self, model: str) -> float | None: ...

    def put_ratio(self, model: str, ratio: float) -> None: ...


class Estimator:
    """Tokens from bytes, by a ratio learned from what engines say of real prompts.

    It takes the densest of the latest prompts, so one of prose does not make the next one of
    hashes look short.
    """

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=32)
        self._known = UNLEARNED
        self._told = 0.0
        self._lock = threading.Lock()

    @property
    def ratio(self) -> float:
        """Bytes a token: low means careful."""
        with self._lock:
            ratios = tuple(self._ratios)
        return min(ratios) * MARGIN if len(ratios) >= _SAMPLES else self._known

    def begin(self, ratio: float) -> None:
        """What was learned before, for as long as nothing newer is."""
        self._known = self._told = ratio

    def learn(self, text: str, tokens: int) -> None:
        """An engine read `text` as `tokens` tokens."""
        if tokens >= _SMALLEST:
            with self._lock:
                self._ratios.append(min(max(_size(text) / tokens, 1.0), 8.0))

    def news(self) -> float | None:
        """The ratio, if it has been learned and is not the one that was last told."""
        with self._lock:
            if len(self._ratios) < _SAMPLES:
                return None
        ratio = self.ratio
        if abs(ratio - self._told) <= _NEWS * self._told:
            return None
        self._told = ratio
        return ratio

    def estimate(self, text: str) -> int:
        """Tokens of `text`, rather too many than too few; 0 for no text."""
        return math.ceil(_size(text) / self.ratio)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
