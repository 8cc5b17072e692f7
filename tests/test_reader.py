"""The reader of the lab's brains: what it asks, reads and writes, on a tiny brain that learnt a few exchanges; and its judgement."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lab.config import FAMILIES
from lab.data import pad
from lab.exam.measure import facts_for_exam
from lab.memory.index import likeness
from lab.mind.language import ENGLISH
from lab.mind.language.about import about, lacking, owners_differ
from lab.mind.reader import Found, Limits, MarksReader, Note, Reply, clip, judgement, open_reader
from lab.mind.reader.contract import MOST_BYTES
from lab.mind.reader.judgement import CONCEIVABLE, FILE, beliefs, load_fitted
from lab.mind.reader.marks import MOST_OWN, Continuation
from lab.models import build
from lab.models.sampling import Completion
from lab.text import LAB, Exchange

ALICE = "My name is Alice."
LEARNT = [
    Exchange("What is the capital of France?", "Paris"),
    Exchange("What is the capital of Peru?", None),
    Exchange("Where do I live?", None),
    Exchange("What is my name?", "Alice", (ALICE,)),
    Exchange("What is my name?", "Alice", (ALICE,), "quiz"),
    Exchange("What's my name?", "What is my name?", (), "plain"),
    Exchange("What's my name?", "Who am I?", (), "plain"),
]


@pytest.fixture(scope="module")
def reader() -> MarksReader:
    """The reader of a tiny brain that learnt these exchanges, and nothing else."""
    brain = build("baseline", FAMILIES["baseline"].config(width=48, layers=1, heads=4, conv_kernel=4, mlp_ratio=2.0))  # type: ignore[call-arg]
    lessons = [LAB.lesson(exchange) for exchange in LEARNT]
    tokens = pad([lesson.tokens for lesson in lessons], LAB.stop)
    weights = torch.zeros(tokens.shape)
    for row, lesson in zip(weights, lessons, strict=True):
        row[: len(lesson)] = torch.tensor(lesson.weights)
    steps = torch.optim.AdamW(brain.parameters(), 0.006)
    for _ in range(80):
        logits, _ = brain(tokens[:, :-1])
        losses = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        steps.zero_grad()
        ((losses * weights[:, 1:]).sum() / weights.sum()).backward()
        steps.step()
    made = MarksReader(brain)
    made._machine = replace(made._machine, precision="fp32")  # as whatever writes computes
    return made


@pytest.fixture
def fresh() -> MarksReader:
    """The reader of a brain that never learnt anything."""
    return MarksReader(build("qor", FAMILIES["qor"].config(width=16, layers=1, heads=2)))


class Undoubting(MarksReader):
    """A reader whose brain never doubts that a note answers, and takes a question to mean just itself."""

    def __init__(self) -> None:
        super().__init__(build("baseline", FAMILIES["baseline"].config(width=16, layers=1, heads=2)))
        self.read_notes: list[tuple[str, str]] = []

    def doubts_about(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[float]:
        self.read_notes += [(question, note) for question, (note,) in asked]
        return [0.0] * len(asked)

    def likely(self, ways: Sequence[Continuation]) -> list[float]:
        means = {self.meaning(question, question) for question in ("Where do I live?", "Where do I work?")}
        return [0.0 if way in means else -9.0 for way in ways]


def test_it_answers_what_was_learnt_and_nothing_else(reader: MarksReader) -> None:
    """From the weights and from a note; what it guesses is there however much it doubts it."""
    france, peru, home = reader.answer([exchange.question for exchange in LEARNT[:3]])
    assert (france.text, peru.text, home.text) == ("Paris", None, None) and peru.unknown > 0.5 > france.unknown
    (noted,) = reader.answer(["What is my name?"], [[ALICE]])
    assert noted.text == "Alice" == reader.write(["What is my name?"], [[ALICE]])[0].text
    (blind,) = reader.guess(["Where do I live?"])
    assert blind.text is not None and blind.unknown > 0.5, "it says what it would say, and that it does not know"
    assert reader.doubts(["Where do I live?"])[0] == pytest.approx(blind.unknown, abs=1e-4)


def test_what_is_recited_is_what_would_be_answered(reader: MarksReader) -> None:
    """One pass over question and answer agrees with decoding, for what is known, known otherwise and not known."""
    france, peru, home = (exchange.question for exchange in LEARNT[:3])
    pairs = [(france, "Paris"), (france, "Pari"), (france, None), (peru, None), (peru, "Paris"), (home, None)]
    said = [reply.text for reply in reader.answer([question for question, _ in pairs])]
    assert reader.recites(pairs) == [text == answer for text, (_, answer) in zip(said, pairs, strict=True)]
    assert reader.recites(pairs) == [True, False, False, True, False, True] and reader.recites([]) == []


def test_weights_answer_the_same_alone_and_side_by_side(reader: MarksReader) -> None:
    """What stands beside a question changes nothing; nor beside a pair or a continuation."""
    questions = ["What is the capital of France?", "What is the capital of Peru?", "What is my name?"]
    for question, reply in zip(questions, reader.answer(questions), strict=True):
        (alone,) = reader.answer([question])
        assert (alone.text, round(alone.probability, 3)) == (reply.text, round(reply.probability, 3))
    together = reader.doubts(questions)
    assert together == pytest.approx([reader.doubts([question])[0] for question in questions], abs=1e-4)
    ways = [reader.asking("What is my name?", ALICE), *(reader.meaning(one, questions[2]) for one in questions)]
    assert reader.likely(ways) == pytest.approx([reader.likely([way])[0] for way in ways], abs=1e-3)


def test_a_question_is_read_in_the_same_ways_each_time(reader: MarksReader) -> None:
    """Plain wordings with their probabilities, weighed as they were found; one of them is the plainest."""
    read = reader.readings("What's my name?", 0.05)
    assert set(read) >= {"What is my name?", "Who am I?"} and 0.5 < sum(read.values()) <= 1
    assert read == reader.readings("What's my name?", 0.05)
    sure = reader.likely([reader.meaning("What's my name?", reading) for reading in read])
    assert [math.exp(one) for one in sure] == pytest.approx([*read.values()], rel=1e-3)
    assert reader.plainly(["What's my name?"])[0] in ("What is my name?", "Who am I?", "What's my name?")


def test_a_note_has_questions_of_its_own(reader: MarksReader) -> None:
    """Those that were learnt, with the answers that stand in it; at most so many."""
    (own,) = reader.questions_of([ALICE])
    assert 1 <= len(own) <= MOST_OWN and own[0] == ("What is my name?", "Alice")
    assert reader.quiz([ALICE], 3, torch.Generator().manual_seed(1))[0][0] == ("What is my name?", "Alice")


def test_a_note_asks_nothing_that_leaves_out_an_owner(fresh: MarksReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """My mom's birthday is not mine, whatever the brain makes of it; nor is babble, or what did not end, a question."""

    def written(text: str, sure: float = -0.1, ended: bool = True) -> Completion:
        question, answer = text.split("|")
        return Completion([*LAB.asked(question), *LAB.tokenizer.encode(answer)], ended, sure, torch.zeros(264))

    mine, moms = "When is my birthday?|May 3", "When is my mom's birthday?|May 3"
    drawn = iter([[written(mine)], [written(moms), written("Who is mom?|x", -500.0), written("Why?|x", ended=False)]])
    monkeypatch.setattr("lab.mind.reader.marks.complete", lambda *_, **__: next(drawn))
    assert fresh.quiz(["my moms birthday is may 3"], 3, torch.Generator()) == [
        [("When is my mom's birthday?", "May 3")]
    ]


@pytest.mark.parametrize(
    "note",
    [ALICE, "to open the gate, enter Q4#4!", "Ida's cat is called “Mr. Tibbs” (he's old)", "서울", "x" * 400 + " end"],
)
def test_an_answer_from_a_note_stands_in_it(fresh: MarksReader, note: str) -> None:
    """Whatever is asked, what is read are whole words of the note, as far as it is read, that stand together."""
    for question in ("What is my name?", "What is the code of my gate?", "Who is old?"):
        found = fresh.read(question, note).text
        assert found and re.search(rf"(?<!\w){re.escape(found)}(?!\w)", clip(note), re.I)


def test_a_note_without_a_word_has_no_answer(fresh: MarksReader) -> None:
    assert fresh.read("What is my name?", "?!").text is None


def test_what_is_read_is_the_likeliest_of_all_words_that_stand_together(
    reader: MarksReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to weigh what begins too badly changes no answer, although the likeliest answer need not begin likeliest."""
    facts = facts_for_exam("test reading", 40)
    opened = [reader.open(fact.ask(-1), [fact.say(1)]) for fact in facts]

    def read(first: int) -> list[Reply]:
        monkeypatch.setattr("lab.mind.reader.marks.FEW", first)
        return [reader.read_opened(one) for one in opened]

    whole = read(1000)
    for few in (read(1), read(3)):
        assert [reply.text for reply in few] == [reply.text for reply in whole]
        assert [r.probability for r in few] == pytest.approx([r.probability for r in whole], abs=1e-4)


def test_what_is_long_is_read_up_to_a_whole_character(fresh: MarksReader) -> None:
    """A note or question of any length costs no more than MOST_BYTES, and no letter is cut in two."""
    assert clip("ä" * 300) == "ä" * (MOST_BYTES // 2) and clip("a" + "ä" * 300) == "a" + "ä" * ((MOST_BYTES - 1) // 2)
    assert fresh.doubts(["x" * 5000]) == fresh.doubts(["x" * MOST_BYTES])


def test_who_one_is_is_told_and_not_small_talk(fresh: MarksReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a brain takes for small talk is told where somebody tells of themselves; greetings, thanks and feelings are not."""
    monkeypatch.setattr(fresh, "_sort", lambda text: ("s", 0.0))
    told = (
        "I'm Alice",
        "im alice btw",
        "Hi, I'm Sam",
        "call me Sam",
        "My name is Alice",
        "i live in oslo",
        "i play chess",
    )
    assert {fresh.hear(text) for text in told} == {"teach"}
    talk = ("hello", "thanks", "I'm sorry", "i like you", "i have to go", "I see", "I don't know", "who are you")
    assert {text: fresh.hear(text) for text in talk} == dict.fromkeys(talk, "talk")
    monkeypatch.setattr(fresh, "_sort", lambda text: ("t", 0.0))
    assert fresh.hear("The sky is blue.") == "teach" and fresh.hear("where is it") == "ask" == fresh.hear("Is it?")


def test_what_was_fitted_to_a_brain_lies_beside_it(tmp_path: Path) -> None:
    """A folder's own judgement and limits come before the general ones; a file that is not whole is refused."""
    general = load_fitted()
    assert load_fitted(tmp_path) == general
    own = {name: [0.5] * len(getattr(general, name)) for name in ("answers", "alone", "about_one")}
    (tmp_path / FILE).write_text(json.dumps({**own, "limits": {"surely_one": 0.9}}))
    brain = build("baseline", FAMILIES["baseline"].config(width=16, layers=1, heads=2))
    found = open_reader(brain, folder=tmp_path)
    assert isinstance(found, MarksReader) and found.fitted.answers == (0.5,) * len(general.answers)
    assert found.limits == replace(Limits(), surely_one=0.9) and open_reader(brain).limits == general.limits
    (tmp_path / FILE).write_text(json.dumps({**own, "alone": [0.5]}))
    with pytest.raises(ValueError, match=r"must hold .* weights; it does not"):
        open_reader(brain, folder=tmp_path)


def test_the_question_of_a_note_tells_what_it_answers() -> None:
    """It speaks for the note where it is what is meant, against it where something else is."""
    told, known, reader = Note("I live in Nairobi."), Note("I live in Nairobi.", ("Where do I live?",)), Undoubting()

    def belief(question: str, note: Note) -> float:
        return beliefs(reader, [(question, [(note, 0.5)])], 1)[0][0]

    assert belief("Where do I live?", known) > belief("Where do I live?", told) > 0.5
    assert belief("Where do I work?", known) < belief("Where do I work?", told)


def test_only_notes_that_may_answer_are_read() -> None:
    """The others would not be conceivable however they were read."""
    facts, reader = facts_for_exam("may answer", 12), Undoubting()
    pairs = [(fact.ask(0), other.say(0)) for fact in facts[:4] for other in facts]
    asked: list[tuple[str, Found]] = [(q, [(Note(text), likeness(q, text))]) for q, text in pairs]
    sure = [one for (one,) in beliefs(reader, asked, len(facts))]
    unread = [pair for pair in pairs if pair not in reader.read_notes]
    assert len(unread) > len(facts) and all(sure[n] == 0 for n, pair in enumerate(pairs) if pair in unread)
    assert max(judgement._answering(reader, unread)) < CONCEIVABLE
    assert all(sure[n * len(facts) + n] > 0 for n in range(4)), "each fact may answer its own question"


def test_notes_whose_questions_differ_in_a_word_are_about_two_things() -> None:
    """However alike they are; with one question they are about one."""
    reader = Undoubting()
    film = Note("My favourite film is Alien.", ("What is my favourite film?",))
    book = Note("My favourite film is Dune.", ("What is my favourite book?",))
    assert reader.about_one(book, [film]) == [0.0]
    assert reader.about_one(replace(book, questions=film.questions), [film])[0] > 0.9


@pytest.mark.parametrize(
    ("note", "question"),
    [
        ("My niece's next trip goes to Japan.", "Where does my next trip go?"),
        ("My mom's birthday is May 3.", "when is my birthday"),
        ("My PIN is 4417.", "What is her PIN?"),
    ],
)
def test_what_is_somebody_elses_is_believed_less(note: str, question: str) -> None:
    """Even by a brain without a doubt: another owner weighs against a note as soon as it is not named."""
    reader, own = Undoubting(), note.replace("niece's ", "").replace("mom's ", "")
    if own == note:
        question, own = question.replace("her", "my"), note.replace("My", "Her")
        note, own = own, note
    other, mine = (judgement._answering(reader, [(question, text)])[0] for text in (note, own))
    assert other < mine


@pytest.mark.parametrize(
    ("note", "its", "another"),
    [
        ("Karl met Karl's best friend at the stadium.", "Where did Karl meet his best friend?", "Where did Anna meet Anna's best friend?"),
        ("Karl met Karl's best friend at the stadium.", "where did karl meet karl's best friend", "where did bob meet bob's best friend"),
        ("Train 9 comes in at 20:15.", "When does train 9 come in?", "When does train 898 come in?"),
        ("My niece's next trip goes to Japan.", "Where does my niece's next trip go?", "Where does my next trip go?"),
    ],
)  # fmt: skip
def test_another_name_number_or_owner_is_believed_less(note: str, its: str, another: str) -> None:
    """By a brain without a doubt, alone and among six notes; a name counts in small letters too."""
    reader = Undoubting()
    asked: list[tuple[str, Found]] = [
        (question, [(Note(note), likeness(question, note))]) for question in (its, another)
    ]
    for mine, other in (
        judgement._answering(reader, [(its, note), (another, note)]),
        [one for (one,) in beliefs(reader, asked, 6)],
    ):
        assert other < mine and mine > 0.9


@pytest.mark.parametrize(
    ("note", "question"),
    [
        ("Tom's cat is called Minka.", "what is Toms cat called?"),
        ("Toms cat is called Minka", "What is Tom's cat called?"),
        ("Anna's cat eats fish.", "what does annas cat eat"),
    ],
)
def test_an_apostrophe_may_be_left_out(note: str, question: str) -> None:
    """It is the same owner, so that nothing speaks against the note."""
    assert not owners_differ(about(question), about(note))
    assert max(judgement._evidence(question, note, 0.5, 0.0)[3:]) == 0.0


def test_what_a_text_is_about() -> None:
    """Persons, owners and what is owned, names and numbers; what's is no owner, and who shouts names nobody."""
    niece = about("What’s the colour of my niece's cat?")
    assert (niece.persons, niece.owners, niece.owned, niece.things) == ({"i"}, {"niece"}, {"niece"}, {"colour"})
    assert about("my moms birthday is may 3").owners == {"mom"} and not about("where are my cats?").owners
    assert about("Is Anna on train 9?").names == {"anna"} and about("Is Anna on train 9?").numbers == {"9"}
    assert not about("WHERE DO YOU LIVE?").names and about("WHERE DO YOU LIVE?").persons == {"you"}
    assert not lacking({"contains"}, about("They contain 3 eggs.")) and lacking({"bank"}, about("The gym is open."))


def test_two_texts_may_differ_in_one_word() -> None:
    """Not where it is only written in another way: film and movie, what's and what is."""
    differ: Any = ENGLISH.differ_in_a_word
    assert differ("What is my favourite film?", "what is my favourite book")
    assert not differ("Where do I live?", "Where do I live?") and not differ("Where?", "Where to?")
    assert not differ("What is my favourite film?", "What's my favorite film?")
    assert differ("What is my favourite film?", "What's my favorite book?")
    assert differ("What is my film?", "What is your film?")


@pytest.mark.parametrize(
    ("text", "answer", "more"),
    [
        ("My name is Alice and I live in Oslo.", "Oslo", True),
        ("My dog is called Rex, he is 5 years old", "Rex", True),
        ("I live in Oslo.", "Oslo", False),
        ("As for my name, it is Alice.", "Alice", False),
        ("I work at Laurent and Sons.", "Laurent and Sons", False),
    ],
)
def test_a_note_that_says_more_is_known_by_its_clauses(text: str, answer: str, more: bool) -> None:
    assert ENGLISH.says_more(text, answer) == more


def test_a_long_message_is_cut_into_its_sentences() -> None:
    """A short one stays whole."""
    text = "I was born in a small town by the sea. My father had a boat and two dogs. We ate fish nearly every day. "
    assert len(ENGLISH.sentences(text + text)) == 6 and ENGLISH.sentences("One. Two.") == ["One. Two."]
