"""forge facts

Revision: 0006, after 0005

What a forge says of a repository as a whole, and what became of it: renamed, archived, gone.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TURNS = (
    "renamed",
    "transferred",
    "archived",
    "unarchived",
    "made private",
    "made public",
    "emptied",
    "filled",
    "unreadable",
    "readable again",
)


def upgrade() -> None:
    op.create_table(
        "forge_facts",
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("payload", JSONB()),
        sa.Column("seen_at", sa.DateTime(timezone=True)),
        sa.Column("missing", sa.Text),
        sa.Column("missing_since", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("repository_id", name=op.f("pk_forge_facts")),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_forge_facts_repository_id"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "(payload IS NULL) = (seen_at IS NULL)", name=op.f("ck_forge_facts_seen")
        ),
        sa.CheckConstraint(
            "(missing IS NULL) = (missing_since IS NULL)", name=op.f("ck_forge_facts_missing")
        ),
    )
    op.create_table(
        "repository_turns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("turn", sa.Text(), nullable=False),
        sa.Column("was", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("now", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repository_turns")),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_repository_turns_repository_id"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "turn IN (" + ", ".join(f"'{turn}'" for turn in _TURNS) + ")",
            name=op.f("ck_repository_turns_turn"),
        ),
    )
    op.create_index(
        "ix_repository_turns_repository_id_at", "repository_turns", ["repository_id", "at"]
    )
    op.create_index(
        "ix_repository_turns_was",
        "repository_turns",
        ["was"],
        postgresql_where=sa.text("was <> ''"),
    )


def downgrade() -> None:
    op.drop_table("repository_turns")
    op.drop_table("forge_facts")
