"""Traces: a collector that is named hears of each attempt at a step, and nobody hears where none is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sparky.errors import SourceError, SparkyError, Transient
from sparky.farm import context, traces
from sparky.farm.context import Context
from sparky.farm.step import Outcome, perform
from sparky.model import Repo, Window
from sparky.ports import Claim, Prompt
from sparky.settings import Settings
from sparky.store.runs import Runs
from tests.fakes import FakeBackend
from tests.servers import Servers

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPOS = [Repo(f"git:{n}", f"me/{n}", "git", f"/srv/{n}") for n in ("a", "b")]


@pytest.fixture
def at(servers: Servers, database: str, tmp_path: Path) -> Iterator[Context]:
    """A worker's context, and a farm of two repositories."""
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
    )
    made = context.of(settings)
    for repo in REPOS:
        made.store.add_repo(repo)
    yield made
    made.store.close()


@contextmanager
def collector() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One that speaks OTLP over HTTP: its address, and what it has been sent."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append({"path": self.path} | json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            del args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(attributes: list[dict[str, Any]]) -> dict[str, str]:
    """Attributes as OTLP writes them, by name."""
    return {one["key"]: str(*one["value"].values()) for one in attributes}


def test_each_attempt_is_a_span_of_its_runs_trace(at: Context) -> None:
    """With the repository, how it ended and why; two runs are two traces."""
    runs = Runs(at.store.engine, farm="main")
    with collector() as (url, heard):
        spans = traces.Spans(url, "main")
        seen = replace(at, traces=spans)
        bodies = [_ends, _fails]
        for bell in runs.start("r1", WINDOW, [repo.id for repo in REPOS], {}):
            perform(bell.step_id, bodies.pop(0), seen, worker="w")
        for bell in runs.start("r2", WINDOW, [REPOS[0].id], {}):
            perform(bell.step_id, _ends, seen, worker="w")
        spans.flush()
    (sent,) = heard
    assert sent["path"] == "/v1/traces"
    (resource,) = sent["resourceSpans"]
    assert told(resource["resource"]["attributes"])["service.name"] == "sparky-main"
    (scope,) = resource["scopeSpans"]
    first, second, other = scope["spans"]
    assert {span["name"] for span in (first, second, other)} == {"fetch"}
    assert first["traceId"] == second["traceId"] != other["traceId"]
    assert first["parentSpanId"] == second["parentSpanId"]
    assert int(first["endTimeUnixNano"]) >= int(first["startTimeUnixNano"])
    good = told(first["attributes"])
    assert (good["sparky.run"], good["sparky.repository"]) == ("r1", "me/a")
    assert (good["sparky.attempt"], good["sparky.outcome"]) == ("1", "done")
    assert told(second["attributes"])["sparky.outcome"] == "stop"
    assert second["status"]["message"] == "the repository is gone"


def test_each_question_is_a_span_of_its_attempt(at: Context) -> None:
    """With the model and what it cost, or the error; nothing of the question or the answer is told."""
    (bell,) = Runs(at.store.engine, farm="main").start("r1", WINDOW, [REPOS[0].id], {})
    said: list[str | SparkyError] = ["a secret answer", Transient("the engine is away")]
    engine = FakeBackend(lambda _: said.pop(0))
    with collector() as (url, heard):
        spans = traces.Spans(url, "main")
        seen = replace(at, traces=spans, backend=engine)
        perform(bell.step_id, _asks_twice, seen, worker="w")
        spans.flush()
    (sent,) = heard
    answered, failed, step = sent["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert answered["parentSpanId"] == failed["parentSpanId"] == step["spanId"]
    assert {one["traceId"] for one in (answered, failed)} == {step["traceId"]}
    assert answered["name"] == failed["name"] == f"chat {engine.engine().model}"
    good, bad = told(answered["attributes"]), told(failed["attributes"])
    assert good["gen_ai.response.model"] == engine.engine().model
    assert int(good["gen_ai.usage.input_tokens"]) > 0
    assert int(good["gen_ai.usage.output_tokens"]) > 0
    assert bad["error.type"] == "Transient"
    assert "secret" not in json.dumps(sent)


def test_a_collector_that_is_away_keeps_no_step_from_its_end(at: Context) -> None:
    (bell,) = Runs(at.store.engine, farm="main").start("r1", WINDOW, [REPOS[0].id], {})
    seen = replace(at, traces=traces.Spans("http://127.0.0.1:9", "main"))
    (done,) = perform(bell.step_id, _ends, seen, worker="w")
    assert done.word == "done"


def test_without_opentelemetry_the_setting_is_refused_with_what_to_do() -> None:
    """It is an extra; who names no collector needs none of it."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None; from sparky.farm import traces;"
        " traces.of(None, 'main'); traces.of('http://collector:4318', 'main')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "UsageError: SPARKY_TRACES_URL is set, and OpenTelemetry is not installed" in done.stderr


def _ends(claim: Claim, where: Context) -> Outcome:
    del claim, where
    return Outcome(state="skipped")


def _asks_twice(claim: Claim, where: Context) -> Outcome:
    """From threads of its own, as a roll-up does."""
    del claim
    backend = where.traces.watched(where.backend)
    with ThreadPoolExecutor(1) as askers:
        answer = askers.submit(backend.complete, Prompt("a secret system", "secret", 10))
        assert answer.result().text == "a secret answer"
        with suppress(Transient):
            askers.submit(backend.complete, Prompt("a secret system", "secret", 10)).result()
    return Outcome(state="skipped")


def _fails(claim: Claim, where: Context) -> Outcome:
    del claim, where
    raise SourceError("the repository is gone")
