"""The first run database: events, exchanges, questions, observations."""

import sqlalchemy as sa
from alembic import op

from scanner.database import UtcTime

revision = "run0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state_at", UtcTime, nullable=False),
        sa.Column("safety", sa.Text),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
    )
    op.create_table(
        "exchanges",
        sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), primary_key=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("probe", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("sent_at", UtcTime, nullable=False),
        sa.Column("finished_at", UtcTime),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("reply", sa.LargeBinary, nullable=False),
        sa.Column("wire_out", sa.BigInteger, nullable=False),
        sa.Column("wire_in", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
    )
    op.create_index("exchanges_by_device", "exchanges", ["address", "sent_at"])
    op.create_index("exchanges_by_question", "exchanges", ["question"])
    op.create_table(
        "questions",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("started_seq", sa.Integer, sa.ForeignKey("events.seq"), nullable=False),
    )
    op.create_table(
        "observations",
        sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("current", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("observations_by_question", "observations", ["question"])
