"""
Opening databases: SQLite files and PostgreSQL by URL, with locks, migrations and clear errors.

Here is what the run database (scanner.store) and the site state (scanner.state) have in common.
A place is a path, or a URL such as `postgresql://scan@db.plant/walkdown?schema=run_7`; `schema` is
our own key and names the PostgreSQL schema, which is made when missing. Nothing else in Walkdown
knows which of the two engines is underneath.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    MultipleResultsFound,
    NoResultFound,
    SQLAlchemyError,
)
from sqlalchemy.types import TypeDecorator

from scanner.errors import Damaged, StoreError

if TYPE_CHECKING:  # both take long to import, and most runs need neither
    import psycopg
    from alembic.config import Config

SQLITE_MAGIC = b"SQLite format 3\x00"
WAL_FILES = ("-wal", "-shm")
BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB = 5, 6, 8, 10, 11, 13, 14, 26
"""SQLite primary result codes. Source: sqlite.org, Result and Error Codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    One of our two schemas. `head` is its newest revision; `application_id` marks SQLite files
    (PRAGMA application_id). `noun` is what a user calls it.
    """

    name: str
    noun: str
    head: str
    application_id: int

    @property
    def version_table(self) -> str:
        return f"{self.name}_version"


RUN = Kind(name="run", noun="run database", head="run0001", application_id=0x57444B52)
STATE = Kind(name="state", noun="site state", head="state0001", application_id=0x57444B53)


# PostgreSQL lets many write at once; we want one at a time, as with SQLite, per schema and kind.
WRITE_LOCK = text("SELECT pg_advisory_xact_lock(hashtext(:kind), hashtext(current_schema()))")
OWNER_LOCK = text("SELECT pg_try_advisory_lock(hashtext(:kind), hashtext(current_schema()))")
OWNER_UNLOCK = text("SELECT pg_advisory_unlock(hashtext(:kind), hashtext(current_schema()))")


_ONE_UPGRADE = threading.Lock()
"""Alembic keeps its context in module globals: one upgrade per process at a time."""


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC; SQLite keeps it as text that sorts in order of time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """
    An open database of one kind. `writing()` and `reading()` give a connection in a transaction.

    With `exclusive` no other process may hold it exclusively at the same time; the lock falls with
    the process, however it ends. Raises StoreError from every method.
    """

    def __init__(self, engine: Engine, place: str, kind: Kind, path: Path | None) -> None:
        self.engine = engine
        self.place = place
        """For messages; without password."""
        self.kind = kind
        self.path = path
        self._file_lock: FileLock | None = None
        self._advisory: Connection | None = None

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def has_room(self, size: int) -> None:
        """Raises StoreError where less than `size` bytes are left for a file of ours."""
        if self.path is None:
            return
        with translated(self.place, self.kind):
            left = shutil.disk_usage(self.path.parent).free
        if left < size:
            raise StoreError(f"{self.place}: {FULL_DISK}")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the right to write from its beginning."""
        with translated(self.place, self.kind), self.engine.connect() as plain:
            connection = plain.execution_options(walkdown_write=True)
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(WRITE_LOCK, {"kind": self.kind.name})
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database."""
        with (
            translated(self.place, self.kind),
            self.engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    def damage(self) -> tuple[str, ...]:
        """What SQLite finds wrong in its file, indexes included; () also where it cannot be asked.

        PostgreSQL has no such question. Source: sqlite.org, PRAGMA integrity_check.
        """
        if self.dialect != "sqlite":
            return ()
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        return () if found == ["ok"] else tuple(_first_line(Exception(words)) for words in found)

    def lock(self) -> None:
        """Become the only exclusive user of this database. Raises StoreError when there is one."""
        taken = StoreError(
            f"{self.place}: another process is using this {self.kind.noun};"
            " wait for it to end, or stop it"
        )
        with translated(self.place, self.kind):
            if self.path is not None:
                self._file_lock = FileLock.take(self.path.with_name(self.path.name + "-lock"))
                if self._file_lock is None:
                    raise taken
                return
            self._advisory = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if not self._advisory.execute(OWNER_LOCK, self._owner).scalar_one():
                self._advisory.close()
                self._advisory = None
                raise taken

    @property
    def _owner(self) -> dict[str, str]:
        return {"kind": f"owner of {self.kind.name}"}

    def close(self) -> None:
        with suppress(SQLAlchemyError):
            if self._advisory is not None:
                # A server notices the end of a session a moment later: who resumes at once waits
                # for nobody.
                self._advisory.execute(OWNER_UNLOCK, self._owner)
        with suppress(SQLAlchemyError):
            if self._advisory is not None:
                self._advisory.invalidate()  # ends the server's session, and the lock with it
                self._advisory.close()
            self.engine.dispose()
        if self._file_lock is not None:
            if self.path is not None and self.path.exists():
                _leave_one_file(self.path)
            self._file_lock.release()
        self._advisory = self._file_lock = None


class FileLock:
    """
    An exclusive lock that the operating system drops when its process ends.

    The file is removed on release; who locks checks that it is still the file at this path, so
    that two processes cannot hold locks on two files of one name.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> FileLock | None:
        """The lock, or None when another holder has it. Raises OSError."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _try_lock(descriptor):
                os.close(descriptor)
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return cls(path, descriptor)
            os.close(descriptor)

    def release(self) -> None:
        if sys.platform != "win32":
            with suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def create(
    place: str | Path,
    kind: Kind,
    *,
    exclusive: bool,
    fill: Callable[[Connection], None],
    busy_timeout_s: float = 5.0,
) -> Database:
    """
    Make a new database with the newest schema and the first rows that `fill` writes: all or
    nothing. Raises StoreError, also when there is one.
    """
    url, path = parse_place(place)
    database = Database(_engine(url, busy_timeout_s), _shown(url, path), kind, path)
    try:
        if path is not None:
            with translated(database.place, kind):
                path.parent.mkdir(parents=True, exist_ok=True)
        if exclusive:
            database.lock()
        taken = StoreError(
            f"{database.place}: there is something already; nothing was changed. "
            "Go on with it (--resume), or name another place"
        )
        if path is not None:
            if path.exists() or not _build(path, kind, fill):
                raise taken
        else:
            if _revision(database) is not None:
                raise taken
            upgrade(database, fill)
    except BaseException:
        database.close()
        raise
    return database


def _build(path: Path, kind: Kind, fill: Callable[[Connection], None]) -> bool:
    """
    Make a SQLite file beside, then put it in place, so that a crash never leaves a half one (an
    empty file at this path is damage, not a beginning). False when there is one by now.
    """
    with translated(str(path), kind):
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            url = URL.create("sqlite", database=str(draft))
            making = Database(_engine(url, 5.0), str(path), kind, draft)
            try:
                upgrade(making, fill)
            finally:
                making.close()  # the last connection moves all of the log into the file
            return put_in_place(draft, path)
        finally:
            for leftover in (draft, *(draft.with_name(draft.name + end) for end in WAL_FILES)):
                leftover.unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path) -> bool:
    """Give a finished file its name, durably; False when the name is taken. Raises OSError."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    except OSError as error:
        # FAT on a USB stick has no links; there a rename has to do.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        draft.replace(path)
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True


def open_existing(
    place: str | Path,
    kind: Kind,
    *,
    exclusive: bool,
    read_only: bool = False,
    busy_timeout_s: float = 5.0,
) -> Database:
    """
    Open a database, bringing an older schema up to date. Raises StoreError when it is missing,
    locked, newer than this program, damaged, or something else than this kind.
    """
    url, path = parse_place(place)
    if path is not None:
        _inspect_file(path, kind)
    engine = _engine(url, busy_timeout_s, read_only=read_only)
    database = Database(engine, _shown(url, path), kind, path)
    try:
        if exclusive:
            database.lock()
        _check(database)
        revision = _revision(database)
        if revision is None:
            raise Damaged(f"{database.place}: this is not a Walkdown {kind.noun}")
        if revision == kind.head:
            return database
        if revision not in known_revisions(kind):
            raise StoreError(
                f"{database.place}: made by a newer Walkdown (schema {revision});"
                f" this one knows {kind.head}. Update Walkdown to read it"
            )
        if not read_only:
            upgrade(database)
            return database
    except BaseException:
        database.close()
        raise
    database.close()
    open_existing(place, kind, exclusive=True, busy_timeout_s=busy_timeout_s).close()
    return open_existing(
        place, kind, exclusive=False, read_only=True, busy_timeout_s=busy_timeout_s
    )


def open_or_create(place: str | Path, kind: Kind, *, busy_timeout_s: float = 5.0) -> Database:
    """Open a database for shared use, or make it; two processes that do so at once agree."""
    url, path = parse_place(place)
    if path is None:
        database = Database(_engine(url, busy_timeout_s), _shown(url, path), kind, path)
        try:
            if _revision(database) is None:
                upgrade(database)
        finally:
            database.close()
    elif not path.exists():
        with translated(str(path), kind):
            path.parent.mkdir(parents=True, exist_ok=True)
        _build(path, kind, lambda connection: None)
    return open_existing(place, kind, exclusive=False, busy_timeout_s=busy_timeout_s)


def known_revisions(kind: Kind) -> frozenset[str]:
    """Every schema revision that this program can bring up to date."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(migration_config(kind))
    return frozenset(script.revision for script in scripts.walk_revisions())


def upgrade(database: Database, fill: Callable[[Connection], None] | None = None) -> None:
    """Bring the schema to the newest revision, and fill it, in one transaction."""
    from alembic import command

    config = migration_config(database.kind)
    with _ONE_UPGRADE, database.writing() as connection:
        if database.dialect == "sqlite":
            connection.exec_driver_sql(f"PRAGMA application_id = {database.kind.application_id}")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if fill is not None:
            fill(connection)


def migration_config(kind: Kind) -> Config:
    """Alembic's configuration for one kind; scanner/migrations/env.py reads it."""
    from alembic.config import Config

    folder = Path(__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(folder / kind.name).replace("%", "%%"))
    config.attributes["version_table"] = kind.version_table
    return config


def parse_place(place: str | Path) -> tuple[URL, Path | None]:
    """The URL of a place, and its path when it is a SQLite file. Raises StoreError."""
    if isinstance(place, str) and "://" in place:
        try:
            url = make_url(place)
        except (ArgumentError, ValueError):
            # The text is not repeated: it may hold a password.
            raise StoreError("the database URL cannot be read") from None
        if url.get_backend_name() == "postgresql":
            return url.set(drivername="postgresql+psycopg"), None
        if url.get_backend_name() != "sqlite" or not url.database:
            raise StoreError(
                f"{url.get_backend_name()}: not a database that Walkdown knows;"
                " give a path or a postgresql:// URL"
            )
        place = url.database
    path = Path(place)
    return URL.create("sqlite", database=str(path)), path


@contextmanager
def translated(place: str, kind: Kind) -> Iterator[None]:
    """Turn what drivers and the operating system raise into StoreError with a remedy."""
    try:
        yield
    except DBAPIError as error:
        raise _told_as(error.orig)(f"{place}: {_explain(error, kind)}") from error
    except NoResultFound as error:
        raise Damaged(f"{place}: damaged: a row is missing") from error
    except MultipleResultsFound as error:
        raise Damaged(f"{place}: damaged: there are more rows than one") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{place}: {_first_line(error)}") from error
    except sqlite3.Error as error:
        raise _told_as(error)(f"{place}: {_explain_sqlite(error, kind)}") from error
    except OSError as error:
        raise StoreError(f"{place}: {_explain_os(error)}") from error


def _told_as(error: BaseException | None) -> type[StoreError]:
    """Whether the content of a SQLite file is to blame, or its circumstances."""
    if not isinstance(error, sqlite3.Error):
        return StoreError
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    other = (BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN)
    return StoreError if code in other else Damaged


def _explain(error: DBAPIError, kind: Kind) -> str:
    if isinstance(error.orig, sqlite3.Error) and not isinstance(error, IntegrityError):
        return _explain_sqlite(error.orig, kind)
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith("53"):
        return FULL_DISK if state == "53100" else f"no resources: {_first_line(error.orig)}"
    if isinstance(error, IntegrityError):
        return f"another process wrote to this {kind.noun} at the same time"
    if error.connection_invalidated or state.startswith(("08", "57")) or not state:
        return f"no connection to the database: {_first_line(error.orig)}"
    return f"the database refused: {_first_line(error.orig)}"


FULL_DISK = (
    "the disk is full; what was stored before is safe. Free some space, then go on with --resume"
)


def _explain_sqlite(error: sqlite3.Error, kind: Kind) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (BUSY, LOCKED):
        return f"locked by another process; close what uses this {kind.noun}, then try again"
    if code == FULL:
        return FULL_DISK
    if code == CORRUPT or "Could not decode to UTF-8" in str(error):
        return f"damaged ({_first_line(error)}); keep the file and use a copy from a backup"
    if code == NOTADB:
        return f"this is not a Walkdown {kind.noun}"
    if code == CANTOPEN:
        return "cannot be opened; check the path and the permissions of its folder"
    if code == READONLY:
        return "may not be written; check the permissions of the file and its folder"
    if code == IOERR:
        return f"the disk failed ({_first_line(error)}); what was stored before is safe"
    return f"the database refused: {_first_line(error)}"


def _explain_os(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FULL_DISK
    return os.strerror(error.errno) if error.errno else _first_line(error)


def _first_line(error: BaseException | None) -> str:
    """Drivers append SQL and hints; the first line is what a user needs."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _engine(url: URL, busy_timeout_s: float, *, read_only: bool = False) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, busy_timeout_s, read_only=read_only)
    schema = url.query.get("schema")
    if isinstance(schema, tuple):
        raise StoreError("the database URL names more than one schema")
    bare = url.difference_update_query(["schema"])
    engine = create_engine(bare, hide_parameters=True, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def keep_what_is_committed(
        connection: psycopg.Connection[tuple[object, ...]], record: object
    ) -> None:
        # A server may be set to confirm commits that are not on its disk yet; ours have to be.
        with connection.transaction():
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )

    if schema is not None:
        from psycopg import sql

        path = '"' + schema.replace('"', '""') + '"'

        @event.listens_for(engine, "connect")
        def use_schema(connection: psycopg.Connection[tuple[object, ...]], record: object) -> None:
            with connection.transaction():
                known = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
                if connection.execute(known, [schema]).fetchone() is None:
                    # IF NOT EXISTS alone fails for the second of two that start together.
                    connection.execute("SELECT pg_advisory_xact_lock(hashtext('walkdown schema'))")
                    name = sql.Identifier(schema)
                    make = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name)
                    connection.execute(make)
                connection.execute("SELECT set_config('search_path', %s, false)", [path])

    return engine


def _sqlite_engine(url: URL, busy_timeout_s: float, *, read_only: bool) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": busy_timeout_s, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        # The driver would begin transactions late and end them around DDL: we say BEGIN ourselves.
        connection.isolation_level = None
        writer = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
        for pragma in ("query_only=ON",) if read_only else writer:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("walkdown_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _leave_one_file(path: Path) -> None:
    """
    Leave write-ahead mode, so that the file can be read from a write-protected folder. Does
    nothing while others read it; the next writer turns it on again.

    All that changes is the first page, in one write. A rollback journal for it would be left behind
    by who is killed in that moment, and a run with one is not opened any more.
    """
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(path, timeout=0)
        try:
            connection.execute("PRAGMA journal_mode=MEMORY")
        finally:
            connection.close()


def _inspect_file(path: Path, kind: Kind) -> None:
    """Look at a file before SQLite does: SQLite would turn an empty one into a database."""
    with translated(str(path), kind):
        if not path.is_file():
            raise StoreError(f"{path}: there is no {kind.noun} here")
        with path.open("rb") as file:
            header = file.read(100)
        if len(header) < 100 or not header.startswith(SQLITE_MAGIC):
            raise Damaged(f"{path}: this is not a Walkdown {kind.noun}")
    if int.from_bytes(header[68:72], "big") != kind.application_id:
        raise Damaged(f"{path}: this is not a Walkdown {kind.noun}")


def _check(database: Database) -> None:
    if database.dialect != "sqlite":
        return
    with database.reading() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise Damaged(
            f"{database.place}: damaged ({_first_line(Exception(found))});"
            " keep the file and use a copy from a backup"
        )


def _revision(database: Database) -> str | None:
    """The schema revision, or None when the database has none of ours."""
    with database.reading() as connection:
        if not inspect(connection).has_table(database.kind.version_table):
            return None
        found = connection.execute(text(f"SELECT version_num FROM {database.kind.version_table}"))  # noqa: S608
        return found.scalar_one_or_none()


def _shown(url: URL, path: Path | None) -> str:
    return str(path) if path is not None else url.render_as_string(hide_password=True)
