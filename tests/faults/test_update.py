"""Workers that are replaced one by one in the middle of a run, as a rolling update does."""

from __future__ import annotations

from pathlib import Path

from tests.faults.crew import ROOT
from tests.faults.sizes import long_form
from tests.faults.update import update


def test_a_rolling_update_costs_no_step(tmp_path: Path) -> None:
    """Each repository has its one digest, the same as without an update, and nothing was lost or failed."""
    came = update(long_form(12), tmp_path, older=ROOT)
    assert came.together > 0
    assert came.digests == 12
    assert came.different == {}
    assert came.wrong == {}
    assert came.burnt == 0
