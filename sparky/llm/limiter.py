"""How many requests an engine gets at once: more while that makes it faster, half when it is full.

By Little's law an engine's tokens/s are the requests in flight times the tokens/s of one of them.
So the speed of single answers, begun since the limit last changed, tells what the limit is worth,
and no clock needs to be read in between. A batching engine that is full lets further requests
wait, which shows in the time to the first token: then the limit goes back to where it was.
"""

from __future__ import annotations

GAIN = 1.05
"""Growth of tokens/s, for half as many requests more, below which they were not worth it."""
QUEUED = 0.2
"""Growth of the share of an answer's time before its first token that shows a queue."""
LATER = 24
"""Rounds after which a limit that did not pay is tried once more: engines and prompts change."""
HIGHEST = 1024


class Limiter:
    """The in-flight limit of one engine, as one process finds it. Not safe between threads.

    It doubles at first, then grows by a quarter; each step is kept only if it pays. An overload
    halves it, and from then on it grows by one. It never leaves 1 … `most`.

    Args:
        start: what to begin with: the slots that the engine tells.
        most: what a person allows.
        patience: seconds that a first token may take before it counts as an overload to come.
    """

    def __init__(self, start: int, *, most: int | None = None, patience: float = 60.0) -> None:
        self._most = most or HIGHEST
        self.limit = max(1, min(start, self._most))
        self.patience = patience
        self.rate = 0.0
        """Tokens/s of the engine at the limit, as last measured; 0 before that."""
        self.era = 0
        """Grows with each change of the limit; an answer belongs to the era it was begun in."""
        self._kept = self.limit
        self._paid = 0.0
        """Tokens/s at `_kept`."""
        self._share = 0.0
        """Of an answer's time at `_kept`, that before its first token."""
        self._doubling = True
        self._rested = 0
        self._forget()

    def answered(self, era: int, tokens: int, seconds: float, first: float, *, busy: bool) -> None:
        """An answer came.

        Args:
            era: `era` when it was asked for.
            tokens: how many the engine wrote.
            seconds: what it took in all; `first`, until the first token.
            busy: whether the limit was reached meanwhile. Idle times teach nothing.
        """
        if era != self.era or not busy or seconds <= 0:
            return
        self._answers += 1
        self._tokens += tokens
        self._seconds += seconds
        self._first += first
        # Half a round while doubling, as each step is large; else a round, as steps are small.
        if self._answers >= max(4, self.limit // 2 if self._doubling else self.limit):
            self._judge()

    def overloaded(self, era: int) -> None:
        """The engine refused for want of room: half of it is enough. Once for each era."""
        if era == self.era:
            self._doubling = False
            self._paid = 0.0
            self._rested = 0
            self._set(self.limit // 2)
            self._kept = self.limit

    def _judge(self) -> None:
        self.rate = self.limit * self._tokens / self._seconds
        share = self._first / self._seconds
        slow = self._first / self._answers > self.patience
        self._forget()
        grown = self.limit > self._kept
        if slow:  # whatever it brings: the next step would end in timeouts
            self._doubling = False
            self._set(self.limit * 3 // 4)
            self._kept, self._paid = self.limit, 0.0
        elif grown and share > self._share + QUEUED:
            # It is full somewhere in between. A short queue hides the time between two calls.
            if self._doubling:
                self._kept += self._kept // 4
            self._rest()
        elif grown and self.rate < self._paid * self._wanted():
            self._rest()
        else:
            self._kept, self._paid, self._share = self.limit, self.rate, share
            if self._rested:
                self._rested -= 1
            else:
                self._set(self.limit * 2 if self._doubling else self.limit + self.limit // 4 + 1)

    def _rest(self) -> None:
        self._doubling = False
        self._rested = LATER
        self._set(self._kept)

    def _wanted(self) -> float:
        """The least growth of tokens/s for the growth of the limit: GAIN for each half more."""
        return 1 + (GAIN - 1) * min(2.0, (self.limit / self._kept - 1) / 0.5)

    def _set(self, limit: int) -> None:
        limit = max(1, min(limit, self._most))
        if limit != self.limit:
            self.limit = limit
            self.era += 1
            self._forget()

    def _forget(self) -> None:
        self._answers, self._tokens = 0, 0
        self._seconds, self._first = 0.0, 0.0
