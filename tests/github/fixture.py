"""The local GitHub as pytest fixtures: `pytest_plugins = ["tests.github.fixture"]` or import them.

`github` is a server over a world of 20 repositories with points an hour and no limits a minute;
`serving` starts one over any world, and stops it at the end of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.github.limits import Limits
from tests.github.server import Server, serve
from tests.github.world import World

Serving = Callable[..., Server]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """`serving(world, **settings)` starts a server for the length of a test."""
    with ExitStack() as stack:

        def start(world: World, **settings: Any) -> Server:
            settings.setdefault("limits", Limits.primary_only())
            return stack.enter_context(serve(world, **settings))

        yield start


@pytest.fixture
def github(serving: Serving) -> Server:
    """A server over a small world."""
    return serving(World(seed=1, repositories=20))
