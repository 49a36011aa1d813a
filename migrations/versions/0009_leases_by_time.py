"""leases by time

Revision: 0009, after 0008

The index of leases says so by its condition: while it was of the steps that run, Postgres took it for
a way to one step by its id, and read every one that runs and ran.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("lease_until IS NOT NULL")


def downgrade() -> None:
    _index("state = 'running'")


def _index(condition: str) -> None:
    op.drop_index("ix_steps_leases", "steps")
    op.create_index(
        "ix_steps_leases", "steps", ["farm", "lease_until"], postgresql_where=sa.text(condition)
    )
