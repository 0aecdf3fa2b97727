"""SQLite databases of strangers: opened read only, with nothing in them trusted, and bounded in work and size."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cognate.errors import CaseError

_MAGIC = b"SQLite format 3\0"
# Virtual machine instructions of one statement; a table of ten million rows takes a tenth of them.
_MOST_WORK, _WORK_STEP = 2_000_000_000, 1_000_000
_LARGEST_COPY = 4 << 30
LARGEST_TEXT = 1_000_000


def is_database(file: Path) -> bool:
    """Whether `file` begins as a database of SQLite does."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The database, read only. Raises CaseError where it is damaged, or asks for more work than a log can."""
    with tempfile.TemporaryDirectory(prefix="cognate-") as folder:
        try:
            # sqlite would write beside a database that is in use (its index of the -wal file), so a copy is opened then.
            wal = file.with_name(file.name + "-wal")
            live = wal.is_file() and wal.stat().st_size > 0
            if live and file.stat().st_size + wal.stat().st_size <= _LARGEST_COPY:
                copy = Path(folder) / "copy.db"
                shutil.copyfile(file, copy)
                shutil.copyfile(wal, copy.with_name("copy.db-wal"))
                connection = sqlite3.connect(copy)
            else:
                connection = sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1", uri=True)
        except (OSError, sqlite3.Error) as error:
            raise CaseError(f"{file} cannot be opened ({error}): check its permissions.") from error
        try:
            _restrain(connection)
            yield connection
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise CaseError(f"{file} asks for more work than a log of training does: it was left.") from error
            raise CaseError(f"{file} is no database that can be read ({error}): copy it again.") from error
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise CaseError(f"{file} is no database that can be read ({error}): copy it again, it may be damaged.") from error
        finally:
            connection.close()


def _restrain(connection: sqlite3.Connection) -> None:
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    # A schema is a program: what stands in views, defaults and indices of a stranger may call no function that acts.
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA query_only=ON")
    done = 0

    def more() -> bool:
        nonlocal done
        done += _WORK_STEP
        return done > _MOST_WORK

    connection.set_progress_handler(more, _WORK_STEP)


def columns(connection: sqlite3.Connection, table: str) -> Sequence[str]:
    """Names of the columns of `table`; none where it is a view, virtual or not there: only a plain table is read."""
    row = connection.execute("SELECT sql FROM sqlite_master WHERE type='table' AND name=?", (table,)).fetchone()
    if row is None or not str(row[0]).upper().startswith("CREATE TABLE"):
        return ()
    return [str(item[1]) for item in connection.execute("SELECT * FROM pragma_table_info(?)", (table,))]


def tables(file: Path, wanted: dict[str, set[str]]) -> bool:
    """Whether `file` is a database with each table in `wanted`, and these columns in it."""
    if not is_database(file):
        return False
    try:
        with opened(file) as connection:
            return all(names <= set(columns(connection, table)) for table, names in wanted.items())
    except CaseError:
        return False


def labels(named: Sequence[tuple[str, Any]]) -> list[str]:
    """A label for each run, from pairs of identity and name: the name, and the identity's beginning where several share it."""
    names = [str(name or identity) for identity, name in named]
    return [
        name if names.count(name) == 1 else f"{name} ({str(identity)[:8]})"
        for (identity, _), name in zip(named, names, strict=True)
    ]
