"""A pool whose engines come and go while it works, as somebody configures them or names resolve."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from sparky.errors import SparkyError
from sparky.llm.router import Router
from sparky.llm.seat import Member

EVERY = 5.0
"""Seconds between two looks at what is configured."""

log = structlog.get_logger(__name__)

Roster = Mapping[str, Hashable]
"""The engines that there are to be: of each its name, and what it is made of."""


class Following(Router):
    """A Router that keeps to a roster.

    A new engine joins, one that is gone gets nothing more, and one that is made of something else
    is replaced: limits and key with it. What an engine has begun it ends. A roster that cannot be
    read, that is empty, or of which an engine cannot be made changes nothing.

    Args:
        look: tells the roster of this moment; asked once at the start and then from a thread of
            its own. Raises UsageError, Transient.
        make: makes an engine of its entry. Raises UsageError.
        options: as for Router.

    Raises:
        UsageError: the first roster is empty or wrong.
    """

    def __init__(
        self,
        look: Callable[[], Roster],
        make: Callable[[str, Any], Member],
        *,
        every: float = EVERY,
        **options: Any,
    ) -> None:
        self._look, self._make, self._every = look, make, every
        self._roster: dict[str, Hashable] = dict(look())
        self._over = threading.Event()
        self._complaint = ""
        super().__init__(list(self._all_of(self._roster).values()), **options)
        threading.Thread(target=self._follow, name="roster", daemon=True).start()

    def close(self) -> None:
        self._over.set()
        super().close()

    def keep_up(self) -> None:
        """Let engines join and leave as the roster says now."""
        try:
            now = self._look()
            fresh = self._all_of(
                {
                    name: made_of
                    for name, made_of in now.items()
                    if self._roster.get(name) != made_of
                }
            )
        except SparkyError as error:
            if str(error) != self._complaint:
                log.warning("engines stay as they are", error=str(error))
            self._complaint = str(error)
            return
        self._complaint = ""
        if not now:
            return
        for name in [n for n, made_of in self._roster.items() if now.get(n) != made_of]:
            del self._roster[name]
            self.leave(name)
            log.info("engine leaves", server=name)
        for name, member in fresh.items():
            self._roster[name] = now[name]
            self.join(member)
            log.info("engine joins", server=name)

    def _all_of(self, wanted: Roster) -> dict[str, Member]:
        """An engine of each entry, or none: what was made before one that cannot be is closed."""
        made: dict[str, Member] = {}
        with ExitStack() as undo:
            for name, made_of in wanted.items():
                made[name] = self._make(name, made_of)
                undo.callback(made[name].close)
            undo.pop_all()
        return made

    def _follow(self) -> None:
        while not self._over.wait(self._every):
            self.keep_up()


class Changes:
    """Tells whether a file is another one than at the last look. An unreadable one is no change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._mark()

    def __call__(self) -> bool:
        mark = self._mark()
        changed = mark is not None and mark != self._seen
        self._seen = mark or self._seen
        return changed

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)


class Addresses:
    """The addresses behind a name, as URLs; those known before while it does not resolve.

    A Swarm's `tasks.NAME` and a headless service's name have one address for each task.
    """

    def __init__(self, resolve: Callable[[str, int], list[str]] | None = None) -> None:
        self._resolve = resolve or _resolve
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, url: str) -> tuple[str, ...]:
        """`url` once for each address; `url` itself if it never resolved."""
        parts = urlsplit(url)
        port = parts.port or 80
        try:
            found = self._resolve(parts.hostname or "", port)
        except OSError:
            return self._known.get(url, (url,))
        self._known[url] = tuple(
            f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path}"
            for host in sorted(set(found))
        )
        return self._known[url]


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
