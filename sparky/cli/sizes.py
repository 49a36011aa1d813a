"""Sizes as people write them."""

from __future__ import annotations

from sparky.errors import UsageError


def in_bytes(text: str) -> int:
    """`128GB` or `119GiB` in bytes; UsageError for what is no size."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise UsageError(f"{text} is not a size", remedy="Write it as 128GB or 119GiB") from None
