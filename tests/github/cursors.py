"""Cursors: opaque, bound to one list, and not valid for ever."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.github.errors import bad_cursor

MARK = "cursor:v2:"


def encode(scope: str, key: list[Any], now: datetime) -> str:
    """A cursor at the item with this key in the list called `scope`."""
    packed = json.dumps([scope, int(now.timestamp()), key], separators=(",", ":"))
    return base64.b64encode(f"{MARK}{packed}".encode()).decode()


def decode(cursor: str, scope: str, now: datetime, lifetime: timedelta) -> list[Any]:
    """The key in a cursor; an error when it is another list's, too old, or no cursor at all."""
    try:
        text = base64.b64decode(cursor, validate=True).decode()
        found, issued, key = json.loads(text.removeprefix(MARK))
    except (binascii.Error, UnicodeDecodeError, ValueError, TypeError):
        raise bad_cursor(cursor) from None
    age = now - datetime.fromtimestamp(issued, UTC)
    if not text.startswith(MARK) or found != scope or age > lifetime:
        raise bad_cursor(cursor)
    return list(key)
