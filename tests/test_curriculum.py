"""The curriculum: lessons that teach what they say, and keep back what is scored."""

import functools
import random
import re
from collections import Counter

import pytest
import torch

from lab.config import DataConfig, build_config
from lab.data import Cursor, pad_lessons
from lab.data.curriculum import lessons
from lab.data.curriculum.batches import LessonBatches
from lab.data.curriculum.facts import clash, load_relations, make_fact, relation_names
from lab.data.curriculum.lessons import SHARES, SKILLS, _asked_like, _neighbour, innate_facts, make_exchanges
from lab.text import LAB, Exchange

CONFIG = DataConfig(data="curriculum", seq_len=256, batch_size=8)


def test_there_are_many_relations_and_some_are_never_trained_on() -> None:
    """At least 120 for training; about 15% held out; each with several wordings, the last one held out."""
    relations = load_relations()
    assert len(relation_names(unseen=False)) >= 120
    assert 0.13 <= len(relation_names(unseen=True)) / len(relations) <= 0.2
    assert all(len(r.say) >= 4 and len(r.ask) >= 4 and len(set(r.say)) == len(r.say) for r in relations.values())


@pytest.mark.parametrize("name", load_relations())
def test_a_fact_can_be_said_and_asked_in_every_wording(name: str) -> None:
    """No brace is left, the value stands in the statement, and not in the question."""
    rng = random.Random(name)
    for _ in range(5):
        fact = make_fact(rng, name)
        for said in (fact.say(wording) for wording in range(len(fact.relation.say))):
            assert not {"{", "}"} & set(said)
            assert fact.value.text.lower() in said.lower()
        for asked in (fact.ask(wording) for wording in range(len(fact.relation.ask))):
            assert not {"{", "}"} & set(asked)


def test_an_answer_stands_in_a_note_or_is_not_known() -> None:
    """With notes open nothing is answered that is not written there."""
    rng = random.Random(1)
    for _ in range(400):
        for exchange in make_exchanges(rng, 3, "read"):
            assert exchange.answer is None or exchange.answer.lower() in " ".join(exchange.notes).lower()


def test_the_newest_of_contradicting_notes_is_the_answer() -> None:
    """Where two notes tell one cue, the later one stands in the answer."""
    rng, seen = random.Random(2), 0
    for _ in range(3000):
        for exchange in make_exchanges(rng, 3, "read"):
            answer = exchange.answer
            holding = [note for note in exchange.notes if answer is not None and answer.lower() in note.lower()]
            seen += len(holding) > 1
            assert answer is None or holding
    assert seen > 10


def test_what_is_held_out_is_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lesson asks for a relation that is held out, nor in a wording that is."""
    monkeypatch.setattr(lessons, "ODDLY", 0.0)  # an odd word can make any wording look like another, by chance
    rng = random.Random(3)
    asked = set()
    for _ in range(4000):
        for exchange in make_exchanges(rng, skill=rng.choice(("read", "quiz", "plain", "closed", "closed_unknown"))):
            asked |= {said.lower().strip(" ?") for said in (exchange.question, exchange.answer or "")}
    for relation in load_relations().values():
        for wording in relation.ask if relation.unseen else relation.ask[-1:]:
            shape = re.compile(re.sub(r"\\{[^}]*\\}", "(.+)", re.escape(wording.lower().strip(" ?"))))
            hits = [q for q in asked if shape.fullmatch(q) and not _also_trained(q)]
            assert not hits, (relation.name, wording, hits[:3])


def test_a_question_is_put_plainly_in_its_first_wording() -> None:
    """However it is asked, and typed; never in a wording that asks for something else."""
    rng, plain, asked = random.Random(5), Counter[str](), set()
    for _ in range(3000):
        (exchange,) = make_exchanges(rng, skill="plain")
        asked.add(exchange.question)
        plain[exchange.reply] += 1
    relations = load_relations().values()
    shapes = [
        re.compile(re.sub(r"\\{[^}]*\\}", "(.+)", re.escape(w)), re.I)
        for r in relations for w in (r.ask[:-1] if r.paired else r.ask[:1]) if not r.unseen
    ]  # fmt: skip
    fitting = sum(n for text, n in plain.items() if any(shape.fullmatch(text) for shape in shapes))
    assert fitting > 0.8 * 3000 and len(asked) > 2500  # the rest asks for scenes and innate facts


def _also_trained(question: str) -> bool:
    """Whether a question is a trained wording of another relation, which only looks alike."""
    return any(shape.fullmatch(question) for shape in _trained())


@functools.cache
def _trained() -> list[re.Pattern[str]]:
    wordings = [w for r in load_relations().values() if not r.unseen for w in r.ask[:-1]]
    return [re.compile(re.sub(r"\\{[^}]*\\}", "(.+)", re.escape(w.lower().strip(" ?")))) for w in wordings]


def test_hard_questions_are_about_what_is_asked_for_alike() -> None:
    """My favourite food beside my favourite colour; and never what is held out, nor the relation itself."""
    assert "favourite_colour" in _asked_like("favourite_food")
    for name, relation in load_relations().items():
        near = _asked_like(name)
        assert name not in near and not any(load_relations()[other].unseen for other in near), relation.name


def test_near_facts_are_of_another_kind_or_of_another_person() -> None:
    """Beside my dogs come my cats as well as her dogs, and never what would answer too."""
    rng = random.Random(1)
    fact = next(fact for fact in (make_fact(rng) for _ in range(5000)) if fact.value.key)
    near = [_neighbour(fact, rng) for _ in range(300)]
    alike = [other for other in near if other.relation is fact.relation]
    assert sum(other.subject == fact.subject and other.value.key != fact.value.key for other in alike) > 10
    assert sum(other.subject != fact.subject and other.value.key == fact.value.key for other in alike) > 10
    assert not any(clash(fact, other) for other in near)


def test_all_skills_are_taught_in_their_shares() -> None:
    """Every skill makes lessons, and the shares sum to one."""
    assert SKILLS.keys() == SHARES.keys()
    assert sum(SHARES.values()) == pytest.approx(1)
    kinds = Counter(make_exchanges(random.Random(i))[0].skill for i in range(2000))
    assert set(kinds) == {"answer", "quiz", "plain", "sort"}


def test_facts_that_clash_are_told_apart() -> None:
    """The same cue with another value clashes; another subject does not."""
    rng = random.Random(4)
    fact = make_fact(rng, "home")
    assert clash(fact, fact.with_value(rng))
    other = make_fact(rng, "home")
    assert clash(fact, other) == (other.subject.name.lower() == fact.subject.name.lower())


def test_lesson_batches_go_on_exactly_where_they_were() -> None:
    """From any cursor on the batches are the same, bit for bit."""
    through = LessonBatches(CONFIG, 5, LAB)
    batches, places = [], []
    for _ in range(12):
        places.append(through.cursor)
        batches.append(through.next())
    for at in (0, 3, 11):
        assert torch.equal(LessonBatches(CONFIG, 5, LAB, places[at]).next().tokens, batches[at].tokens)
    assert not torch.equal(LessonBatches(CONFIG, 6, LAB, Cursor()).next().tokens[:1, :8], batches[0].tokens[:1, :8])
    assert all(batch.tokens.numel() <= CONFIG.seq_len * CONFIG.batch_size for batch in batches)


def test_only_answers_weigh_fully_and_padding_not_at_all() -> None:
    """The answer and its end weigh 1, the question a tenth, the padding nothing."""
    batch = pad_lessons([LAB.lesson(Exchange("q", "a")), LAB.lesson(Exchange("quite", "a"))], LAB)
    assert batch.weights is not None and batch.tokens.shape == (2, 9)
    assert batch.weights[0].tolist() == pytest.approx([0.1, 0.1, 1, 1, 0, 0, 0, 0])
    assert batch.weights[1].tolist() == pytest.approx([0.1] * 6 + [1, 1])


def test_innate_facts_are_real_ones() -> None:
    """Capitals and symbols of the facts worlds, each with a held-out wording."""
    known = {fact.ask(0): fact.value.text for fact in innate_facts()}
    assert known["What is the capital of France?"] == "Paris"
    assert known["What is the chemical symbol of gold?"] == "Au"
    assert len(known) >= 300


def test_the_recipe_trains_any_starter() -> None:
    """The recipe's options are those of the config, and named options win."""
    config = build_config({"recipe": "starter", "model": "baseline", "steps": 7})
    assert (config.data.data, config.training.steps, config.brain.conv_kernel) == ("curriculum", 7, 4)
