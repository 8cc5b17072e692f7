"""What a token is, and how exchanges are spelt: bytes and marks are bit for bit what brains have learnt."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.arena.streams import WORLDS, segments
from lab.config import BrainConfig, build_config
from lab.data import encode_document, load_facts, open_corpus
from lab.data.curriculum.batches import LessonBatches
from lab.data.curriculum.lessons import SKILLS, make_exchanges
from lab.learning import alter, dream
from lab.learning.dreams import recited
from lab.models import Brain, State
from lab.text import LAB, Exchange, open_template, save_template

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


class Table(Brain):
    """A brain whose next token depends on the last alone, by a table of whole numbers: the same on every machine."""

    def __init__(self) -> None:
        super().__init__(BrainConfig())
        draws = torch.Generator().manual_seed(7)
        table = torch.full((264, 264), -40.0)
        for last in range(264):
            for letter in b"abcdefghij    klmnop ?.":
                table[last, letter] = float(torch.randint(0, 5, (1,), generator=draws))
            for mark, score in ((257, 2.0), (258, 2.5), (261, 1.0), (260, 0.5), (256, 0.3)):
                table[last, mark] = score
        self.table = nn.Parameter(table)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.table[tokens], State()


@pytest.mark.parametrize("skill", SKILLS)
def test_the_curriculum_is_spelt_as_brains_learnt_it(skill: str) -> None:
    """Two hundred lessons of each skill, token for token."""
    made = [make_exchanges(random.Random(f"g {skill} {i}"), i % 4, skill) for i in range(200)]
    assert digest([list(LAB.lesson(*exchanges).tokens) for exchanges in made]) == GOLDEN[f"skill {skill}"]


def test_batches_of_lessons_are_laid_out_and_weighed_as_before() -> None:
    """Tokens, order, padding, and the weight of every target."""
    data = build_config({"data": "curriculum", "seq_len": 448, "batch_size": 12}).data
    reader = LessonBatches(data, 1, LAB)
    batches = [reader.next() for _ in range(6)]
    assert digest([batch.tokens.tolist() for batch in batches]) == GOLDEN["batches"]
    weights = [batch.weights.flatten() for batch in batches if batch.weights is not None]
    assert digest([[round(float(weight), 3) for weight in row] for row in weights]) == GOLDEN["weights"]


@pytest.mark.parametrize("mode", ["hard", "blurry", "task-free"])
@pytest.mark.parametrize("stream", WORLDS)
def test_streams_are_spelt_as_before(stream: str, mode: str) -> None:
    """Every stretch of every stream of facts."""
    stretches = segments(WORLDS[stream](20, 3), mode, 0.2, 3)
    spelt = [[list(LAB.lesson(exchange).tokens) for exchange in stretch] for stretch in stretches]
    assert digest(spelt) == GOLDEN[f"stream {stream} {mode}"]


def test_documents_of_facts_are_spelt_as_before() -> None:
    """Statements and questions of all worlds."""
    assert load_facts()
    found = open_corpus(build_config({"data": "facts"}).data).documents(0)
    spelt = [[encode_document(one, LAB).tolist(), one.validation] for one in found][:5000]
    assert digest(spelt) == GOLDEN["facts"]


def test_dreams_and_altered_questions_are_drawn_as_before() -> None:
    """The same brain and seed dream the same, mark by mark, and what a dream recites is read from it as before."""
    brain, draws = Table(), torch.Generator().manual_seed(3)
    dreams = [one for batch in dream(brain, 300, draws, cues=[LAB.begin("ab ")] * 20) for one in batch]
    assert len(dreams) == GOLDEN["dreams n"] and digest([list(one.tokens) for one in dreams]) == GOLDEN["dreams"]
    read = [recited(LAB, one.tokens) for one in dreams]
    said = [
        [bool(one and one.answer is not None), one.question if one else "", (one.answer or "") if one else ""]
        for one in read
    ]
    assert digest(said) == GOLDEN["retention"]
    questions = ["what is the colour of it?", "who lives here now?", "where is tom?"] * 20
    places = [i % 2 + 1 for i in range(60)]
    assert digest(alter(brain, questions, places, torch.Generator().manual_seed(5))) == GOLDEN["alter"]


SAID = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(SAID, st.none() | SAID, st.lists(SAID, max_size=3), st.sampled_from(["answer", "quiz", "sort"]))
def test_what_is_spelt_is_read_back(question: str, answer: str | None, notes: list[str], skill: str) -> None:
    """Any text in any part comes back as it was; nothing typed becomes a mark."""
    exchange = Exchange(question, answer, () if skill == "sort" else tuple(notes), skill)
    assert LAB.parse(LAB.lesson(exchange).tokens) == exchange
    assert LAB.restore(LAB.lesson(exchange).tokens) == LAB.lesson(exchange)


def test_the_weights_of_a_lesson_are_full_in_answers_only() -> None:
    """Question and notes weigh a tenth, answer and end all; several exchanges share their notes."""
    notes = ("Tom is 5.", "Ann is 6.")
    lesson = LAB.lesson(Exchange("How old is Tom?", "5", notes), Exchange("How old is Bo?", None, notes))
    full = [token for token, weight in zip(lesson.tokens, lesson.weights, strict=True) if weight == 1]
    assert full == [*b"5", LAB.stop, LAB.unknown, LAB.stop]
    assert lesson.tokens.count(LAB.note) == 2


def test_every_token_says_how_many_bytes_it_stands_for() -> None:
    """So bits per byte and surprise compare between alphabets: 1 for a byte, 0 for a mark."""
    sizes = LAB.tokenizer.bytes_of
    assert sizes.shape == (LAB.tokenizer.size,) and sizes[:256].all() and not sizes[256:].any()
    assert LAB.tokenizer.pack("Łódź".encode()).tolist() == LAB.tokenizer.encode("Łódź")


def test_a_folder_says_how_its_brain_is_spoken_to(tmp_path: Path) -> None:
    """Template and tokenizer are named beside the weights; a folder of before is one of the lab's, an unknown one is refused."""
    assert open_template(None, tmp_path) is LAB
    names = save_template(LAB, tmp_path)
    assert names == {"tokenizer": "bytes", "template": "marks"} and open_template(names, tmp_path).name == "marks"
    odd: object
    for odd in ({**names, "tokenizer": "runes"}, {**names, "tokenizer": ["bytes"]}, {}, [], "bytes"):
        with pytest.raises(ValueError, match="tokenizer of bytes"):
            open_template(odd, tmp_path)
    with pytest.raises(ValueError, match="template of marks"):
        open_template({**names, "template": "song"}, tmp_path)
