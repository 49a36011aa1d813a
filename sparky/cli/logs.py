"""Where a command's own logs go; a worker's go where `sparky.farm.logs` says."""

from __future__ import annotations

import logging
import sys

import structlog


def to_stderr(level: int = logging.WARNING) -> None:
    """Keep logs out of what a command prints, and tell only what is odd."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Found anew for each line: whoever captures stderr may have gone meanwhile.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
