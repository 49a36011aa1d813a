"""What titles mention: versions that are released, and versions that are only needed."""

from __future__ import annotations

import pytest

from sparky.mentions import release_version


@pytest.mark.parametrize(
    ("title", "version"),
    [
        ("Release 1.2.3", "1.2.3"),
        ("v2.33.1", "2.33.1"),
        ("globset 0.4.1", "globset@0.4.1"),
        ("msrv: bump to Rust 1.96", None),
        ("Bump to Python 3.12", None),
        ("ci: node 22.1", None),
    ],
)
def test_a_toolchain_is_not_released_here(title: str, version: str | None) -> None:
    """Needing a newer language is no release of the project."""
    assert release_version(title) == version
