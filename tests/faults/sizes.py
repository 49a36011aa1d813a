"""How much of a storm it is: which faults, how often, and how long anything may take."""

from __future__ import annotations

from dataclasses import dataclass, replace

LONG = {
    "kill fetch": 12,
    "kill near": 12,
    "kill far": 8,
    "kill rest": 10,
    "beat dies": 8,
    "flush the broker": 3,
    "restart the broker": 2,
    "restart Postgres": 3,
    "engine away": 1,
    "GitHub away": 1,
    "disk full": 1,
    "broker full": 1,
    "half-open connections": 1,
    "beat's clock jumps": 1,
    "two beats": 1,
}
AWAY = dict.fromkeys(
    (
        "GitHub away",
        "engine away",
        "half-open connections",
        "restart Postgres",
        "restart the broker",
    ),
    1,
)
SHORT = dict.fromkeys(LONG, 1) | {"kill fetch": 3, "kill near": 3, "kill rest": 2}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a storm it is."""

    repositories: int
    github: int
    """So many of them are on GitHub."""
    faults: dict[str, int]
    lease: int
    slowness: float
    """Of the engines in the storm, so that there is something to hit."""
    away: float
    """Seconds for which what is away is away."""
    patience: float
    """Seconds to wait for anything at all before it counts as hung."""
    longest: float
    """Seconds after which a fault may be felt no longer."""
    down: float = 2.0
    """Seconds from the end of Postgres or the broker to its start."""
    alone: bool = False
    """Whether each fault waits until nothing is felt of the one before."""


def long_form(repositories: int) -> Size:
    """Settings as they are by default, and faults by the dozen."""
    return Size(
        repositories=repositories,
        github=max(8, repositories // 20),
        faults=LONG,
        lease=20,
        slowness=12.0,
        away=20.0,
        patience=900.0,
        longest=60.0,
    )


def short_form(repositories: int) -> Size:
    """Each kind at least once, in a minute or two; leases are short."""
    return Size(
        repositories=repositories,
        github=8,
        faults=SHORT,
        lease=5,
        slowness=12.0,
        away=6.0,
        patience=240.0,
        longest=120.0,
    )


def away_form(repositories: int, seconds: float) -> Size:
    """Whatever goes away does so once, alone, for so many seconds."""
    size = long_form(repositories)
    return replace(
        size,
        faults=AWAY,
        away=seconds,
        down=seconds,
        alone=True,
        # So that there is work left for the others while one thing is away.
        slowness=size.slowness * max(1.0, seconds / 60),
    )
