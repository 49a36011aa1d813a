"""A whole run under a storm of faults, and Postgres' rows as the judge. `make chaos` is the long form."""

from __future__ import annotations

import json

from tests.faults.sizes import LONG
from tests.faults.storm import apart


def test_a_run_in_a_storm_ends_as_one_without() -> None:
    """Each repository has its one digest, the same as without faults; nothing is held or lost."""
    done = apart(["--short", "--repositories", "40", "--seed", "7", "--json"])
    assert done.stdout, "it ended without a report"
    report = json.loads(done.stdout)
    assert report["wrong"] == {}
    assert report["different"] == {}
    assert report["digests"] == report["repositories"]
    assert report["unexplained"] == [], "something was paid twice that no fault has cut off"
    assert {felt["what"] for felt in report["faults"]} == set(LONG)
    assert all(felt["seconds"] is not None for felt in report["faults"]), "something hangs still"
