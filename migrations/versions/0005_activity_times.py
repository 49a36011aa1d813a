"""activity times

Revision: 0005, after 0004

The same pull request may stand in one window as opened and in another as merged.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("pk_activities", "activities", type_="primary")
    op.create_primary_key("pk_activities", "activities", ["repository_id", "key", "at"])


def downgrade() -> None:
    # Of one key, the latest stays.
    op.execute(
        "DELETE FROM activities AS a USING activities AS b"
        " WHERE a.repository_id = b.repository_id AND a.key = b.key AND a.at < b.at"
    )
    op.drop_constraint("pk_activities", "activities", type_="primary")
    op.create_primary_key("pk_activities", "activities", ["repository_id", "key"])
