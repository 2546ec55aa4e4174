"""The schema that migrations make is the schema that the code expects, and only ever moves up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect

from scanner import database, state, store
from scanner.database import RUN, STATE, Kind
from scanner.errors import StoreError

Places = Callable[[], str | Path]
BOTH = pytest.mark.parametrize(
    ("kind", "metadata"), [(RUN, store.metadata), (STATE, state.metadata)], ids=["run", "state"]
)


@BOTH
def test_migrations_make_what_the_code_expects(
    places: Places, kind: Kind, metadata: MetaData
) -> None:
    base = database.create(places(), kind, exclusive=False, fill=lambda connection: None)
    with base.reading() as connection:
        options = {"version_table": kind.version_table, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
        indexes = {
            (table, index["name"])
            for table in inspect(connection).get_table_names()
            for index in inspect(connection).get_indexes(table)
            if not index.get("duplicates_constraint")
        }
    base.close()

    assert differences == []
    assert {
        (table.name, str(index.name))
        for table in metadata.tables.values()
        for index in table.indexes
    } == indexes


@BOTH
def test_the_head_is_the_newest_revision_and_there_is_one_line_of_history(
    kind: Kind, metadata: MetaData
) -> None:
    scripts = ScriptDirectory.from_config(database.migration_config(kind))

    assert scripts.get_heads() == [kind.head]
    assert kind.head in database.known_revisions(kind)


@BOTH
def test_an_older_schema_is_brought_up_to_date_on_opening(
    places: Places,
    kind: Kind,
    metadata: MetaData,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A revision is added for the time of the test, as a later version would."""
    place = places()
    database.create(place, kind, exclusive=False, fill=lambda connection: None).close()
    later = _with_a_later_revision(kind, monkeypatch, tmp_path)

    base = database.open_existing(place, later, exclusive=False)
    with base.reading() as connection:
        assert "later" in inspect(connection).get_table_names()
    base.close()

    monkeypatch.undo()
    with pytest.raises(StoreError, match="made by a newer Walkdown"):
        database.open_existing(place, kind, exclusive=False)


@BOTH
def test_a_migration_that_fails_changes_nothing(
    places: Places,
    kind: Kind,
    metadata: MetaData,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    place = places()
    database.create(place, kind, exclusive=False, fill=lambda connection: None).close()
    later = _with_a_later_revision(
        kind, monkeypatch, tmp_path, "raise OSError(28, 'No space left')"
    )

    with pytest.raises(StoreError, match="the disk is full"):
        database.open_existing(place, later, exclusive=False)

    monkeypatch.undo()
    base = database.open_existing(place, kind, exclusive=False)
    with base.reading() as connection:
        assert "later" not in inspect(connection).get_table_names()
    base.close()


def _with_a_later_revision(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: str = "pass"
) -> Kind:
    original = database.migration_config
    ours = Path(database.__file__).parent / "migrations" / kind.name
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "later.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = 'later9999'\ndown_revision = '{kind.head}'\n"
        "def upgrade():\n"
        "    op.create_table('later', sa.Column('id', sa.Integer, primary_key=True))\n"
        f"    {then}\n"
    )

    def with_extra(asked: Kind) -> Config:
        config = original(asked)
        config.set_main_option("version_locations", f"{ours}\n{extra}")
        return config

    monkeypatch.setattr(database, "migration_config", with_extra)
    return replace(kind, head="later9999")
