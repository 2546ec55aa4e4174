"""The journal that promise 28 lays beside a database does what it is said to do."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.proof.mutations import lay_journal


def database(path: Path, *words: str, mode: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE said (words TEXT)")
        connection.executemany("INSERT INTO said VALUES (?)", [(one,) for one in words])
        connection.commit()
    return path


def said(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [words for (words,) in connection.execute("SELECT words FROM said")]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_whoever_opens_a_database_with_a_hot_journal_sees_another(
    tmp_path: Path, mode: str
) -> None:
    true = database(tmp_path / "true.db", "true" * 5000, mode=mode)
    forged = database(tmp_path / "forged.db", "forged", "twice", mode=mode)

    lay_journal(true, forged)
    alone = Path(shutil.copy(true, tmp_path / "alone.db"))

    assert said(alone) == ["true" * 5000]
    assert said(true) == ["forged", "twice"]
