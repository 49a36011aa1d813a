"""The farm's figures: what Prometheus reads is what Postgres and the broker hold."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sparky.cli import metrics
from sparky.farm import app as celery
from sparky.farm import context, sweeping, ticking
from sparky.farm.app import broker_url, key_prefix
from sparky.farm.context import Context
from sparky.farm.metrics import Figures
from sparky.farm.step import Outcome, perform
from sparky.farm.tally import Tally
from sparky.model import Repo
from sparky.ports import Census
from sparky.schedules import Schedule
from sparky.settings import Settings
from sparky.store.codec import dump
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.groups import Groups
from sparky.store.schedules import Schedules
from tests.servers import Servers

Read = dict[tuple[str, tuple[str, ...]], float]
"""Values by the sample's name and its labels' values, in the order of the labels' names."""


@pytest.fixture
def at(servers: Servers, database: str, tmp_path: Path) -> Iterator[Context]:
    """A worker's context, with a group of two repositories whose run has just begun."""
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm=f"figures-{uuid4().hex[:8]}",
    )
    made = context.of(settings)
    for name in "ab":
        made.store.add_repo(Repo(f"git:{name}", f"me/{name}", "git", f"/srv/{name}"))
    Groups(made.store.engine).add("night", ["git:a", "git:b"])
    Schedules(made.store.engine, farm=settings.farm).add(
        Schedule(name="nightly", cron="30 2 * * *", group="night")
    )
    run(made, "UPDATE schedules SET next_due = next_due - interval '1 day',"
              " fires_at = fires_at - interval '1 day'")  # fmt: skip
    ticking.tick(celery.make(settings), made)
    yield made
    made.store.close()


def run(at: Context, statement: str) -> list[sa.Row[tuple[int]]]:
    with at.store.engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return list(result) if result.returns_rows else []


def figures(at: Context) -> Read:
    """What Prometheus would read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(at.store, at.tally, at.settings.farm))
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_run_that_has_begun_is_seen_with_its_steps_and_messages(at: Context) -> None:
    now = figures(at)
    assert now["sparky_up", ("database",)] == now["sparky_up", ("broker",)] == 1
    assert now["sparky_steps", ("fetch", "waiting")] == 2
    assert now["sparky_run_jobs", ("night", "waiting")] == 2
    assert now["sparky_run_ended_timestamp_seconds", ("night",)] == 0
    assert now["sparky_broker_messages", ("fetch",)] == 2
    assert now["sparky_broker_bytes", ()] > 0
    assert now["sparky_events_total", ("ticks",)] == 1
    assert now["sparky_paused", ()] == 0


def test_a_step_that_ended_is_counted_with_its_outcome_and_duration(at: Context) -> None:
    (step,), *_ = run(at, "SELECT id FROM steps ORDER BY id")
    perform(step, lambda claim, where: Outcome(state="skipped"), at, worker="w")
    at.tally.flush()
    now = figures(at)
    assert now["sparky_steps_ended_total", ("done", "fetch")] == 1
    assert now["sparky_step_seconds_count", ("fetch",)] == 1
    assert now["sparky_step_seconds_bucket", ("+Inf", "fetch")] == 1
    assert now["sparky_run_jobs", ("night", "skipped")] == 1


def test_what_a_run_could_not_read_is_counted_for_its_group(at: Context) -> None:
    """So that a night of whole digests can be told from one of digests with holes."""
    assert figures(at)["sparky_ledger_gaps", ("night",)] == 0
    census = dump(Census({}, gaps=("pull request 3 is not handed out", "issue 4 neither")))
    for (step,) in run(at, "SELECT id FROM steps ORDER BY id"):
        perform(step, lambda claim, where: Outcome(job={"census": census}), at, worker="w")
    assert figures(at)["sparky_ledger_gaps", ("night",)] == 4


def test_a_worker_that_went_silent_shows_until_it_is_swept(at: Context) -> None:
    (step,), *_ = run(at, "SELECT id FROM steps ORDER BY id")
    at.work.claim(step, worker="gone", lease=60)
    run(at, f"UPDATE steps SET lease_until = now() - interval '1 s' WHERE id = {step}")
    assert figures(at)["sparky_leases_expired", ("fetch",)] == 1
    sweeping.sweep(celery.make(at.settings), at, worker="w")
    assert figures(at).get(("sparky_leases_expired", ("fetch",)), 0) == 0


def test_engine_calls_of_the_last_minute_make_the_rates(at: Context) -> None:
    run(at, "INSERT INTO llm_calls (stage, engine, model, prompt_tokens, cached_tokens,"
            " completion_tokens, seconds, outcome)"
            " VALUES ('summarize', 'e', 'm', 600, 300, 120, 30, 'ok')")  # fmt: skip
    run(at, "INSERT INTO llm_calls (stage, engine, model, prompt_tokens, completion_tokens,"
            " seconds, outcome, at)"
            " VALUES ('summarize', 'e', 'm', 1, 1, 1, 'ok', now() - interval '2 min')")  # fmt: skip
    now = figures(at)
    assert now["sparky_tokens_per_second", ("completion", "m")] == 2
    assert now["sparky_tokens_per_second", ("cached", "m")] == 5
    assert now["sparky_engine_calls_in_flight", ("m",)] == 0.5


def test_the_end_of_a_run_is_kept_by_group_and_state(at: Context) -> None:
    for (step,) in run(at, "SELECT id FROM steps ORDER BY id"):
        perform(step, lambda claim, where: Outcome(state="skipped"), at, worker="w")
    now = figures(at)
    assert now["sparky_run_finished_timestamp_seconds", ("night", "done")] > 0
    assert now["sparky_run_ended_timestamp_seconds", ("night",)] > 0


def test_a_credentials_budget_is_shown_by_its_masked_name(at: Context) -> None:
    run(at, "INSERT INTO forge_budgets (credential, resource, label, allowed, remaining, reset_at)"
            " VALUES ('id', 'graphql', 'ghp_…abcd', 5000, 1200, now() + interval '1 h')")  # fmt: skip
    assert figures(at)["sparky_github_remaining", ("ghp_…abcd", "graphql")] == 1200


def test_a_broker_that_is_away_leaves_the_databases_figures(at: Context) -> None:
    away = replace(at, tally=Tally("redis://127.0.0.1:9/0", key_prefix(at.settings.farm)))
    now = figures(away)
    assert now["sparky_up", ("broker",)] == 0
    assert now["sparky_steps", ("fetch", "waiting")] == 2
    assert not any(name.startswith("sparky_broker") for name, _ in now)


def test_a_database_that_is_away_is_told_and_the_brokers_figures_stay(at: Context) -> None:
    registry = CollectorRegistry(auto_describe=False)
    nowhere = Gateway(connect("postgresql://127.0.0.1:9/x"))
    registry.register(Figures(nowhere, at.tally, at.settings.farm))
    text = generate_latest(registry).decode()
    assert 'sparky_up{part="database"} 0.0' in text
    assert 'sparky_broker_messages{queue="fetch"} 2.0' in text


def test_counts_that_the_broker_did_not_take_go_with_the_next_flush(at: Context) -> None:
    tally = Tally("redis://127.0.0.1:9/0", key_prefix(at.settings.farm))
    tally.count("ticks", 3)
    tally.flush()
    again = Tally(broker_url(at.settings), key_prefix(at.settings.farm))
    tally._redis = again._redis
    tally.flush()
    assert again.read()["ticks|"] == 4


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Exception, match="is no address"):
        metrics._serve(CollectorRegistry(), "nowhere")


def test_prometheus_is_answered_over_http(at: Context) -> None:
    from prometheus_client import start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(at.store, at.tally, at.settings.farm))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as said:
            assert b'sparky_up{part="database"} 1.0' in said.read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
