"""what a forge has shown, and its budgets

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def _count(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)


def _repository(table: str) -> tuple[sa.Column, sa.ForeignKeyConstraint]:
    return (
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f(f"fk_{table}_repository_id_repositories"),
            ondelete="CASCADE",
        ),
    )


def upgrade() -> None:
    op.create_table(
        "forge_probes",
        *_repository("forge_probes"),
        sa.Column("payload", JSONB()),
        _time("probed_at"),
        _time("claimed_until"),
        sa.PrimaryKeyConstraint("repository_id", name=op.f("pk_forge_probes")),
        sa.CheckConstraint(
            "(payload IS NULL) = (probed_at IS NULL)", name=op.f("ck_forge_probes_probed")
        ),
    )
    op.create_table(
        "forge_marks",
        *_repository("forge_marks"),
        sa.Column("kind", sa.Text(), nullable=False),
        _time("since"),
        _time("until"),
        sa.Column("payload", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "kind", name=op.f("pk_forge_marks")),
        sa.CheckConstraint(
            "kind IN ('commit', 'pull_request', 'issue', 'release')",
            name=op.f("ck_forge_marks_kind"),
        ),
    )
    op.create_table(
        "forge_items",
        *_repository("forge_items"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        _time("opened_at", nullable=False),
        _time("ended_at"),
        sa.Column("payload", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "key", name=op.f("pk_forge_items")),
        sa.CheckConstraint("starts_with(key, kind || ':')", name=op.f("ck_forge_items_key")),
    )
    op.create_index(
        op.f("ix_forge_items_repository_id_kind_opened_at"),
        "forge_items",
        ["repository_id", "kind", "opened_at"],
    )
    op.create_index(
        op.f("ix_forge_items_repository_id_ended_at"),
        "forge_items",
        ["repository_id", "ended_at"],
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_table(
        "forge_budgets",
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Integer()),
        _count("remaining"),
        _time("reset_at"),
        _count("leased"),
        _count("in_flight"),
        _time("leased_at"),
        _time("minute_at"),
        _count("minute_points"),
        _time("blocked_until"),
        _count("strikes"),
        _time("told_at", server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("credential", "resource", name=op.f("pk_forge_budgets")),
        sa.CheckConstraint(
            "(allowed IS NULL) = (reset_at IS NULL)", name=op.f("ck_forge_budgets_unlimited")
        ),
        sa.CheckConstraint(
            "remaining >= 0 AND leased >= 0 AND in_flight >= 0",
            name=op.f("ck_forge_budgets_counts"),
        ),
    )


def downgrade() -> None:
    for name in ("forge_budgets", "forge_items", "forge_marks", "forge_probes"):
        op.drop_table(name)
