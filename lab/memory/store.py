"""Traces on disk: one SQLite file, WAL with synchronous FULL, so that what was acknowledged survives a crash.

Every change of traces and vetoes goes through `change`, which writes the state before into a journal in the same
transaction; `undo` puts it back. The archive keeps its texts compressed. A row with something else in it than belongs there
is left as it is and passed over; `faults` names it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from lab.memory.traces import ARCHIVE, STAGES, TIERS, MemoryError, Trace, Veto

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
PAIRS = ("cues", "heard")
KINDS: dict[str, type | tuple[type, ...]] = {  # of what stands in the other columns
    "id": int, "text": str, "question": (str, NoneType), "answer": (str, NoneType), "tier": str, "stage": str, "confidence": float,
    "importance": float, "surprise": float, "uses": int, "repeats": int, "created_at": float, "used_at": float, "passes": int,
    "due_night": int, "superseded_by": (int, NoneType), "forgotten_at": (float, NoneType), "disputed_at": (float, NoneType),
}  # fmt: skip
SHARES = ("doing", "kept", "cancelled", "retained")  # of a night's detail
WHOLE: dict[str, Callable[[dict[str, Any]], bool]] = {  # what a row of the other tables must be to be given
    "vetoes": lambda row: _are(str, row["question"], row["answer"]),
    "messages": lambda row: row["role"] in ("user", "assistant") and _are(str, row["text"]) and _are(dict, about := parsed(row["about"]))
    and _are(int | float, about.get("confidence", 0)) and _are(list, about.get("traces", [])),
    "nights": lambda row: _are(dict, detail := parsed(row["detail"])) and all(name in detail for name in SHARES)
    and _are(int | float, *(row[name] for name in ("night", "started_at", "seconds", "replayed", "promoted"))),
    "usage": lambda row: _are(int | float, *row.values()),
}  # fmt: skip
DICTIONARY = (
    b"My name is I am I have the of my sister brother mother father's favourite is called lives in works as a an "
    b"birthday on phone number code password The meeting with at o'clock euros was born "
)


class TraceStore:
    """The memory of one mind. Threads may share it; the file belongs to one process."""

    def __init__(self, path: Path, *, known: bool = False) -> None:
        """Open the file, or make it unless it is `known` to be there. Raises MemoryError when it is lost or damaged or another
        process holds it."""
        self.path, self.faults = path, dict[int, str]()
        self._lock = threading.RLock()
        try:
            there = not known or (path.is_file() and path.stat().st_size > 0)  # SQLite would begin a new one
            if there:
                with contextlib.suppress(OSError):  # what is wrong with it SQLite says
                    path.touch(0o600)  # -wal and -shm get the mode of the file
                    path.chmod(0o600)
                    path.parent.chmod(0o700)  # that of a mind from elsewhere too
                self._sql = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
                self._sql.row_factory = sqlite3.Row
                there = not known or bool(self._read("SELECT 1 FROM sqlite_master WHERE name = 'traces'"))
            if not there:
                rule = f"a mind that was made must have its memory; {path} is gone or empty"
                raise MemoryError(
                    f"{rule}. Put it back from a copy: without it the mind would not know what its weights learnt."
                )
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
            nested = True
            try:
                nested = self._sql.in_transaction
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
                "traces": [self._record(self.get(t.id)) for t in update] if what else [],
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
            try:
                before = json.loads(last["before"])
                for record in before["traces"]:
                    self._write(sql, _trace(record))
                for row in before["added"]:
                    sql.execute("DELETE FROM traces WHERE id = ?", (row,))
                for row in before["vetoes"]:
                    sql.execute("DELETE FROM vetoes WHERE id = ?", (row,))
                for record in before.get("lifted", []):
                    self._veto(sql, Veto(**record))
                touched = [record["id"] for record in before["traces"]] + before["added"]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                rule = "a step must be whole to be taken back"
                raise MemoryError(
                    f"{rule}; the last one in {self.path} is not ({error}). Nothing was changed."
                ) from error
            sql.execute("DELETE FROM journal WHERE id = ?", (last["id"],))
            return last["what"], touched

    def seal(self) -> None:
        """Forget how to undo: after a night the weights hold what the journal would take back."""
        with self.transaction() as sql:
            sql.execute("DELETE FROM journal")

    def get(self, trace: int) -> Trace:
        """Give one trace. Raises MemoryError when there is none."""
        for row in self._read("SELECT * FROM traces WHERE id = ?", (trace,)):
            return _trace(dict(row))
        raise MemoryError(f"a trace must exist; there is none with number {trace}. See the traces of this mind.")

    def has(self, trace: int) -> bool:
        """Whether there is a trace with this number."""
        return bool(self._read("SELECT 1 FROM traces WHERE id = ?", (trace,)))

    def traces(self) -> list[Trace]:
        """Give all traces that can be read, oldest first; `faults` then says what is wrong with each of the others."""
        found, faults, proper = (
            list[Trace](),
            {},
            set[tuple[type, ...]](),
        )  # kinds of the values of rows that were in order
        names = (*COLUMNS, "packed")
        for row in map(tuple, self._read(f"SELECT {', '.join(names)} FROM traces ORDER BY id")):
            kinds, record = tuple(map(type, row)), dict(zip(names, row, strict=True))
            try:
                found.append(_trace(record, proper=kinds in proper))
                proper.add(kinds)
            except MemoryError as error:
                faults[record["id"]] = str(error)
        self.faults = faults
        return found

    def vetoes(self) -> list[Veto]:
        found = self.rows("vetoes")
        return [Veto(r["question"], r["answer"], r["at"], r["trace"], bool(r["trained"])) for r in found]

    def mark_trained(self, vetoes: Sequence[Veto], *, trained: bool = True) -> None:
        """Note that a night has taken these out of the weights, or that the weights that lacked them are lost."""
        with self.transaction() as sql:
            for veto in vetoes:
                sql.execute(
                    "UPDATE vetoes SET trained = ? WHERE question = ? AND answer = ?",
                    (trained, veto.question, veto.answer),
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
        """Give all whole rows of messages, nights, usage or vetoes, oldest first."""
        return [row for row in map(dict, self._read(f"SELECT * FROM {table} ORDER BY rowid")) if WHOLE[table](row)]

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._sql.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                if "decode" in str(error) and self._sql.text_factory is str:
                    self._sql.text_factory = _forgiving  # it is slow
                    return self._read(sql, values)
                raise MemoryError(_explain(error, self.path)) from error

    def drop_messages(self, after: int = 0) -> None:
        """Forget the conversation from message number `after` + 1 on; the traces stay."""
        with self.transaction() as sql:
            sql.execute("DELETE FROM messages WHERE id > ?", (after,))

    def setting(self, name: str, default: str | None = None) -> str | None:
        rows = self._read("SELECT value FROM settings WHERE name = ?", (name,))
        return rows[0][0] if rows else default

    def number(self, name: str, default: int = 0) -> int:
        """A setting that is a number; `default` where it is none."""
        value = self.setting(name) or ""
        return int(value) if value.isdecimal() else default

    def set_setting(self, name: str, value: str) -> None:
        with self.transaction() as sql:
            sql.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    def close(self) -> None:
        with self._lock:
            self._sql.close()


def parsed(text: Any) -> Any:
    """What a JSON text says; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _trace(record: dict[str, Any], *, proper: bool = False) -> Trace:
    """Make a trace of a row or a journal's record; its columns are `proper` where their kinds are known to be right. Raises
    MemoryError where something in it is wrong."""
    packed = record.pop("packed", None)
    if packed is not None:
        record["text"] = _unpacked(packed)
    for name in PAIRS:
        record[name] = () if record[name] == "[]" else pairs_of(record[name])
    wrong = [name for name in PAIRS if record[name] is None]
    if not (proper and record["text"] and record["tier"] in TIERS and record["stage"] in STAGES):
        wrong += [name for name, kind in KINDS.items() if not isinstance(record.get(name), kind)]
        wrong += [name for name, known in (("tier", TIERS), ("stage", STAGES)) if record[name] not in known]
        wrong += [] if record["text"] else ["text"]
    if wrong:
        raise MemoryError(
            f"a trace must be whole; that with number {record['id']} has no proper {', '.join(dict.fromkeys(wrong))}. It is left as "
            "it is; python -m lab minds salvage MIND saves what can be read of it."
        )
    trace = object.__new__(Trace)
    object.__setattr__(trace, "__dict__", record)  # as Trace(**record), in a third of the time
    return trace


def pairs_of(kept: Any) -> tuple[tuple[str, str], ...] | None:
    """The pairs of texts that a column or a journal's record holds; None where it does not."""
    try:
        found = tuple((one, other) for one, other in (parsed(kept) if isinstance(kept, str) else kept))
    except (TypeError, ValueError):
        return None
    return found if all(_are(str, *pair) for pair in found) else None


def _are(kind: Any, *values: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def _forgiving(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _unpacked(packed: Any) -> str | None:
    try:
        unpacker = zlib.decompressobj(-15, zdict=DICTIONARY)
        text = (unpacker.decompress(packed) + unpacker.flush()).decode()
        return text if unpacker.eof else None
    except (zlib.error, TypeError, ValueError):
        return None


def salvage(path: Path, to: Path) -> int:
    """Copy every trace that can still be read from a damaged file to `to`, as JSON lines; gives how many."""
    saved: list[dict[str, Any]] = []
    copy = to.with_suffix(".damaged")
    logs = [(Path(f"{path}-wal"), Path(f"{copy}-wal")), (Path(f"{path}-shm"), Path(f"{copy}-shm"))]  # SQLite's own
    shutil.copyfile(path, copy)
    if logs[0][0].is_file():  # what was told last may stand only there
        shutil.copyfile(*logs[0])
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(copy)) as sql:
        sql.row_factory, sql.text_factory = sqlite3.Row, _forgiving
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
            record = dict(row)
            try:
                saved.append(dataclasses.asdict(_trace(record)))
            except MemoryError:  # its text alone, where there is one
                saved += [dataclasses.asdict(Trace(record["text"], 0.0, last))] if _are(str, record["text"]) else []
    for gone in (copy, *(log for _, log in logs)):
        gone.unlink(missing_ok=True)
    to.write_text("".join(json.dumps(record) + "\n" for record in saved), encoding="utf-8")
    return len(saved)


def _explain(error: sqlite3.Error, path: Path) -> str:
    text = str(error).lower()
    if "closed" in text:
        return f"a mind must be open to be used; {path.parent.name} was closed. Open it again."
    if "locked" in text or "busy" in text:
        return f"a memory must belong to one process; {path} is locked by another. Close it there first."
    if "full" in text or "disk i/o" in text:
        return f"the disk must have room for the memory; there is none at {path.parent}. Make room, then say it again."
    return (
        f"a memory must be whole; {path} is damaged ({error}). Nothing was overwritten. What is intact can be saved: "
        f"python -m lab minds salvage {path.parent.name}"
    )
