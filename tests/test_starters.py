"""What every starter brain says, shortly and with slack; how well it says it is asked in the exam."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config import FAMILIES
from lab.mind import Mind, brains
from lab.mind.home import find_brain
from lab.mind.night.retention import load_by_heart
from lab.mind.reader import Note, Reader, open_reader
from lab.models.checkpoint import load_brain

TOLD = [  # a statement, a question about it, and the answer
    ("My name is Alice.", "What is my name?", "Alice"), ("I live in Oslo.", "Where do I live?", "Oslo"),
    ("The code of the safe is 4417.", "What is the code of the safe?", "4417"),
    ("My sister works as a plumber.", "What does my sister do for a living?", "plumber"),
    ("My dog is called Rex.", "What is my dog called?", "Rex"), ("Train 9 comes in at 20:15.", "When does train 9 come in?", "20:15"),
    ("My favourite film is Alien.", "What's my favourite film?", "Alien"), ("Bruno lives in Paris.", "Where does Bruno live?", "Paris"),
    ("my moms birthday is may 3", "when is my mom's birthday", "may 3"), ("Anna's cat eats fish.", "What does Anna's cat eat?", "fish"),
]  # fmt: skip
UNTOLD = [  # nothing of what was told, nor of what a brain knows by itself
    "Who is my boss?", "What is the code of my gate?", "When is my birthday?", "What is my brother's name?", "Where does Clara live?",
    "When does train 898 come in?", "What is my phone number?",
]  # fmt: skip
CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Norway": "Oslo", "Egypt": "Cairo"}
MESSAGES = {
    "My name is Alice": "teach", "i live in oslo": "teach", "im alice btw": "teach", "The meeting is on Monday.": "teach",
    "What is my name?": "ask", "where do i live": "ask", "hello": "talk", "thanks": "talk", "I'm sorry": "talk", "i like you": "talk",
}  # fmt: skip
MOST = 8  # of ten, at least


@pytest.fixture(scope="module", params=[*FAMILIES])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def reader(name: str) -> Reader:
    """The reader of a starter."""
    folder = find_brain(name, Path("none"))
    return open_reader(load_brain(folder)[1], folder=folder)


def test_every_family_has_its_starter() -> None:
    """It is part of the lab: where it is absent nothing else here may be passed over."""
    assert set(brains()) >= set(FAMILIES)
    for family in FAMILIES:
        folder = find_brain(family, Path("none"))
        assert load_brain(folder)[0] == family and len(load_by_heart(folder)) > 100


def test_everyday_facts_are_said_back(name: str, tmp_path: Path) -> None:
    """Told to a mind in a row, asked at the end; and what was not told is not made up."""
    with Mind.create("m", name, tmp_path) as mind:
        for text, _, _ in TOLD:
            mind.teach(text)
        said = [mind.ask(question).text for _, question, _ in TOLD]
        right = [got.lower() == answer.lower() for got, (_, _, answer) in zip(said, TOLD, strict=True)]
        assert sum(right) >= MOST, said
        made_up = {question: answer.text for question in UNTOLD if (answer := mind.ask(question)).known}
        assert len(made_up) <= 2, made_up
        mind.teach("My name is Bob.")
        assert mind.ask("What is my name?").text == "Bob"


def test_it_knows_capitals_by_itself(reader: Reader) -> None:
    """Five at least, from its weights; and as it would recite them."""
    pairs = [(f"What is the capital of {country}?", city) for country, city in CAPITALS.items()]
    said = [reply.text for reply in reader.answer([question for question, _ in pairs])]
    assert sum(text == city for text, (_, city) in zip(said, pairs, strict=True)) >= 5, said
    assert reader.recites(pairs) == [text == city for text, (_, city) in zip(said, pairs, strict=True)]


def test_it_tells_statements_questions_and_talk_apart(reader: Reader) -> None:
    heard = {text: reader.hear(text) for text in MESSAGES}
    assert sum(heard[text] == kind for text, kind in MESSAGES.items()) >= MOST, heard


def test_it_asks_itself_and_finds_its_note(reader: Reader) -> None:
    """Questions of a note stand in it with their answers, a question is put plainly, and a note is believed for what it says."""
    notes = [text for text, _, _ in TOLD[:4]]
    own = reader.questions_of(notes)
    assert sum(bool(pairs) for pairs in own) >= 3
    assert all(answer.lower() in note.lower() for note, pairs in zip(notes, own, strict=True) for _, answer in pairs)
    assert "What is my name?" in reader.readings("What's my name?", 0.02)
    found = [(Note(text), 0.5) for text in notes]
    (sure,) = reader.believe([("Where do I live?", found)], len(found))
    assert max(sure) == sure[1] > 0.5


def test_a_note_about_someone_else_is_not_believed(name: str, tmp_path: Path) -> None:
    """However alike two sentences are: another name, number or owner is not what was asked for."""
    with Mind.create("m", name, tmp_path) as mind:
        mind.teach("Karl met Karl's best friend at the stadium.")
        mind.teach("Train 9 comes in at 20:15.")
        mind.teach("My niece's next trip goes to Japan.")
        for question in (
            "Where did Anna meet Anna's best friend?",
            "When does train 898 come in?",
            "Where does my next trip go?",
            "where did bob meet bob's best friend",
        ):
            assert not mind.ask(question, "notes").known
        assert mind.ask("When does train 9 come in?", "notes").text == "20:15"


def test_a_statement_that_contradicts_three_others_replaces_what_it_must(name: str, tmp_path: Path) -> None:
    """Nothing is lost: every old statement stays, if only as history, also when the mind has reflected on it."""
    told = [
        "My name is Alice.",
        "I live in Oslo.",
        "My job is plumber.",
        "My name is Bob, I live in Rome and I work as a baker.",
    ]
    with Mind.create("m", name, tmp_path) as mind:
        for text in told:
            mind.teach(text)
        assert [trace.text for trace in mind.traces(all=True)] == told
        mind.reflect()
        assert [trace.text for trace in mind.traces(all=True)] == told and told[3] in [
            trace.text for trace in mind.traces()
        ]
