"""Model values to JSON payloads and back."""

from __future__ import annotations

import threading
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")

_adapters: dict[type[Any], TypeAdapter[Any]] = {}
_making = threading.Lock()


def dump(value: object) -> Any:
    """A frozen value as plain JSON data."""
    return _adapter(type(value)).dump_python(value, mode="json")


def write(value: object) -> str:
    """A frozen value as JSON text."""
    return _adapter(type(value)).dump_json(value).decode()


def read(kind: type[T], text: str) -> T:
    """The value of that type that `write` made the text from."""
    return cast(T, _adapter(kind).validate_json(text))


def load(kind: type[T], data: Any) -> T:
    """The value of that type that `dump` made the data from."""
    return cast(T, _adapter(kind).validate_python(data))


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Made once for each type: building one takes longer than using it a thousand times."""
    if kind not in _adapters:
        with _making:
            if kind not in _adapters:
                _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
