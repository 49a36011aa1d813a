"""What a farm leaves in the broker, which goes when the farm has ended for good."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import Any

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from sparky.farm.app import broker_url, key_prefix
from sparky.settings import Settings
from sparky.store.cache import for_client

PATIENCE = 1.0
"""Seconds that the broker may take to answer each time."""
BATCH = 500

log = structlog.get_logger(__name__)


def forget(settings: Settings) -> None:
    """Take all that this farm has written out of the broker; one that is away keeps it."""
    # redis-py's types are those of its two kinds of client at once.
    client: Any = redis.Redis.from_url(
        for_client(broker_url(settings)),
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), retries=0),
    )
    with closing(client):
        try:
            found = client.scan_iter(match=f"{key_prefix(settings.farm)}*", count=BATCH)
            while keys := list(islice(found, BATCH)):
                client.delete(*keys)
        except redis.RedisError as error:
            log.info("the broker keeps what an ended farm wrote", error=str(error))
