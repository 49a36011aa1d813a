"""call costs

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "llm_calls", sa.Column("server", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column(
        "llm_calls",
        sa.Column("reasoning_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("llm_calls", sa.Column("first_token_seconds", sa.Double(), nullable=True))
    op.add_column("llm_calls", sa.Column("joules", sa.Double(), nullable=True))
    op.create_table(
        "token_ratios",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=False),
        sa.Column(
            "learned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("ratio > 0", name=op.f("ck_token_ratios_ratio")),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_token_ratios")),
    )


def downgrade() -> None:
    op.drop_table("token_ratios")
    op.drop_column("llm_calls", "joules")
    op.drop_column("llm_calls", "first_token_seconds")
    op.drop_column("llm_calls", "reasoning_tokens")
    op.drop_column("llm_calls", "server")
