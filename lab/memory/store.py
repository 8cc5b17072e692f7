"""Traces on disk: one SQLite file, WAL with synchronous FULL, so that what was acknowledged survives a crash.

Every change of traces and vetoes goes through `change`, which writes the state before into a journal in the same
transaction; `undo` puts it back. The archive keeps its texts compressed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.memory.traces import ARCHIVE, MemoryError, Trace, Veto

SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (id INTEGER PRIMARY KEY, text TEXT, packed BLOB, question TEXT, answer TEXT,
  tier TEXT NOT NULL, stage TEXT NOT NULL, confidence REAL, importance REAL, surprise REAL, uses INTEGER,
  repeats INTEGER, created_at REAL, used_at REAL, passes INTEGER, due_night INTEGER, superseded_by INTEGER,
  forgotten_at REAL, disputed_at REAL, cues TEXT, heard TEXT);
CREATE TABLE IF NOT EXISTS vetoes (id INTEGER PRIMARY KEY, question TEXT, answer TEXT, at REAL, trace INTEGER,
  trained INTEGER);
CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, at REAL, what TEXT, before TEXT);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, at REAL, role TEXT, text TEXT, about TEXT);
CREATE TABLE IF NOT EXISTS nights (night INTEGER, phase TEXT, started_at REAL, seconds REAL, replayed INTEGER,
  promoted INTEGER, recall_before REAL, recall_after REAL, detail TEXT);
CREATE TABLE IF NOT EXISTS usage (at REAL, stm INTEGER, ltm INTEGER, archive INTEGER, weights INTEGER);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT);
"""
COLUMNS = tuple(field.name for field in dataclasses.fields(Trace))
DICTIONARY = (
    b"My name is I am I have the of my sister brother mother father's favourite is called lives in works as a an "
    b"birthday on phone number code password The meeting with at o'clock euros was born "
)


class TraceStore:
    """The memory of one mind. One thread at a time; the file belongs to one process."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises MemoryError when it is damaged or another process holds it."""
        self.path = path
        self._lock = threading.RLock()
        try:
            with contextlib.suppress(OSError):  # what is wrong with it SQLite says
                path.touch(0o600)  # -wal and -shm get the mode of the file
                path.chmod(0o600)
                path.parent.chmod(0o700)  # that of a mind from elsewhere too
            self._sql = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            self._sql.row_factory = sqlite3.Row
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=FULL")
            fault = self._sql.execute("PRAGMA quick_check").fetchone()[0]
            if fault != "ok":
                raise sqlite3.DatabaseError(fault)
            self._sql.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise MemoryError(_explain(error, path)) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it is left. Raises MemoryError for a locked file or a full disk."""
        with self._lock:
            nested = self._sql.in_transaction
            try:
                if not nested:
                    self._sql.execute("BEGIN IMMEDIATE")
                yield self._sql
                if not nested:
                    self._sql.execute("COMMIT")
            except BaseException as error:
                if not nested and self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    raise MemoryError(_explain(error, self.path)) from error
                raise

    # ---- traces -----------------------------------------------------------------------------------------------

    def change(
        self,
        what: str,
        at: float,
        *,
        add: Sequence[Trace] = (),
        update: Sequence[Trace] = (),
        veto: Sequence[Veto] = (),
        lift: Sequence[Veto] = (),
    ) -> list[Trace]:
        """Add and change traces, add and lift vetoes, as one step that `undo` takes back. Gives the added, with their ids.

        An added trace may be named by an updated one's `superseded_by` as -1, -2, … in order.
        """
        with self.transaction() as sql:
            before: dict[str, Any] = {
                "traces": [self._record(self.get(t.id)) for t in update],
                "added": [],
                "vetoes": [],
                "lifted": [dataclasses.asdict(one) for one in lift],
            }
            added = []
            for trace in add:
                row = self._insert(sql, dataclasses.replace(trace, id=0))
                added.append(dataclasses.replace(trace, id=row))
                before["added"].append(row)
            for trace in update:
                if trace.superseded_by is not None and trace.superseded_by < 0:
                    trace = dataclasses.replace(trace, superseded_by=added[-trace.superseded_by - 1].id)
                self._write(sql, trace)
            for one in lift:
                sql.execute("DELETE FROM vetoes WHERE question = ? AND answer = ?", (one.question, one.answer))
            before["vetoes"] = [self._veto(sql, one) for one in veto]
            if what:
                sql.execute("INSERT INTO journal (at, what, before) VALUES (?, ?, ?)", (at, what, json.dumps(before)))
        return added

    def undo(self) -> tuple[str, list[int]] | None:
        """Take the last step back: what it was and the ids it touched; None when there is none."""
        with self.transaction() as sql:
            last = sql.execute("SELECT * FROM journal ORDER BY id DESC LIMIT 1").fetchone()
            if last is None:
                return None
            before = json.loads(last["before"])
            for record in before["traces"]:
                self._write(sql, _trace(record))
            for row in before["added"]:
                sql.execute("DELETE FROM traces WHERE id = ?", (row,))
            for row in before["vetoes"]:
                sql.execute("DELETE FROM vetoes WHERE id = ?", (row,))
            for record in before.get("lifted", []):
                self._veto(sql, Veto(**record))
            sql.execute("DELETE FROM journal WHERE id = ?", (last["id"],))
            return last["what"], [record["id"] for record in before["traces"]] + before["added"]

    def seal(self) -> None:
        """Forget how to undo: after a night the weights hold what the journal would take back."""
        with self.transaction() as sql:
            sql.execute("DELETE FROM journal")

    def get(self, trace: int) -> Trace:
        """Give one trace. Raises MemoryError when there is none."""
        with self._lock:
            row = self._sql.execute("SELECT * FROM traces WHERE id = ?", (trace,)).fetchone()
        if row is None:
            raise MemoryError(f"a trace must exist; there is none with number {trace}. See the traces of this mind.")
        return _trace(dict(row))

    def has(self, trace: int) -> bool:
        """Whether there is a trace with this number."""
        with self._lock:
            return self._sql.execute("SELECT 1 FROM traces WHERE id = ?", (trace,)).fetchone() is not None

    def traces(self, where: str = "1", values: tuple[Any, ...] = ()) -> list[Trace]:
        """Give the traces for which `where` (SQL, ours) holds, oldest first."""
        with self._lock:
            rows = self._sql.execute(f"SELECT * FROM traces WHERE {where} ORDER BY id", values).fetchall()
        return [_trace(dict(row)) for row in rows]

    def vetoes(self) -> list[Veto]:
        with self._lock:
            rows = self._sql.execute("SELECT * FROM vetoes ORDER BY id").fetchall()
        return [Veto(r["question"], r["answer"], r["at"], r["trace"], bool(r["trained"])) for r in rows]

    def mark_trained(self, vetoes: list[Veto]) -> None:
        """Note that a night has taken these out of the weights."""
        with self.transaction() as sql:
            for veto in vetoes:
                sql.execute(
                    "UPDATE vetoes SET trained = 1 WHERE question = ? AND answer = ?", (veto.question, veto.answer)
                )

    @staticmethod
    def _veto(sql: sqlite3.Connection, one: Veto) -> int | None:
        return sql.execute(
            "INSERT INTO vetoes (question, answer, at, trace, trained) VALUES (?, ?, ?, ?, ?)",
            (one.question, one.answer, one.at, one.trace, one.trained),
        ).lastrowid

    def _insert(self, sql: sqlite3.Connection, trace: Trace) -> int:
        record = self._record(trace)
        del record["id"]
        names = ", ".join(record)
        marks = ", ".join("?" for _ in record)
        cursor = sql.execute(f"INSERT INTO traces ({names}) VALUES ({marks})", tuple(record.values()))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _write(self, sql: sqlite3.Connection, trace: Trace) -> None:
        record = self._record(trace)
        packed = None
        if trace.tier == ARCHIVE:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
            packed, record["text"] = packer.compress(trace.text.encode()) + packer.flush(), None
        record["packed"] = packed
        names = ", ".join(f"{name} = ?" for name in record)
        cursor = sql.execute(f"UPDATE traces SET {names} WHERE id = ?", (*record.values(), trace.id))
        if not cursor.rowcount:  # undone and deleted, or restored
            full = ", ".join(record)
            marks = ", ".join("?" for _ in record)
            sql.execute(f"INSERT INTO traces ({full}) VALUES ({marks})", tuple(record.values()))

    @staticmethod
    def _record(trace: Trace) -> dict[str, Any]:
        record = {name: getattr(trace, name) for name in COLUMNS}
        return {**record, "cues": json.dumps(trace.cues), "heard": json.dumps(trace.heard)}

    # ---- conversation, nights, usage ---------------------------------------------------------------------------

    def append(self, table: str, record: dict[str, Any]) -> int:
        """Add a row to messages, nights or usage; gives its number."""
        names, marks = ", ".join(record), ", ".join("?" for _ in record)
        with self.transaction() as sql:
            cursor = sql.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(record.values()))
            return cursor.lastrowid or 0

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Give all rows of messages, nights or usage, oldest first."""
        with self._lock:
            return [dict(row) for row in self._sql.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()]

    def drop_messages(self, after: int = 0) -> None:
        """Forget the conversation from message number `after` + 1 on; the traces stay."""
        with self.transaction() as sql:
            sql.execute("DELETE FROM messages WHERE id > ?", (after,))

    def setting(self, name: str, default: str | None = None) -> str | None:
        with self._lock:
            row = self._sql.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else default

    def set_setting(self, name: str, value: str) -> None:
        with self.transaction() as sql:
            sql.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    def close(self) -> None:
        with self._lock:
            self._sql.close()


def _trace(record: dict[str, Any]) -> Trace:
    packed = record.get("packed")
    if packed is not None:
        unpacker = zlib.decompressobj(-15, zdict=DICTIONARY)
        record = {**record, "text": (unpacker.decompress(packed) + unpacker.flush()).decode()}
    pairs = {}
    for name in ("cues", "heard"):
        kept = record[name]
        read = json.loads(kept) if isinstance(kept, str) else kept or ()
        pairs[name] = tuple((question, answer) for question, answer in read)
    return Trace(**{**{name: record[name] for name in COLUMNS}, **pairs})


def salvage(path: Path, to: Path) -> int:
    """Copy every trace that can still be read from a damaged file to `to`, as JSON lines; gives how many."""
    saved: list[dict[str, Any]] = []
    copy = to.with_suffix(".damaged")
    shutil.copyfile(path, copy)
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(copy)) as sql:
        sql.row_factory = sqlite3.Row
        last = 0
        while True:
            try:
                row = sql.execute("SELECT * FROM traces WHERE id > ? ORDER BY id LIMIT 1", (last,)).fetchone()
            except sqlite3.DatabaseError:
                last += 1
                if last > 10_000_000:
                    break
                if last > 2000 and not saved:
                    break
                if saved and last > saved[-1]["id"] + 2000:
                    break
                continue
            if row is None:
                break
            last = row["id"]
            with contextlib.suppress(ValueError, KeyError, zlib.error):
                saved.append(dataclasses.asdict(_trace(dict(row))))
    copy.unlink(missing_ok=True)
    to.write_text("".join(json.dumps(record) + "\n" for record in saved), encoding="utf-8")
    return len(saved)


def _explain(error: sqlite3.DatabaseError, path: Path) -> str:
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        return f"a memory must belong to one process; {path} is locked by another. Close it there first."
    if "full" in text or "disk i/o" in text:
        return f"the disk must have room for the memory; there is none at {path.parent}. Make room, then say it again."
    return (
        f"a memory must be whole; {path} is damaged ({error}). Nothing was overwritten. What is intact can be saved: "
        f"python -m lab minds salvage {path.parent.name}"
    )
