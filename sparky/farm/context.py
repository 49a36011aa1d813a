"""What a worker process works with, made once for each process and after any fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sparky import settings as configuration
from sparky import wiring
from sparky.farm import traces
from sparky.farm.app import broker_url, key_prefix
from sparky.farm.heartbeat import Heart
from sparky.farm.tally import Tally
from sparky.farm.traces import Traces
from sparky.ports import Backend, Source
from sparky.settings import Settings
from sparky.store.calls import Calls
from sparky.store.dispatch import Dispatch
from sparky.store.gateway import Gateway
from sparky.store.reports import Reports
from sparky.store.work import Work


@dataclass(frozen=True, slots=True)
class Context:
    """The doors to everything outside, for task bodies."""

    settings: Settings
    store: Gateway
    work: Work
    heart: Heart
    dispatch: Dispatch
    reports: Reports
    source: Source
    backend: Backend
    tally: Tally
    traces: Traces


_lock = threading.Lock()
_made: dict[int, Context] = {}


def here() -> Context:
    """This process's context. A forked child makes its own: connections do not survive a fork."""
    with _lock:
        pid = os.getpid()
        if pid not in _made:
            _made.clear()
            _made[pid] = _making[-1](configuration.load())
        return _made[pid]


def of(settings: Settings) -> Context:
    """A context for these settings; nothing is connected before its first use."""
    store = wiring.store(settings)
    work = Work(store.engine, farm=settings.farm)
    tally = Tally(broker_url(settings), key_prefix(settings.farm))
    return Context(
        settings=settings,
        store=store,
        work=work,
        heart=Heart(
            work,
            every=settings.heartbeat_seconds,
            lease=settings.lease_seconds,
            also=tally.flush,
        ),
        dispatch=Dispatch(store.engine, farm=settings.farm),
        reports=Reports(store.engine),
        source=wiring.source(settings, store),
        backend=wiring.backend(settings, Calls(store.engine)),
        tally=tally,
        traces=traces.of(settings.traces_url, settings.farm),
    )


_making: list[Callable[[Settings], Context]] = [of]


def made_by(make: Callable[[Settings], Context]) -> None:
    """Let this process's contexts be made in another way: with stand-ins for what is outside."""
    with _lock:
        _making[:] = [make]
        _made.clear()
