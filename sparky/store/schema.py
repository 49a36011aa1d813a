"""Bring a database to this code's schema, and refuse one that does not fit."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from sparky.errors import StoreError
from sparky.store.connection import connect, translated
from sparky.store.tables import metadata

LOCK = 0x5BA4C1E5


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest revision; does nothing when it is there.

    Two at once wait for each other. Raises StoreError when the database is newer than the code.
    """
    _migrate(url, lambda config: command.upgrade(config, "head"))


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` (`base` empties it)."""
    _migrate(url, lambda config: command.downgrade(config, revision))


def current(url: str) -> str | None:
    """The revision the database has, or None when it has no tables of ours."""
    engine = connect(url)
    try:
        with translated(), engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def head() -> str:
    """The newest revision this code knows."""
    return str(_scripts().get_current_head())


def check(url: str) -> None:
    """Raise StoreError unless the database has exactly this code's schema."""
    found = current(url)
    if found == head():
        return
    _refuse_newer(found)
    raise StoreError(
        f"the database has schema {found or 'none'}, this version needs {head()}",
        remedy="Run `sparky db upgrade`",
    )


def _migrate(url: str, action: Callable[[Config], None]) -> None:
    engine = connect(url)
    try:
        with translated(), engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            found = MigrationContext.configure(connection).get_current_revision()
            _refuse_newer(found)
            config = _config()
            config.attributes["connection"] = connection
            try:
                action(config)
            except CommandError as error:
                raise StoreError(
                    f"the migration was refused: {error}",
                    remedy="`sparky db status` tells the revisions",
                ) from error
    finally:
        engine.dispose()


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"the database has schema {found}, which is newer than this version of Sparky",
            remedy="Upgrade Sparky, or point SPARKY_DATABASE_URL at another database",
        )


def _folder() -> Path:
    """Where the migrations are: beside the package in a checkout, inside it when installed."""
    package = Path(str(files("sparky")))
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def differences(url: str) -> list[str]:
    """How the database's tables differ from those of this code; empty when they are the same."""
    engine = connect(url)
    try:
        with translated(), engine.connect() as connection:
            context = MigrationContext.configure(connection)
            return [str(difference) for difference in compare_metadata(context, metadata)]
    finally:
        engine.dispose()
