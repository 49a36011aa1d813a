"""The commands of README.md do what it says of them."""

from __future__ import annotations

import re
from pathlib import Path

from sparky.farm.app import QUEUES

PAGE = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
WORKERS = re.findall(r"^celery -A sparky\.farm\.app worker (.*)$", PAGE, re.MULTILINE)


def words(option: str) -> list[str]:
    """What the option's value is for each worker."""
    return [found[1] for line in WORKERS if (found := re.search(rf"{option} +(\S+)", line))]


def test_the_workers_of_many_machines_take_every_queue() -> None:
    """A queue that nobody takes is a schedule that never fires, or a database that only grows."""
    assert {queue for value in words("-Q") for queue in value.split(",")} == set(QUEUES)


def test_the_workers_of_many_machines_have_a_name_each_where_they_share_one() -> None:
    """A worker that ends hands back what is under its name."""
    names = words("-n")
    assert len(set(names)) == len(WORKERS) > 1
