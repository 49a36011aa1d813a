"""Flower, never without a password, with a table that tells repositories, and a memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sparky.errors import UsageError
from sparky.settings import Settings

COLUMNS = "name,args,state,result,received,runtime,worker"
"""What the table of tasks shows: the arguments hold the repository's name."""
SAVE_SECONDS = 60
"""How much a Flower that is killed forgets at most; one that is stopped forgets nothing."""


def is_wanted(arguments: Sequence[str]) -> bool:
    """Whether this is the command line `celery -A sparky.farm.app … flower …`."""
    return "flower" in arguments[1:]


def guard(settings: Settings) -> None:
    """Let Flower ask for the user and password of the settings, and keep what it has seen.

    Raises UsageError when there is no password: Flower alone would let everybody in.
    """
    if settings.flower_password is None:
        raise UsageError(
            "Flower needs a password",
            remedy="Set SPARKY_FLOWER_PASSWORD or SPARKY_FLOWER_PASSWORD_FILE",
        )
    from flower.options import default_options
    from flower.views.monitor import Metrics

    secret = settings.flower_password.get_secret_value()
    default_options.basic_auth = [f"{settings.flower_user}:{secret}"]
    default_options.tasks_columns = COLUMNS
    default_options.persistent = True
    default_options.db = str(settings.state_dir / "flower.db")
    default_options.state_save_interval = SAVE_SECONDS * 1000
    Metrics.get = _guarded(Metrics.get)


def _guarded(get: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Flower leaves its metrics open to everybody, and they name every task and worker."""

    async def guarded(handler: Any) -> None:
        # Looking at who asks is what lets Flower refuse with a 401.
        if handler.current_user:
            await get(handler)

    return guarded
