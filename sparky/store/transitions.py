"""Which state may follow which. Triggers in the database refuse everything else.

What has ended well stays so; only a retry opens again what failed or was cancelled.
"""

from __future__ import annotations

from typing import Final

STEPS: Final = frozenset(
    {
        ("waiting", "running"),  # claimed
        ("running", "waiting"),  # to be tried again, or its worker went silent
        ("running", "done"),
        ("running", "failed"),
        ("waiting", "cancelled"),
        ("running", "cancelled"),
        ("failed", "waiting"),  # retried
        ("cancelled", "waiting"),  # retried
    }
)
JOBS: Final = frozenset(
    {
        ("waiting", "running"),
        ("waiting", "skipped"),
        ("waiting", "failed"),
        ("waiting", "cancelled"),
        ("running", "partial"),
        ("running", "done"),
        ("running", "failed"),
        ("running", "skipped"),
        ("running", "cancelled"),
        ("partial", "running"),  # retried
        ("failed", "running"),  # retried
        ("cancelled", "running"),  # retried
    }
)
RUNS: Final = frozenset(
    {
        ("running", "partial"),
        ("running", "done"),
        ("running", "failed"),
        ("running", "cancelled"),
        ("partial", "running"),  # retried
        ("failed", "running"),  # retried
        ("cancelled", "running"),  # retried
    }
)
ALLOWED: Final = {"steps": STEPS, "jobs": JOBS, "runs": RUNS}
