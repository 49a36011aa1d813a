"""schedules, groups, and transitions that the database allows

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As `sparky.store.transitions` had it when this was written.
STEPS = (
    "waiting>running running>waiting running>done running>failed waiting>cancelled "
    "running>cancelled failed>waiting cancelled>waiting"
)
JOBS = (
    "waiting>running waiting>skipped waiting>failed waiting>cancelled running>partial running>done "
    "running>failed running>skipped running>cancelled partial>running failed>running "
    "cancelled>running"
)
RUNS = (
    "running>partial running>done running>failed running>cancelled partial>running failed>running "
    "cancelled>running"
)


def upgrade() -> None:
    op.create_table(
        "groups",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'", name=op.f("ck_groups_name")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_groups")),
    )
    op.create_table(
        "group_members",
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_name"],
            ["groups.name"],
            name=op.f("fk_group_members_group_name"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_group_members_repository_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("group_name", "repository_id", name=op.f("pk_group_members")),
    )
    op.create_index(
        op.f("ix_group_members_repository_id"), "group_members", ["repository_id"], unique=False
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("farm", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("5"), nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("spread", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "catch_up IN ('once', 'all', 'none')", name=op.f("ck_schedules_catch_up")
        ),
        sa.CheckConstraint(
            "name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'", name=op.f("ck_schedules_name")
        ),
        sa.CheckConstraint(
            "(quiet_from IS NULL) = (quiet_until IS NULL)", name=op.f("ck_schedules_quiet")
        ),
        sa.CheckConstraint("days >= 1", name=op.f("ck_schedules_days")),
        sa.CheckConstraint(
            "error IS NULL OR NOT enabled", name=op.f("ck_schedules_disabled_says_why")
        ),
        sa.CheckConstraint("next_due >= fires_at", name=op.f("ck_schedules_due")),
        sa.CheckConstraint(
            "num_nonnulls(repository_id, group_name) = 1", name=op.f("ck_schedules_target")
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 9", name=op.f("ck_schedules_priority")),
        sa.CheckConstraint("spread >= 0", name=op.f("ck_schedules_spread")),
        sa.ForeignKeyConstraint(
            ["group_name"], ["groups.name"], name=op.f("fk_schedules_group_name")
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_schedules_repository_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("farm", "name", name=op.f("uq_schedules_farm_name")),
    )
    op.create_index(
        "ix_schedules_due",
        "schedules",
        ["farm", "next_due"],
        unique=False,
        postgresql_where=sa.text("enabled"),
    )
    op.create_index(op.f("ix_schedules_group_name"), "schedules", ["group_name"], unique=False)
    op.create_index(
        op.f("ix_schedules_repository_id"), "schedules", ["repository_id"], unique=False
    )
    op.add_column(
        "answers",
        sa.Column(
            "used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
    )
    op.create_index(op.f("ix_answers_used_at"), "answers", ["used_at"], unique=False)
    op.add_column(
        "chunks",
        sa.Column(
            "used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
    )
    op.create_index(op.f("ix_chunks_used_at"), "chunks", ["used_at"], unique=False)
    op.create_index(op.f("ix_digests_created_at"), "digests", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_digests_repository_id_created_at"),
        "digests",
        ["repository_id", "created_at"],
        unique=False,
    )
    op.add_column("runs", sa.Column("schedule_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "runs", sa.Column("priority", sa.Integer(), server_default=sa.text("5"), nullable=False)
    )
    op.create_index(op.f("ix_runs_farm_created_at"), "runs", ["farm", "created_at"], unique=False)
    op.create_unique_constraint(
        op.f("uq_runs_schedule_id_since_until"), "runs", ["schedule_id", "since", "until"]
    )
    op.create_check_constraint(op.f("ck_runs_priority"), "runs", "priority BETWEEN 0 AND 9")
    op.create_foreign_key(
        op.f("fk_runs_schedule_id"),
        "runs",
        "schedules",
        ["schedule_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column(
        "summaries",
        sa.Column(
            "used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
    )
    op.create_index(op.f("ix_summaries_used_at"), "summaries", ["used_at"], unique=False)
    op.execute("""
        CREATE FUNCTION sparky_refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT OLD.state || '>' || NEW.state = ANY (TG_ARGV) THEN
                RAISE EXCEPTION '% cannot go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END
        $$
    """)
    for table, allowed in (("steps", STEPS), ("jobs", JOBS), ("runs", RUNS)):
        listed = ", ".join(f"'{pair}'" for pair in allowed.split())
        op.execute(f"""
            CREATE TRIGGER allowed_transition BEFORE UPDATE OF state ON {table} FOR EACH ROW
            WHEN (OLD.state IS DISTINCT FROM NEW.state)
            EXECUTE FUNCTION sparky_refuse_transition({listed})
        """)


def downgrade() -> None:
    for table in ("runs", "jobs", "steps"):
        op.execute(f"DROP TRIGGER allowed_transition ON {table}")
    op.execute("DROP FUNCTION sparky_refuse_transition()")
    op.drop_index(op.f("ix_summaries_used_at"), table_name="summaries")
    op.drop_column("summaries", "used_at")
    op.drop_constraint(op.f("fk_runs_schedule_id"), "runs", type_="foreignkey")
    op.drop_constraint(op.f("uq_runs_schedule_id_since_until"), "runs", type_="unique")
    op.drop_index(op.f("ix_runs_farm_created_at"), table_name="runs")
    op.drop_column("runs", "priority")
    op.drop_column("runs", "schedule_id")
    op.drop_index(op.f("ix_digests_repository_id_created_at"), table_name="digests")
    op.drop_index(op.f("ix_digests_created_at"), table_name="digests")
    op.drop_index(op.f("ix_chunks_used_at"), table_name="chunks")
    op.drop_column("chunks", "used_at")
    op.drop_index(op.f("ix_answers_used_at"), table_name="answers")
    op.drop_column("answers", "used_at")
    op.drop_index(op.f("ix_schedules_repository_id"), table_name="schedules")
    op.drop_index(op.f("ix_schedules_group_name"), table_name="schedules")
    op.drop_index("ix_schedules_due", table_name="schedules", postgresql_where=sa.text("enabled"))
    op.drop_table("schedules")
    op.drop_index(op.f("ix_group_members_repository_id"), table_name="group_members")
    op.drop_table("group_members")
    op.drop_table("groups")
