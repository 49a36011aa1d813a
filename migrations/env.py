"""Runs migrations on a connection that `sparky.store.schema` opened, or on `-x url=…`."""

from alembic import context

from sparky.store.connection import connect
from sparky.store.tables import metadata


def run(connection: object) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with connect(context.get_x_argument(as_dictionary=True)["url"]).begin() as opened:
        run(opened)
