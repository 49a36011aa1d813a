"""A whole database as one file, and back, by Postgres' own programs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from sparky.errors import StoreError
from sparky.store import schema

VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
"""Parts of a URL, as Postgres' programs take them where nobody else sees them."""


def dump(url: str, into: Path, *, programs: Path, environment: Mapping[str, str]) -> int:
    """Write all that the database holds into a file, as of one moment; its size in bytes.

    The file is there whole or not at all, and for its owner alone.

    Args:
        programs: the folder of `pg_dump`, of the server's version or a newer one.
        environment: what the program gets beside the address.

    Raises:
        StoreError: the database has no tables of ours, or it could not be written.
    """
    if schema.current(url) is None:
        raise StoreError("the database is empty", remedy="Check SPARKY_DATABASE_URL")
    unfinished = into.with_name(f"{into.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        unfinished.touch(mode=0o600)
        # Extensions belong to the server: where it is restored, it has its own.
        words = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges"]
        words += ["--exclude-extension=*", f"--file={unfinished}"]
        _run(words, url, programs, environment)
        size = unfinished.stat().st_size
        unfinished.rename(into)
    except OSError as error:
        raise StoreError(
            f"{into} cannot be written: {error.strerror}", remedy="Check the folder and its rights"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return size


def restore(
    url: str, source: Path, *, programs: Path, environment: Mapping[str, str], replace: bool = False
) -> None:
    """Make the database what a file of `dump` holds; wholly or, when that fails, not at all.

    Args:
        replace: let what the database holds go; without it, it must be empty.

    Raises:
        StoreError: the database is not empty, or the file cannot be restored.
    """
    if not source.is_file():
        raise StoreError(f"{source} is no file", remedy="Name a file that `sparky db backup` wrote")
    if schema.current(url) is not None and not replace:
        raise StoreError(
            "the database is not empty", remedy="Give --replace if what it holds may go"
        )
    script = _run(["pg_restore", "--no-owner", "--no-privileges", "--file=-", str(source)], url,
                  programs, environment)  # fmt: skip
    words = ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    _run(words, url, programs, environment, stdin=EMPTY + script)


EMPTY = b"""
SET client_min_messages = warning;
DO $$
DECLARE it text;
BEGIN
    FOR it IN
        SELECT oid::regclass FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    LOOP EXECUTE 'DROP TABLE IF EXISTS ' || it || ' CASCADE'; END LOOP;
    FOR it IN
        SELECT oid::regprocedure FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP EXECUTE 'DROP ROUTINE IF EXISTS ' || it || ' CASCADE'; END LOOP;
END $$;
"""
"""Takes away what is ours, and leaves extensions, which only their owner may drop."""


def _run(
    words: list[str],
    url: str,
    programs: Path,
    environment: Mapping[str, str],
    *,
    stdin: bytes = b"",
) -> bytes:
    """What a program says; StoreError with the last line of its complaint when it fails."""
    parts = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    own = {name: str(parts[part]) for part, name in VARIABLES.items() if parts.get(part)}
    program = programs / words[0]
    try:
        done = subprocess.run(
            [str(program), *words[1:]],
            input=stdin, env={**environment, **own}, capture_output=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise StoreError(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["no word why"]
        raise StoreError(f"{words[0]} failed: {complaint[-1]}")
    return done.stdout
