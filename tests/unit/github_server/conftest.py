"""A local GitHub, and a client that asks it plainly."""

from collections.abc import Iterator

import pytest

from tests.github.client import Client
from tests.github.fixture import github, serving
from tests.github.server import Server

__all__ = ["github", "serving"]


@pytest.fixture
def client(github: Server) -> Iterator[Client]:
    with Client(github) as one:
        yield one
