"""What goes wrong, by script: which requests, how often, in which way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any


class What(StrEnum):
    """The ways in which a request fails."""

    BAD_GATEWAY = "502"
    """502 with a JSON body that says 'Something went wrong', as for slow queries."""
    GATEWAY_TIMEOUT = "504"
    """504 with a page of HTML, from a proxy in front."""
    UNAVAILABLE = "503"
    TIMEOUT = "timeout"
    """200 whose only content is the error 'Something went wrong'."""
    RESET = "reset"
    """The connection is closed before a byte of the answer."""
    TRUNCATE = "truncate"
    """The connection is closed in the middle of the answer."""
    GARBAGE = "garbage"
    """200 with something that is not JSON."""
    PARTIAL = "partial"
    """One node of a list is null, with an error that names its path."""
    RESOURCES = "resources"
    """RESOURCE_LIMITS_EXCEEDED: every list behind the first level is null, with errors."""
    SECONDARY_LIMIT = "secondary_limit"
    """Refused by a secondary limit; `status` and `retry_after` choose the variant."""
    ABUSE = "abuse"
    """The same in the older words: an abuse detection mechanism."""
    PRIMARY_LIMIT = "primary_limit"
    """Refused as if no points were left."""
    UNAUTHORIZED = "401"
    HOLD = "hold"
    """The answer waits until `release` is set, and is then the right one."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a fault can look at to decide."""

    resource: str
    name: str
    """The query's name, or method and route."""
    who: str
    variables: dict[str, Any]
    page: int = 0
    """The largest `first` or `last` of the query."""


def always(_: Incoming) -> bool:
    return True


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that goes wrong for requests that fit.

    `when` looks at a request; `match` compares fields, `above` asks for larger pages than that.
    The first `skip` that fit pass unharmed, then `times` of them fail (None: for ever), each
    with probability `rate`.
    """

    what: What
    when: Callable[[Incoming], bool] = always
    match: dict[str, str] = field(default_factory=dict)
    above: int | None = None
    skip: int = 0
    times: int | None = 1
    rate: float = 1.0
    status: int = 403
    retry_after: int | None = 60
    release: threading.Event = field(default_factory=threading.Event)
    hits: int = 0
    """How often it has struck."""

    def fits(self, request: Incoming) -> bool:
        fields = all(getattr(request, name) == value for name, value in self.match.items())
        large = self.above is None or request.page > self.above
        return fields and large and self.when(request)


class Faults:
    """The script; the first fault that fits and is not used up strikes."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(f"{seed}/faults")
        self._lock = threading.Lock()
        self.script: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self.script.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self.script = []

    def strike(self, request: Incoming) -> Fault | None:
        """The fault that this request meets, if any."""
        with self._lock:
            for fault in self.script:
                if fault.times == 0 or not fault.fits(request):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.rate < 1 and self._random.random() >= fault.rate:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                fault.hits += 1
                return fault
        return None
