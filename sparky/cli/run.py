"""`sparky run`: one or a few repositories, from start to digest, on a worker of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparky import wiring
from sparky.cli import logs, output
from sparky.cli.watch import Watch
from sparky.errors import Permanent
from sparky.farm import app as farm
from sparky.farm import remains
from sparky.farm.bell import ring, send
from sparky.farm.worker import THREADS, Process, started, worker_words
from sparky.model import Digest, Repo, Window
from sparky.publish.files import Files
from sparky.settings import Settings
from sparky.store.reports import JobProgress, Reports
from sparky.store.runs import Runs, own_farm
from sparky.wiring import Wired

LOOK_SECONDS = 0.2
SWEEP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, and what to do with what comes out."""

    sources: Sequence[str]
    window: Window
    run_id: str
    form: str = "md"
    out: Path | None = None
    refresh: bool = False
    """Ask the engine again, whatever it answered before."""


def run(settings: Settings, order: Order, watch: Watch) -> int:
    """Make the digests and show them. Returns the exit code: 0 done, 3 partial, 1 failed."""
    logs.to_stderr()
    with wiring.open(settings, on_event=watch.event, on_progress=watch.download) as wired:
        private = wired.settings.with_changes(farm=own_farm(order.run_id), publish_dir=None)
        slots = wired.backend.engine().slots
        # One more thread than the engine has slots keeps it busy while an answer is checked.
        words = worker_words(private.farm, concurrency=min(slots + 1, THREADS))
        with _worker(private, words) as worker:
            jobs, missing = _work(wired, private, order, watch, worker)
        return _show(wired, order, watch, jobs, missing)


@contextmanager
def _worker(private: Settings, words: Sequence[str]) -> Iterator[Process]:
    """The run's own worker. Nothing of its farm stays, but the log of a worker that has died."""
    log = _log(private)
    with ExitStack() as stack:
        stack.callback(remains.forget, private)
        worker = stack.enter_context(started("worker", words, private, log=log, grace=2.0))
        try:
            yield worker
        finally:
            if not worker.ended:
                log.unlink(missing_ok=True)


def _log(private: Settings) -> Path:
    """Where the worker of a run says what it does."""
    return private.state_dir / "logs" / f"{private.farm}.log"


def _work(
    wired: Wired, private: Settings, order: Order, watch: Watch, worker: Process
) -> tuple[tuple[JobProgress, ...], int]:
    """Start the run and wait until it has ended; its jobs, and how many sources had none."""
    runs = Runs(wired.store.engine, farm=private.farm)
    reports = Reports(wired.store.engine)
    app = farm.make(private)
    with runs.held():
        for orphan in runs.cancel_orphans():
            gone = private.with_changes(farm=orphan)
            remains.forget(gone)
            _log(gone).unlink(missing_ok=True)
        repos = _identify(wired, order.sources, watch)
        missing = len(order.sources) - len(repos)
        for repo in repos.values():
            wired.store.add_repo(repo, tracked=False)
        # Whoever asks for a digest gets one, also of a window in which nothing happened.
        options = {"even_empty": True, "refresh": order.refresh}
        ring(app, runs.start(order.run_id, order.window, list(repos), options))
        swept = time.monotonic()
        try:
            while True:
                jobs = reports.progress(order.run_id)
                watch.show(jobs)
                if all(job.ended for job in jobs):
                    return jobs, missing
                worker.check()
                if time.monotonic() - swept > SWEEP_SECONDS:
                    send(app, "sweep")
                    swept = time.monotonic()
                time.sleep(LOOK_SECONDS)
        except BaseException:
            # Ctrl-C, a dead worker: nothing of this run may stay open.
            runs.cancel(order.run_id)
            raise
        finally:
            watch.stop()


def _identify(wired: Wired, sources: Sequence[str], watch: Watch) -> dict[str, Repo]:
    """The repositories by id. One that cannot be read is told of, and stops the run if alone."""
    found: dict[str, Repo] = {}
    for location in sources:
        watch.event(f"looking at {location}")
        try:
            repo = wired.source.identify(location)
        except Permanent as error:
            if len(sources) == 1:
                raise
            watch.problem(error)
        else:
            found[repo.id] = repo
    if not found:
        raise Permanent("none of the repositories can be read")
    return found


def _show(
    wired: Wired, order: Order, watch: Watch, jobs: Sequence[JobProgress], missing: int
) -> int:
    """Print or write each digest, say what it cost, and choose the exit code."""
    digests: list[Digest] = []
    for job in jobs:
        if job.revision is None:
            watch.problem(Permanent(f"{job.repo.name}: {job.error}"))
            continue
        digest = wired.store.digest(job.repo.id, order.window, job.revision)
        if digest is not None:
            digests.append(job.with_provenance(digest))
    as_text = wiring.RENDERERS[order.form]
    if order.out is not None:
        files = Files(order.out, order.form, as_text)
        for digest in digests:
            watch.say(f"wrote {files.publish(digest)}")
    else:
        output.digests(digests, order.form, as_text)
    for job in jobs:
        watch.cost(job)
    if not digests:
        return 1
    whole = missing == 0 and all(job.state == "done" for job in jobs)
    return 0 if whole else 3
