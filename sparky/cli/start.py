"""The entry point of the command `sparky`, which Ctrl-C also ends calmly while it is being loaded."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Load the command line and run it."""
    try:
        from sparky.cli import main as whole
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(128 + signal.SIGINT)
    whole.main()
