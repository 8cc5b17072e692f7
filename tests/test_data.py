"""Bytes, facts, files and packed batches."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lab.arena.streams.files import folder_stream, labels_stream
from lab.config import ArenaConfig, ConfigError, DataConfig, MindConfig, option_kinds
from lab.data import (
    WORLDS,
    Batches,
    encode_document,
    load_facts,
    load_wordings,
    open_corpus,
    validation_batches,
)  # fmt: skip
from lab.data import batches as batches_module
from lab.data import files as files_module
from lab.text import LAB

encode, decode, START, ANSWER, END = LAB.tokenizer.encode, LAB.tokenizer.decode, LAB.start, LAB.answer, LAB.stop


def documents(data: Any, **options: Any) -> list[bytes]:
    corpus = open_corpus(DataConfig(data=str(data), **options))
    return [document.content for document in corpus.documents(0) if isinstance(document.content, bytes)]


def test_any_text_survives_the_tokenizer() -> None:
    """Emoji, Korean, control characters; and no text becomes a mark."""
    text = "naïve 한국어 🐈\n\0<start>"
    assert decode(encode(text)) == text and max(encode(text)) < START


def test_the_worlds_hold_what_they_promise() -> None:
    """At least 190 capitals, all 118 elements with symbol and number, one answer a cue."""
    facts = load_facts()
    count = Counter(fact.relation for fact in facts)
    assert count["capital"] >= 190 and count["symbol"] == count["atomic_number"] == 118
    assert len({(fact.subject, fact.relation) for fact in facts}) == len(facts)
    assert {fact.world for fact in facts} == set(WORLDS)
    elements = {(fact.subject, fact.relation): fact.value for fact in facts}
    assert elements["gold", "symbol"] == "Au" and elements["oganesson", "atomic_number"] == "118"
    for fact in facts:
        if fact.world == "arithmetic":
            a, b = (int(part) for part in fact.subject.split(" and "))
            assert int(fact.value) == {"sum": a + b, "product": a * b, "difference": a - b}[fact.relation]


def test_every_relation_keeps_a_wording_of_each_kind_out_of_training() -> None:
    """And the documents of held-out wordings are exactly the validation documents."""
    wordings = load_wordings()
    for relation in {fact.relation for fact in load_facts()}:
        for kind in ("statement", "question"):
            held = [w.held_out for w in wordings if (w.relation, w.kind) == (relation, kind)]
            assert held.count(True) == 1 and held.count(False) >= 3
    found = list(open_corpus(DataConfig(data="facts:states")).documents(0))
    texts = {decode(encode_document(one, LAB).tolist()): one.validation for one in found}
    assert texts["What city is the state capital of Texas?Austin"]
    assert not texts["What is the state capital of Texas?Austin"]


def test_no_question_is_the_only_one_of_its_build() -> None:
    """Its subject comes last or between and never first; who keeps one wording back has met another that is built so."""
    for relation in {fact.relation for fact in load_facts()}:
        texts = [w.text for w in load_wordings() if (w.relation, w.kind) == (relation, "question")]
        builds = Counter("last" if text.rstrip("?.").endswith("{subject}") else "between" for text in texts)
        assert len(set(texts)) == 8 and min(builds.values()) >= 2, (relation, builds)
        assert not any(text.startswith(("{subject}", "The {subject}")) for text in texts)


def test_each_kind_of_file_gives_its_texts(tmp_path: Path) -> None:
    """JSONL, CSV with quotes and newlines, Parquet; a column can be named."""
    texts = ["one, two", 'say "hi"\nthere', "drei äöü"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t, "other": "x"}) + "\n" for t in texts))
    pd.DataFrame({"n": [1, 2, 3], "text": texts}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"text": texts, "body": texts[::-1]}).to_parquet(tmp_path / "a.parquet")
    wanted = [text.encode() for text in texts]
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        assert documents(tmp_path / name) == wanted
    assert documents(tmp_path / "a.parquet", column="body") == wanted[::-1]


def test_a_text_file_is_cut_at_blank_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    """Pieces joined are the file; a byte order mark is no text; huge lines are cut between characters."""
    path = tmp_path / "a.txt"
    text = "\n\n".join(f"Paragraph {i}. " + "word " * (i % 90) for i in range(400)) + "\n" + "한글" * 9000
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pieces = documents(path)
    assert b"".join(pieces).decode() == text
    assert len(pieces) > 20 and all(piece.decode() for piece in pieces)


def test_a_line_longer_than_the_reader_holds_is_still_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reader of 1,000 bytes a line of 27,000 bytes in three-byte characters comes out unharmed."""
    monkeypatch.setattr(files_module, "LONGEST_LINE", 1000)
    (tmp_path / "a.txt").write_text("한글날" * 3000)
    assert b"".join(documents(tmp_path / "a.txt")).decode() == "한글날" * 3000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", b" \n\n ", "a.txt is empty"),
        ("a.txt", b"\x7fELF\0\0", "a.txt is binary .byte 4"),
        ("a.txt", b"good line\nbad \xff line\n", "byte 0xff at 14. Convert it: iconv"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "line 2 of a.jsonl has 'body'. Name the key with --column"),
        ("a.jsonl", b'{"text": "a"}\nnot json\n', "line 2 of a.jsonl is not: Expecting value"),
        ("a.jsonl", b'["text"]\n', "line 1 of a.jsonl has list"),
        ("a.jsonl", b'{"text": 5}\n', "must have a text under 'text'"),
        ("a.csv", b"id,body\n1,x\n", "must have a column 'text'; it has 'id', 'body'"),
        ("a.csv", b"id,text\n1,x\n2\n", "line 3 of a.csv has 1"),
        ("a.parquet", b"PAR1 cut short", "a.parquet is not"),
        ("a.pdf", b"%PDF", "must end in .txt, .jsonl, .csv, .parquet; got a.pdf"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Rule, value and remedy, with the place."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        documents(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_huge_line_of_jsonl_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number."""
    monkeypatch.setattr(files_module, "LONGEST_LINE", 2**20)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a"}) + "\n" + json.dumps({"text": "x" * 2**21}) + "\n")
    with pytest.raises(ConfigError, match=r"shorter than 1 MiB; line 2 of a\.jsonl"):
        documents(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    "data", ["x" * 5000, "~nobody-of-this-name/a.txt", "nowhere.txt", "hub:", "hub:a:b:c:d", "facts:atlantis", ""]
)
def test_data_that_does_not_exist_is_refused(data: str) -> None:
    """A missing file, wrong hub names, an unknown world, nothing."""
    with pytest.raises(ConfigError):
        open_corpus(DataConfig(data=data))


def numbered(tmp_path: Path, count: int = 500) -> DataConfig:
    path = tmp_path / "n.jsonl"
    lengths = np.random.default_rng(0).integers(1, 60, count)
    path.write_text("".join(json.dumps({"text": f"{i}:" + "x" * int(n)}) + "\n" for i, n in enumerate(lengths)))
    return DataConfig(data=str(path), seq_len=16, batch_size=3)


@pytest.mark.parametrize("block", [65536, 64])
def test_reading_on_from_a_cursor_gives_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """At any place, over epochs, for a corpus in one block and one in many."""
    monkeypatch.setattr(batches_module, "WHOLE_BLOCK", block)
    config = numbered(tmp_path)
    corpus = open_corpus(config)
    through = Batches(corpus, config, 5, LAB)
    seen, places = [], []
    for _ in range(700):
        places.append(through.cursor)
        seen.append(through.next())
    assert places[-1].epoch >= 1
    for at in (0, 1, 17, 333, 699):
        again = Batches(corpus, config, 5, LAB, places[at])
        assert (again.next().tokens == seen[at].tokens).all()
    other = Batches(corpus, config, 6, LAB)
    assert any((other.next().tokens != batch.tokens).any() for batch in seen[:5])


def test_every_training_token_is_a_target_once_an_epoch(tmp_path: Path) -> None:
    """Nothing is skipped, nothing shown twice, and no validation document is shown at all."""
    config = replace(numbered(tmp_path), batch_size=1)
    corpus = open_corpus(config)
    kept = [encode_document(d, LAB) for d in corpus.documents(0) if not d.validation]
    held = {decode(encode_document(d, LAB).tolist()) for d in corpus.documents(0) if d.validation}
    assert 25 <= len(held) <= 75
    batches, stream = Batches(corpus, config, 1, LAB), []
    while batches.cursor.epoch == 0:
        stream += batches.next().tokens[0, :-1].tolist()
    total = sum(map(len, kept))
    first = bytes(token for token in stream[:total] if token < START).decode()
    assert Counter(first) == Counter("".join(decode(tokens.tolist()) for tokens in kept))
    shown = {
        decode([int(t) for t in part]) for part in np.split(np.array(stream), np.where(np.array(stream) == START)[0])
    }
    assert not shown & held


def test_validation_is_the_same_every_time_and_never_trained_on(tmp_path: Path) -> None:
    """Fixed batches of held-out documents; short text is repeated to fill one sequence."""
    config = numbered(tmp_path)
    first, again = (validation_batches(open_corpus(config), config, LAB, 4) for _ in range(2))
    assert all((a.tokens == b.tokens).all() for a, b in zip(first, again, strict=True)) and len(first) == 4
    small = tmp_path / "s.jsonl"
    small.write_text('{"text": "ab"}\n{"text": "cd"}\n')
    short = validation_batches(open_corpus(DataConfig(data=str(small), seq_len=16)), DataConfig(seq_len=16), LAB, 4)
    assert [batch.tokens.shape for batch in short] == [(1, 17)]


def test_one_document_is_too_little(tmp_path: Path) -> None:
    """There must be one to learn and one to validate."""
    (tmp_path / "a.jsonl").write_text('{"text": "only one"}\n')
    config = DataConfig(data=str(tmp_path / "a.jsonl"))
    with pytest.raises(ConfigError, match="at least 2 documents"):
        Batches(open_corpus(config), config, 0, LAB).next()


def test_a_question_is_followed_by_its_answer() -> None:
    """START question ANSWER answer END."""
    found = [encode_document(d, LAB).tolist() for d in open_corpus(DataConfig(data="facts:states")).documents(0)]
    asked = next(tokens for tokens in found if ANSWER in tokens)
    assert asked[0] == START and asked[-1] == END
    assert decode(asked[asked.index(ANSWER) :]) == "Montgomery"


def options() -> list[tuple[type[Any], Any]]:
    return [
        (kind, spec)
        for kind in (MindConfig, ArenaConfig, *option_kinds())
        for spec in fields(kind)
        if "help" in spec.metadata
    ]


@pytest.mark.parametrize(("kind", "spec"), options(), ids=lambda value: getattr(value, "name", None))
def test_an_option_takes_only_values_of_its_kind(kind: type[Any], spec: Any) -> None:
    """Every declared option: no text for a switch, no number for a text, nothing endless for a number."""
    wrong: dict[str, list[Any]] = {
        "bool": ["no", "True", 0, 1, 1.0, None, []],
        "str": [5, 0.5, True, None, [], b"x"],
        "int": ["5", 0.5, 1.0, True, None, [], float("nan"), float("inf")],
        "float": ["5", True, None, [], float("nan"), float("inf"), float("-inf"), 10**400, -(10**400)],
    }
    for value in wrong[spec.type]:
        with pytest.raises(ConfigError, match=spec.name) as caught:
            kind(**{spec.name: value})
        assert caught.value.field == spec.name


ODD_TEXTS = [
    "a\u2028b\u2029c",
    "next\x85line",
    "v\x0bt f\x0cf",
    "a\r\nb",
    "a\rb",
    "x\x1c\x1d\x1ey",
    'say "hi"\n\nthere',
    "comma, 'quote'",
]


def test_signs_that_look_like_line_ends_are_text(tmp_path: Path) -> None:
    """In CSV and JSONL, to learn from and as labels, tasks or domains of the arena: every text comes out as it went in."""
    wanted = [text.encode() for text in ODD_TEXTS]
    for name, line_end in (("a.csv", "\r\n"), ("b.csv", "\n"), ("c.csv", "\r")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(
                [["text", "n"], *([text, "1"] for text in ODD_TEXTS)]
            )
        assert documents(tmp_path / name) == wanted, name
    lines = [json.dumps({"text": text, "prompt": text, "answer": text}, ensure_ascii=False) for text in ODD_TEXTS]
    (tmp_path / "tasks").mkdir()
    for path in (tmp_path / "a.jsonl", tmp_path / "tasks" / "a.jsonl"):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    assert documents(tmp_path / "a.jsonl") == wanted
    (task,) = folder_stream(tmp_path / "tasks", 100, 1)
    assert {example.prompt for example in task.train} == set(ODD_TEXTS)
    rows = [[f"{text} {i}", "left" if i % 2 else "right\u2028"] for i, text in enumerate(ODD_TEXTS * 5)]
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    (tmp_path / "labels.json").write_text(json.dumps({"train": rows, "test": rows}, ensure_ascii=False), newline="")
    for name in ("labels.csv", "labels.json"):
        taught = {
            example.prompt
            for task in labels_stream(tmp_path / name, 10_000, 2, 1)
            for example in (*task.train, *task.test)
        }
        assert taught == {text for text, _ in rows}, name


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text": ' + "9" * 5000 + "}"], ids=["deep", "long"])
def test_json_that_no_reader_takes_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    """Nested without end, or a number without end."""
    (tmp_path / "a.jsonl").write_text('{"text": "a", "prompt": "a", "answer": "b"}\n' + line + "\n")
    for read in (lambda: documents(tmp_path / "a.jsonl"), lambda: folder_stream(tmp_path, 9, 1)):
        with pytest.raises(ConfigError, match=r"line 2 of a\.jsonl is not"):
            read()


def test_a_bad_row_of_labels_is_named_by_its_line(tmp_path: Path) -> None:
    """Counted as an editor counts, over texts of several lines."""
    (tmp_path / "a.csv").write_text('text,label\n"two\nlines",x\nempty,\n')
    with pytest.raises(ConfigError, match=r"line 4 of a\.csv"):
        labels_stream(tmp_path / "a.csv", 9, 2, 1)
