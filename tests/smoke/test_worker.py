"""Sparky's image as a worker under pytest-celery: what is asked is done, what is lost comes again.

Each test reads a day of the repository for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

from tests.engines.server import Reply
from tests.smoke.farm import Farm

TASKS = ("fetch", "chunk", "summarize", "rollup", "publish", "sweep", "tick", "prune")


def test_each_task_is_done(farm: Farm) -> None:
    """The stages of a run follow from one message, each in a task of its own where the worker takes its
    queue later; the rest is sent to the worker's other queues."""
    control, stages = farm.setup.app.control, TASKS[:5]
    for stage in stages[1:]:
        control.cancel_consumer(stage, destination=[farm.name], reply=True)
    run = farm.start("2026-03-02")
    for stage, following in pairwise(stages):
        run.until(lambda stage=stage: [step["state"] for step in run.steps(stage)] == ["done"])
        control.add_consumer(following, destination=[farm.name])
    farm.send("tick", "prune")
    assert run.ends() == "done"
    run.until(lambda: farm.done() >= {f"sparky.{task}" for task in TASKS})
    assert {step["attempt"] for step in run.steps()} == {1}
    assert run.digests() == ["done"]
    assert ".md" in farm.worker.run("ls", "/srv/digests")


def test_a_step_that_fails_is_tried_again(farm: Farm) -> None:
    """An engine that is out of order costs an attempt and no more."""
    farm.engine.script.reply = Reply(500, {"error": "out of order"})
    run = farm.start("2026-03-03")
    run.until(lambda: any(step["error"] for step in run.steps("summarize")))
    farm.engine.script.reply = None
    assert run.ends() == "done"
    assert run.step("summarize")["attempt"] >= 2
    assert run.digests() == ["done"]


def test_a_killed_worker_loses_nothing(farm: Farm) -> None:
    """SIGKILL in the middle of an answer: its lease runs out, and the step is done when it is back."""
    asked, over = threading.Event(), threading.Event()

    def silence() -> Iterator[bytes]:
        asked.set()
        over.wait()
        yield from ()

    farm.engine.script.reply = Reply(parts=silence())
    run = farm.start("2026-03-04")
    run.until(asked.is_set)
    farm.node.kill()
    run.until(farm.worker.is_gone)
    assert run.step("summarize")["state"] == "running"
    farm.engine.script.reply = None
    over.set()
    farm.node.restart()
    assert run.ends() == "done"
    assert run.step("summarize")["attempt"] == 2
    assert run.digests() == ["done"]


def test_a_revoked_message_loses_nothing(farm: Farm) -> None:
    """The worker throws it away unread; its step waits in Postgres, and the sweeper rings again."""
    control = farm.setup.app.control
    control.cancel_consumer("fetch", destination=[farm.name], reply=True)
    run = farm.start("2026-03-05")
    (message,) = farm.waiting("fetch")
    control.revoke(message["headers"]["id"], destination=[farm.name], reply=True)
    control.add_consumer("fetch", destination=[farm.name], reply=True)
    farm.node.wait_for_log("Discarding revoked task")
    assert farm.waiting("fetch") == []
    step = run.step("fetch")
    assert (step["state"], step["attempt"]) == ("waiting", 0)
    assert run.ends() == "done"
    assert run.step("fetch")["attempt"] == 1
    assert run.digests() == ["done"]
