"""What commands open and close again: everything wired, or the bare database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sparky.cli.output import Waiting
from sparky.errors import ServiceError

if TYPE_CHECKING:
    from sparky.wiring import Wired


@contextmanager
def wired() -> Iterator[Wired]:
    """Store and source as this process's settings say; no engine is started for them."""
    from sparky import wiring
    from sparky.cli import logs
    from sparky.settings import load

    settings = load()
    logs.to_stderr()
    with Waiting() as waiting, wiring.open(settings, need_engine=False, on_event=waiting) as parts:
        waiting.stop()
        yield parts


@contextmanager
def database() -> Iterator[str]:
    """The database's URL. Sparky's own is started for it; its schema is left as it is."""
    from sparky.services import Wanted, attach
    from sparky.settings import load

    settings = load()
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    wanted = Wanted(postgres=True, valkey=False, llama=None)
    with Waiting() as waiting, attach(settings.state_dir, wanted, on_event=waiting) as ends:
        waiting.stop()
        if ends.database_url is None:
            raise ServiceError(
                "Postgres did not tell its address", remedy="`sparky doctor` checks it"
            )
        yield ends.database_url
