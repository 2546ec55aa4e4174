"""Locks, places and times that both databases rely on."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.exc import StatementError

from scanner import database
from scanner.database import RUN, FileLock, UtcTime
from scanner.errors import StoreError


def test_a_file_lock_has_one_holder_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db-lock"
    first = FileLock.take(path)
    assert first is not None
    assert FileLock.take(path) is None

    first.release()

    assert not path.exists()
    second = FileLock.take(path)
    assert second is not None
    second.release()


def test_a_file_lock_falls_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db-lock"
    script = (
        "import os, pathlib, signal, sys\nfrom scanner.database import FileLock\n"
        "assert FileLock.take(pathlib.Path(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    assert path.exists()

    lock = FileLock.take(path)

    assert lock is not None
    lock.release()


def test_a_lock_on_a_file_that_was_replaced_is_no_lock(tmp_path: Path) -> None:
    """The first holder releases, and so removes the file, while a second waits to lock it."""
    path = tmp_path / "walkdown.db-lock"
    first = FileLock.take(path)
    assert first is not None
    path.unlink()

    second = FileLock.take(path)

    assert second is not None
    assert os.path.samestat(os.fstat(second._descriptor), path.stat())
    second.release()
    os.close(first._descriptor)


def test_a_time_comes_back_in_utc_whatever_zone_it_had() -> None:
    engine = create_engine("sqlite://")
    times = Table("times", MetaData(), Column("at", UtcTime))
    berlin = timezone(timedelta(hours=2))
    moments = [
        datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=berlin),
        datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 0, tzinfo=UTC),
    ]
    with engine.begin() as connection:
        times.create(connection)
        for moment in moments:
            connection.execute(insert(times).values(at=moment))
        found = connection.execute(select(times.c.at).order_by(times.c.at)).scalars().all()

        assert found == sorted(moments)
        assert all(moment.tzinfo is UTC for moment in found)
        with pytest.raises(StatementError):
            connection.execute(insert(times).values(at=datetime(2026, 1, 1)))  # noqa: DTZ001
    engine.dispose()


@pytest.mark.parametrize("place", ["runs/walkdown.db", Path("runs/walkdown.db"), "a b/ü.db"])
def test_a_path_is_a_sqlite_file(place: str | Path) -> None:
    url, path = database.parse_place(place)

    assert url.drivername == "sqlite"
    assert path == Path(place)


def test_a_postgresql_url_uses_the_one_driver_we_have() -> None:
    url, path = database.parse_place("postgresql://scan@db/walkdown?schema=run_7")

    assert (url.drivername, path) == ("postgresql+psycopg", None)
    assert database.parse_place("sqlite:///runs/x.db")[1] == Path("runs/x.db")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full"),
        (OSError(errno.EDQUOT, "x"), "the disk is full"),
        (OSError(errno.EACCES, "x"), "Permission denied"),
        (sqlite3.DatabaseError("file is odd"), "file is odd"),
    ],
)
def test_what_the_system_raises_becomes_words_with_the_place(error: Exception, words: str) -> None:
    with pytest.raises(StoreError, match=f"runs/x.db: .*{words}"):
        with database.translated("runs/x.db", RUN):
            raise error


def test_a_build_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def broken(connection: object) -> None:
        raise OSError(errno.ENOSPC, "x")

    with pytest.raises(StoreError, match="the disk is full"):
        database.create(tmp_path / "x.db", RUN, exclusive=True, fill=broken)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_links_still_gets_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT on a USB stick refuses hard links."""

    def no_links(path: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    database.create(tmp_path / "x.db", RUN, exclusive=False, fill=lambda c: None).close()

    database.open_existing(tmp_path / "x.db", RUN, exclusive=False).close()
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]


@pytest.mark.skipif(sys.platform != "linux", reason="what a process opens is seen with strace")
def test_the_end_of_a_record_leaves_one_file_and_never_had_a_rollback_journal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "walkdown.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE kept (a)")
    connection.close()
    script = (
        "import pathlib, sys\nfrom scanner.database import _leave_one_file\n"
        "_leave_one_file(pathlib.Path(sys.argv[1]))"
    )
    command = ["strace", "-f", "-e", "trace=openat", sys.executable, "-c", script, str(path)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert str(path) in done.stderr
    assert "-journal" not in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["walkdown.db"]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # SQLite's file format, 1.3.2: no log
