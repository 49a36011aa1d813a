"""Sparky reads what happened in git repositories and writes a true, short digest of it."""

from importlib.metadata import version

__version__ = version("sparky")
