"""forge readings

Revision: 0007, after 0006

Which whole reading saw an item last, and when it was last updated: what a later reading does not
see is gone, and what should be there can be counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("forge_items", sa.Column("updated_at", sa.DateTime(timezone=True)))
    op.add_column(
        "forge_items",
        sa.Column("reading", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("forge_items", "reading")
    op.drop_column("forge_items", "updated_at")
