"""The first site state: attempts, contacts, scan lock, chassis, baselines, schedules and jobs."""

import sqlalchemy as sa
from alembic import op

from scanner.database import UtcTime

revision = "state0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("sign", sa.Text),
    )
    op.create_index("attempts_by_device", "attempts", ["zone", "address"])
    op.create_table(
        "contacts",
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("at", UtcTime, nullable=False),
    )
    op.create_table(
        "scan_lock",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Text, nullable=False),
        sa.Column("taken_at", UtcTime, nullable=False),
        sa.Column("beat_at", UtcTime, nullable=False),
        sa.CheckConstraint("one = 1", name="one_lock"),
    )
    op.create_table(
        "chassis",
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("chassis", sa.Text, nullable=False),
    )
    op.create_table(
        "baselines",
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("seen_until", UtcTime, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("due_at", UtcTime, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("notify", sa.Text, nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("lease_until", UtcTime),
        sa.Column("started_at", UtcTime),
        sa.Column("finished_at", UtcTime),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.UniqueConstraint("schedule", "due_at", name="one_job_per_occurrence"),
    )
    for name, column, state in (
        ("one_running_job_per_zone", "zone", "running"),
        ("one_waiting_job_per_schedule", "schedule", "waiting"),
    ):
        op.create_index(
            name,
            "jobs",
            [column],
            unique=True,
            sqlite_where=sa.text(f"state = '{state}'"),
            postgresql_where=sa.text(f"state = '{state}'"),
        )
