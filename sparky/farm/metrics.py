"""The farm's figures as Prometheus reads them: from Postgres, the broker, and what was counted.

A part that does not answer is told as down; its figures are then missing, not wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import redis
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from sparky.errors import SparkyError
from sparky.farm.app import QUEUES, key_prefix
from sparky.farm.tally import BUCKETS, Tally
from sparky.store.gateway import Gateway
from sparky.store.gauges import WINDOW, Snapshot, snapshot

Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class Figures(Collector):
    """Reads everything anew each time that it is asked."""

    def __init__(self, store: Gateway, tally: Tally, farm: str) -> None:
        self._store = store
        self._tally = tally
        self._farm = farm

    def collect(self) -> Iterator[Family]:
        """All families. Never raises for a part that is away."""
        up = GaugeMetricFamily("sparky_up", "Whether the part answers.", labels=["part"])
        families: list[Family] = [up]
        try:
            families += _database(snapshot(self._store.engine, self._farm))
            up.add_metric(["database"], 1)
        except SparkyError:
            up.add_metric(["database"], 0)
        prefix = key_prefix(self._farm)
        try:
            families += _broker(self._tally.broker(QUEUES, prefix))
            families += _counted(self._tally.read())
            up.add_metric(["broker"], 1)
        except redis.RedisError:
            up.add_metric(["broker"], 0)
        yield from families


def _database(now: Snapshot) -> list[Family]:
    return [*_steps(now), *_runs(now), *_calls(now), *_budgets(now), *_whole(now)]


def _steps(now: Snapshot) -> Iterator[Family]:
    steps = _gauge(
        "steps", "Steps by stage and state; `later`: waits for a time.", "stage", "state"
    )
    age = _gauge(
        "oldest_step_seconds", "How long the oldest step that may run has waited.", "stage"
    )
    expired = _gauge("leases_expired", "Steps whose worker has gone silent.", "stage")
    for row in now.steps:
        stage = row["stage"]
        for state in ("running", "later"):
            steps.add_metric([stage, state], row[state])
        steps.add_metric([stage, "waiting"], row["waiting"] - row["later"])
        age.add_metric([stage], max(0.0, float(row["age"])))
        expired.add_metric([stage], row["expired"])
    yield from (steps, age, expired)


def _runs(now: Snapshot) -> Iterator[Family]:
    jobs = _gauge("run_jobs", "Jobs of each group's latest run.", "group", "state")
    gaps = _gauge(
        "ledger_gaps", "What the latest run could not read of what it had to tell.", "group"
    )
    begun = _gauge("run_begun_timestamp_seconds", "When the latest run began.", "group")
    ended = _gauge("run_ended_timestamp_seconds", "When the latest run ended; 0: not yet.", "group")
    finished = _gauge(
        "run_finished_timestamp_seconds", "When a run last ended in this state.", "group", "state"
    )
    missing: dict[str, float] = defaultdict(float)
    times: dict[str, tuple[float, float]] = {}
    for row in now.runs:
        missing[row["group"]] += float(row["gaps"])
        jobs.add_metric([row["group"], row["state"]], row["jobs"])
        times[row["group"]] = (float(row["begun"]), float(row["ended"] or 0))
    for group, count in missing.items():
        gaps.add_metric([group], count)
    for group, (first, last) in times.items():
        begun.add_metric([group], first)
        ended.add_metric([group], last)
    for row in now.finished:
        finished.add_metric([row["group"], row["state"]], float(row["at"]))
    yield from (jobs, gaps, begun, ended, finished)


def _calls(now: Snapshot) -> Iterator[Family]:
    tokens = _gauge("tokens_per_second", f"Over the last {WINDOW} s.", "model", "kind")
    calls = _gauge("engine_calls_per_second", f"Over the last {WINDOW} s.", "model", "outcome")
    busy = _gauge("engine_calls_in_flight", f"On average over the last {WINDOW} s.", "model")
    spent: dict[str, float] = defaultdict(float)
    written: dict[tuple[str, str], float] = defaultdict(float)
    for row in now.calls:
        model = row["model"]
        calls.add_metric([model, row["outcome"]], row["calls"] / WINDOW)
        spent[model] += float(row["seconds"]) / WINDOW
        for kind in ("prompt", "cached", "completion"):
            written[model, kind] += float(row[kind]) / WINDOW
    for (model, kind), rate in written.items():
        tokens.add_metric([model, kind], rate)
    for model, rate in spent.items():
        busy.add_metric([model], rate)
    yield from (tokens, calls, busy)


def _budgets(now: Snapshot) -> Iterator[Family]:
    limit = _gauge("github_limit", "Points in an hour.", "credential", "resource")
    left = _gauge("github_remaining", "Points that are left.", "credential", "resource")
    reset = _gauge("github_reset_timestamp_seconds", "When all are back.", "credential", "resource")
    blocked = _gauge("github_blocked_seconds", "GitHub asked to wait.", "credential", "resource")
    for row in now.budgets:
        labels = [row["label"], row["resource"]]
        blocked.add_metric(labels, float(row["blocked"] or 0))
        if row["allowed"] is not None:
            limit.add_metric(labels, row["allowed"])
            left.add_metric(labels, row["remaining"])
            reset.add_metric(labels, float(row["reset_at"]))
    yield from (limit, left, reset, blocked)


def _whole(now: Snapshot) -> Iterator[Family]:
    for name, text, value in (
        ("schedule_overdue_seconds", "How late the most overdue schedule is.", "overdue"),
        ("paused", "Whether the farm is paused.", "paused"),
        ("database_bytes", "Size of the database.", "bytes"),
        ("database_standbys", "Standbys that follow the database.", "standbys"),
    ):
        gauge = _gauge(name, text)
        gauge.add_metric([], float(now.whole[value]))
        yield gauge


def _broker(told: Mapping[str, int]) -> Iterator[Family]:
    memory = _gauge("broker_bytes", "Memory that the broker uses.")
    memory.add_metric([], told["memory"])
    limit = _gauge("broker_limit_bytes", "Memory that the broker may use; 0: no limit.")
    limit.add_metric([], told["limit"])
    waiting = _gauge("broker_messages", "Messages that wait in a queue.", "queue")
    for queue in QUEUES:
        waiting.add_metric([queue], told[queue])
    yield from (memory, limit, waiting)


def _counted(counts: Mapping[str, int]) -> Iterator[Family]:
    steps = CounterMetricFamily(
        "sparky_steps_ended", "Steps that came to an end.", labels=["stage", "outcome"]
    )
    events = CounterMetricFamily("sparky_events", "What else happened.", labels=["event"])
    buckets: dict[str, dict[str, int]] = defaultdict(dict)
    for name, number in counts.items():
        kind, _, rest = name.partition("|")
        if kind == "steps":
            steps.add_metric(rest.split("|"), number)
        elif kind == "bucket":
            stage, _, bound = rest.partition("|")
            buckets[stage][bound] = number
        elif not rest:
            events.add_metric([kind], number)
    seconds = HistogramMetricFamily(
        "sparky_step_seconds", "How long steps took, waiting not counted.", labels=["stage"]
    )
    for stage, found in buckets.items():
        total, cumulated = 0, []
        for bound in (*map(str, BUCKETS), "+Inf"):
            total += found.get(bound, 0)
            cumulated.append((bound, total))
        seconds.add_metric([stage], cumulated, counts.get(f"millis|{stage}", 0) / 1000)
    yield from (steps, events, seconds)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sparky_{name}", text, labels=list(labels))
