"""summaries of chunks

Revision: 0008, after 0007

A summary says which chunk it is of, so that another prompt or model finds it too. Those from before
are found by their keys alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("summaries", sa.Column("chunk", sa.Text))
    op.create_index("ix_summaries_chunk", "summaries", ["chunk"])


def downgrade() -> None:
    op.drop_index("ix_summaries_chunk", "summaries")
    op.drop_column("summaries", "chunk")
