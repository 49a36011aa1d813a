"""How git gets a token without it standing in a URL or in an argument."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sparky.source.credentials import Secret

_SCRIPT: Final = """\
#!/bin/sh
# Answers git for one host alone: a server may send git on to another.
case "$1" in
    *"//$SPARKY_GIT_HOST'"*|*"@$SPARKY_GIT_HOST'"*) ;;
    *) exit 1 ;;
esac
case "$1" in
    Username*) echo x-access-token ;;
    Password*) printf '%s\\n' "$SPARKY_GIT_TOKEN" ;;
    *) exit 1 ;;
esac
"""


def askpass(folder: Path, secret: Secret, host: str) -> dict[str, str]:
    """What git's environment needs to ask for the secret, which only its own user can read.

    Args:
        folder: where the program that answers is put; it holds no secret.
        secret: the token.
        host: for which it is.
    """
    program = folder / "askpass"
    if not program.is_file() or program.read_text("utf-8") != _SCRIPT:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = program.with_suffix(".new")
        fresh.write_text(_SCRIPT, "utf-8")
        fresh.chmod(0o700)
        fresh.replace(program)
    return {
        "GIT_ASKPASS": str(program),
        "SPARKY_GIT_HOST": host,
        "SPARKY_GIT_TOKEN": secret.value,
    }
