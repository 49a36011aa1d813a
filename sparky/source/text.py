"""Bytes from a repository as text that can be stored and shown."""

from __future__ import annotations

_CONTROL = bytes(sorted({*range(0x20), 0x7F} - {0x09, 0x0A}))


def decode(text: bytes) -> str:
    """UTF-8; what is not becomes U+FFFD, so that no lone surrogate gets through."""
    return text.decode("utf-8", "replace")


def clean(text: bytes) -> str:
    """Text for people: without control characters but tab and line feed, and space around it."""
    return text.translate(None, _CONTROL).decode("utf-8", "replace").strip()
