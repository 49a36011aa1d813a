"""The Celery app: queues, limits and log context. Redis is a doorbell; Postgres is the truth.

Start a worker with `celery -A sparky.farm.app worker -Q fetch,chunk`.
"""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging
from kombu import Queue

from sparky import settings as configuration
from sparky.errors import UsageError
from sparky.farm import alive, logs, monitor
from sparky.farm.steady import Every, steady_now
from sparky.farm.together import Together
from sparky.store.tables import STAGES

QUEUES = (*STAGES, "sweep", "tick", "prune")
SWEEP_SECONDS = 10.0
TICK_SECONDS = 15.0
EXPIRES_SECONDS = 3600.0
"""Nobody sweeps for yesterday. Long, as beat's clock may differ from the workers'."""


def make(settings: configuration.Settings) -> Celery:
    """An app that talks to the broker of these settings."""
    app = Celery("sparky", broker=broker_url(settings))
    app.conf.update(_configuration(settings))
    app.steps["consumer"].add(Together)
    return app


def broker_url(settings: configuration.Settings) -> str:
    """The broker's URL as Celery takes it; UsageError when there is none."""
    if settings.broker_url is None:
        raise UsageError(
            "no broker is configured",
            remedy="Set SPARKY_BROKER_URL, or use `sparky run` or `sparky up`, which start one",
        )
    return settings.broker_url.get_secret_value()


def _configuration(settings: configuration.Settings) -> dict[str, Any]:
    # Twice the longest task, so that nothing healthy is delivered again.
    visibility = 2 * int(settings.git_timeout_seconds + settings.llm_timeout_seconds)
    return {
        "include": ["sparky.farm.tasks", "sparky.farm.leaving"],
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_queues": [Queue(name, routing_key=name) for name in QUEUES],
        "task_routes": {f"sparky.{name}": {"queue": name, "routing_key": name} for name in QUEUES},
        "task_create_missing_queues": False,
        # Late acknowledgement only makes recovery quicker: steps and leases keep the truth.
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        # No worker sits on a message that another one could take.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": True,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "global_keyprefix": key_prefix(settings.farm),
            "visibility_timeout": visibility,
            "unacked_restore_interval": 15,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        # All by one clock: beat looks at what comes first alone, and waits for it by its own clock.
        "beat_schedule": {
            "sweep": {
                "task": "sparky.sweep",
                "schedule": Every(SWEEP_SECONDS),
                "options": {"expires": EXPIRES_SECONDS},
            },
            "tick": {
                "task": "sparky.tick",
                "schedule": Every(TICK_SECONDS),
                "options": {"expires": EXPIRES_SECONDS},
            },
            "prune": {
                "task": "sparky.prune",
                "schedule": crontab(hour=3, minute=17, nowfun=steady_now),
            },
        },
        "timezone": "UTC",
    }


def key_prefix(farm: str) -> str:
    """What every key of a farm begins with in the broker."""
    return f"sparky:{farm}:"


@setup_logging.connect
def _set_up_logs(**_: Any) -> None:
    settings = configuration.load()
    logs.set_up(settings.log_level, settings.log_format)
    alive.watch(settings.state_dir)


def __getattr__(name: str) -> Celery:
    """`app`, made at its first use, so that an import alone needs no broker."""
    if name != "app":
        raise AttributeError(name)
    settings = configuration.load()
    if monitor.is_wanted(sys.argv):
        monitor.guard(settings)
    globals()["app"] = made = make(settings)
    return made
