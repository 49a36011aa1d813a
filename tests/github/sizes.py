"""How large and how busy repositories are: most are small and quiet, a few are huge.

| class  | share  | commits        |
|--------|--------|----------------|
| tiny   | 60 %   | 1 to 20        |
| small  | 30 %   | 20 to 200      |
| medium | 9 %    | 200 to 1000    |
| large  | 0.9 %  | 1000 to 5000   |
| huge   | 0.1 %  | 5000 to 20,000 |

To each hundred commits come about 30 pull requests and 20 issues, and a release now and then.
Of all repositories 40 % have rested for more than a quarter of a year, 35 % for more than ten
days, and 25 % had a push within the last ten days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

CLASSES = (
    (0.600, 1, 20),
    (0.900, 20, 200),
    (0.990, 200, 1000),
    (0.999, 1000, 5000),
    (1.000, 5000, 20000),
)


@dataclass(slots=True, frozen=True)
class Size:
    """How much of each there is, and between which times it came about."""

    commits: int
    pull_requests: int
    issues: int
    releases: int
    created_at: datetime
    pushed_at: datetime


def draw(random: Random, now: datetime, commits: int | None = None) -> Size:
    """A size from the distribution above; `commits` fixes how large it is."""
    if commits is None:
        position = random.random()
        low, high = next((low, high) for share, low, high in CLASSES if position < share)
        commits = random.randint(low, high)
    rest = random.random()
    if rest < 0.40:
        age = timedelta(days=random.uniform(92, 900))
    elif rest < 0.75:
        age = timedelta(days=random.uniform(10, 92))
    else:
        age = timedelta(days=random.uniform(0.02, 10))
    pushed = (now - age).replace(microsecond=0)
    created = pushed - timedelta(days=random.uniform(30, 2000))
    return Size(
        commits=commits,
        pull_requests=int(commits * random.uniform(0.1, 0.5)),
        issues=int(commits * random.uniform(0.0, 0.4)),
        releases=min(int(commits**0.5 * random.uniform(0, 0.8)), commits),
        created_at=created.replace(microsecond=0),
        pushed_at=pushed,
    )
