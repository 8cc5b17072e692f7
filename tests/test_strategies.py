"""Strategies: what each lets move, what it holds, and that each leaves a plain brain that can be made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.arena.contestants import find_contestant, settings
from lab.arena.runner import compete
from lab.config import FAMILIES, ArenaConfig, ConfigError, TrainingConfig
from lab.data import Batch, pad
from lab.learning import Machine, Practice, choose_machine, load_newest, practise, save_checkpoint
from lab.learning.dreams import _begin_again, dream
from lab.learning.practice import copy_brain
from lab.learning.strategies import STRATEGIES, Dreams, Strategy
from lab.learning.strategies.bands import Bands, split_speeds
from lab.learning.strategies.replay import Replay
from lab.learning.strategies.slots import Slots
from lab.learning.strategies.sparse import Sparse
from lab.models import Brain, build
from lab.models.memory import memory_of
from lab.text import LAB, Exchange, Lesson
from lab.text.bytes import Bytes
from lab.text.marks import Marks

CPU = Machine(torch.device("cpu"), "fp32", 1)
MAKE: dict[str, Callable[[], Strategy]] = {
    name: lambda kind=kind, options=options: kind(CPU, 5, **options)
    for name, kind in STRATEGIES.items()
    for options in [{"dreams": {"ratio": 1.0}, "bands": {"count": 8, "steps": 6}}.get(name, {})]
}


def lessons(*facts: str) -> list[Lesson]:
    """What was written as question=answer."""
    return [LAB.lesson(Exchange(fact.split("=")[0], fact.split("=")[1])) for fact in facts]


FIRST, SECOND = lessons("cat=meow", "dog=woof", "cow=moo", "pig=oink"), lessons("sun=day", "moon=night", "star=far")


def small(name: str, memory_slots: int = 64, width: int = 16) -> Brain:
    return build(name, FAMILIES[name].config(width=width, layers=2, heads=2, memory_slots=memory_slots))


def learn(
    brain: Brain, task: Sequence[Lesson], *strategies: Strategy, steps: int = 20, lr: float = 0.01
) -> list[float]:
    """Practise a task and finish it; the losses."""
    how = Practice(steps, 4, lr, seed=3, whole=1.0, rates=True)
    losses = [step.loss for step in practise(brain, task, strategies, how)]
    for strategy in strategies:
        strategy.finish(task)
    return losses


def moved(brain: Brain, before: dict[str, Tensor]) -> set[str]:
    return {name for name, now in brain.state_dict().items() if not torch.equal(now, before[name])}


def weights(brain: Brain) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in brain.state_dict().items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_sparse_moves_only_the_rows_of_chosen_slots(name: str) -> None:
    """All weights learn the first task; then at most 5 rows a step, all of them read, and with dreams beside as well."""
    for others in ([], [Dreams(CPU, 5, ratio=1.0)]):
        brain, sparse = small(name), Sparse(CPU, 5, top=5)
        before = weights(brain)
        learn(brain, FIRST, sparse, *others, steps=30, lr=0.02)
        assert any(".attention." in one for one in moved(brain, before)), "the first task makes the brain"
        before, chosen = weights(brain), torch.zeros(64, dtype=torch.bool)
        for step in practise(brain, SECOND, [sparse, *others], Practice(8, 2, 0.01, rates=True)):
            assert sparse._open is not None and 0 < int(sparse._open.sum()) <= 5
            chosen |= sparse._open[:, 0] > 0
            assert not others or step.step == 1 or step.penalty != 0
        assert moved(brain, before) == {"blocks.1.slots.value_rows"}
        rows = (memory_of(brain).value_rows.detach() != before["blocks.1.slots.value_rows"]).any(1)
        assert bool(rows.any()) and not bool((rows & ~chosen).any()) and int(chosen.sum()) < 64


def test_sparse_learns_its_second_task() -> None:
    """What may move is enough to bring the loss down."""
    brain, sparse = small("baseline", 256), Sparse(CPU, 5)
    learn(brain, FIRST, sparse, steps=100, lr=0.02)
    losses = learn(brain, SECOND, sparse, steps=60, lr=0.05)
    assert losses[-1] < 0.75 * losses[0]


def test_a_slot_that_every_batch_read_scores_below_one_of_this_batch_alone() -> None:
    """However often this batch reads it; and what was never read scores nothing."""
    sparse, reads = Sparse(CPU), torch.zeros(64, dtype=torch.int64)
    reads[3] = 9
    for _ in range(20):
        sparse._note(reads)
    counts = reads.clone()
    counts[3], counts[7] = 50, 1
    score = sparse.score(counts)
    assert score[7] > score[3] and score[0] == 0
    assert float(score[7]) == pytest.approx(1 / 51 * torch.log(torch.tensor(21.0)).item())


def test_the_background_of_sparse_is_held_and_outlives_a_checkpoint(tmp_path: Path) -> None:
    """One background batch for four lessons; saved and loaded by name, the next task goes the same way."""
    brain, sparse = small("baseline"), Sparse(CPU, 5, top=5)
    learn(brain, FIRST, sparse, steps=5)
    assert int(sparse.held["batches"]) == 1 and 0 < int(sparse.held["readers"].sum()) <= 64
    assert sparse.stored_bytes() == 64 * 4 + 8
    save_checkpoint(tmp_path, 1, dict(sparse.held), {})
    found, _ = load_newest(tmp_path)
    assert found is not None
    again, twin = Sparse(CPU, 5, top=5), copy_brain(brain)
    again.held, again.tasks = found.tensors, 1
    learn(brain, SECOND, sparse, steps=5)
    learn(twin, SECOND, again, steps=5)
    assert moved(twin, weights(brain)) == set()
    assert torch.equal(sparse.held["readers"], again.held["readers"])


@pytest.mark.parametrize("name", FAMILIES)
def test_slots_move_only_the_memory_layer(name: str) -> None:
    """All of its five tensors, and nothing else, from the second task on."""
    brain, slots = small(name), Slots(CPU)
    learn(brain, FIRST, slots)
    before = weights(brain)
    losses = learn(brain, SECOND, slots)
    assert losses[-1] < losses[0]
    parts = ("queries.weight", "half_keys", "value_rows", "gate.weight", "out.weight")
    assert moved(brain, before) == {f"blocks.1.slots.{part}" for part in parts}


@pytest.mark.parametrize("kind", [Sparse, Slots])
def test_a_brain_without_memory_is_refused_with_a_remedy(kind: type[Strategy]) -> None:
    """Before anything is learnt."""
    with pytest.raises(ConfigError, match=r"memory_slots must be there for this strategy; got 0\. Try 4096"):
        learn(small("qor", 0), FIRST, kind(CPU))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_sleep_frees_the_fast_band_and_moves_its_knowledge_into_the_slow(name: str) -> None:
    """Fast MLPs are as before the task, slow ones moved, all else as the task left it, and the student nears its teacher."""
    brain, bands = small(name, 0), Bands(CPU, 5, count=48, steps=40)
    learn(brain, FIRST, bands, steps=50, lr=0.02)
    assert not bands.slept, "after the first task there is no sleep"
    fast, slow = split_speeds(brain)
    before = [p.detach().clone() for p in fast]
    list(practise(brain, SECOND, [bands], Practice(30, 4, 0.01, seed=3, whole=1.0, rates=True)))
    assert not all(torch.equal(p, old) for p, old in zip(fast, before, strict=True))
    teacher, woken = copy_brain(brain), weights(brain)
    awake = copy_brain(brain)
    with torch.no_grad():
        for p, old in zip(split_speeds(awake)[0], before, strict=True):
            p.copy_(old)
    bands.finish(SECOND)
    assert all(torch.equal(p, old) for p, old in zip(fast, before, strict=True))
    names = {id(p): key for key, p in brain.named_parameters()}
    assert moved(brain, woken) == {names[id(p)] for p in (*fast, *slow)}
    tokens = pad([lesson.tokens for lesson in FIRST + SECOND], LAB.stop)

    def divergence(student: Brain) -> float:
        with torch.no_grad():
            said, meant = (one(tokens)[0].log_softmax(-1) for one in (student, teacher))
        return float(torch.nn.functional.kl_div(said, meant, log_target=True, reduction="batchmean"))

    assert divergence(brain) < 0.8 * divergence(awake)
    assert len(bands.slept) == 40 and bands.slept[-1] < bands.slept[0]


def test_a_plain_transformer_needs_two_blocks_for_two_speeds() -> None:
    """With one there would be nothing to move what was learnt into."""
    with pytest.raises(ConfigError, match="layers must be at least 2"):
        split_speeds(build("baseline", FAMILIES["baseline"].config(width=16, layers=1, heads=2)))
    fast, slow = split_speeds(small("baseline", 0))
    assert len(fast) == len(slow) == 2


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_leaves_a_plain_brain_that_can_be_made_again(name: str, strategy: str) -> None:
    """Two tasks, twice from the same seed: bit for bit the same, with every weight open and as it was named."""

    def made() -> dict[str, Any]:
        brain, plan = small(name, width=32), MAKE[strategy]()
        for task in (FIRST, SECOND):
            learn(brain, task, plan, steps=6)
        assert all(parameter.requires_grad for parameter in brain.parameters())
        assert set(brain.state_dict()) == set(small(name).state_dict())
        assert plan.tasks == 2
        return weights(brain)

    left, right = made(), made()
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_brain_dreams_again_of_what_had_an_answer() -> None:
    """Openings are kept, with what never comes in them; the rest begins as questions did that were answered, cut at a word."""
    draws, brain = torch.Generator().manual_seed(3), small("baseline")
    learn(brain, FIRST, Strategy(CPU, 5), steps=40)
    openings = (replace(LAB.closed(), share=0.5, longest=40, never=(ord("o"),)),)
    found = [one.tokens for batch in dream(brain, 60, draws, openings=openings) for one in batch]
    assert len(found) == len(set(found)) and len(found) > 20 and not any(ord("o") in one for one in found[:20])
    asked = [LAB.lesson(Exchange("what is", "it")).tokens, LAB.lesson(Exchange("who are")).tokens]
    begins = _begin_again(LAB, asked, 20, draws)
    assert len(begins) == 20 and all(begin == LAB.begin("what ") for begin in begins)
    assert _begin_again(LAB, asked[1:], 20, draws) == []


def test_a_small_last_batch_does_not_end_a_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """Practice that ends early looks at all lessons: two that are known by heart say nothing about twenty-four that are not."""
    brain = build("baseline", FAMILIES["baseline"].config(width=32, layers=1))
    lessons = [LAB.lesson(Exchange(f"What is number {i}?", str(i))) for i in range(26)]

    def known_in_small_batches(brain: Brain, chosen: Sequence[Any], *_: Any) -> tuple[Any, ...]:
        loss = sum(weight.sum() for weight in brain.parameters()) * 0 + (0.0 if len(chosen) == 2 else 1.0)
        return loss, Batch(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 1)), torch.zeros(1), None

    monkeypatch.setattr("lab.learning.practice._loss", known_in_small_batches)
    strategy = STRATEGIES["naive"](choose_machine(TrainingConfig()), 0)
    steps = list(practise(brain, lessons, [strategy], Practice(90, 24, 1e-6, early=True)))
    assert len(steps) == 90


@pytest.mark.parametrize(("vocabulary", "token_bytes"), [(264, 2), (50_000, 2), (70_000, 4)])
def test_replay_holds_tokens_of_any_vocabulary_within_its_budget(
    vocabulary: int, token_bytes: int, tmp_path: Path
) -> None:
    """Each comes back as it was, through a checkpoint too, and costs what its type needs."""

    class Wide(Bytes):
        size = vocabulary

    template = Marks(Wide())
    brain = build("baseline", FAMILIES["baseline"].config(width=8, layers=1, heads=2), template=template)
    marks = template.start, template.answer, template.stop
    task = [template.restore([marks[0], vocabulary - 1 - i, marks[1], vocabulary // 2, marks[2]]) for i in range(20)]
    replay = Replay(CPU, 5, budget=160)
    learn(brain, task, replay, steps=2)
    kept = replay.lessons()
    assert len(kept) == 152 // (5 * token_bytes + 2) and all(one in task for one in kept)
    assert replay.stored_bytes() == 8 + len(kept) * (5 * token_bytes + 2) <= replay.budget
    save_checkpoint(tmp_path, 1, dict(replay.held), {})
    found, _ = load_newest(tmp_path)
    assert found is not None
    again = Replay(CPU, 5)
    again.held = found.tensors
    again.meet((), template)
    assert again.lessons() == kept
    learn(brain, task, replay, steps=2)


@pytest.mark.parametrize("strategy", ["naive", "joint", "frozen", "replay", "der", "ewc", "lwf", "l2", "fast", "slots"])
def test_whatever_a_brain_practises_with_is_placed_on_its_machine(strategy: str) -> None:
    """Every batch that the brain, or a copy of it, is given was placed; so was every penalty."""
    placed: list[Any] = []

    class Noting(Machine):
        def place(self, what: Any) -> Any:
            placed.append(what.tokens if isinstance(what, Batch) else what)
            return super().place(what)

    def check(_: Any, given: tuple[Tensor, ...]) -> None:
        met.append(len(given[0]))
        assert any(given[0] is one or given[0]._base is one for one in placed)

    met: list[int] = []
    brain, plan = small("qor"), STRATEGIES[strategy](Noting(torch.device("cpu"), "fp32", 1), 5)
    brain.register_forward_pre_hook(check)
    for task in (FIRST, SECOND):
        learn(brain, task, plan, steps=3)
    assert len(met) >= 3 and sum(isinstance(one, Tensor) and one.ndim == 0 for one in placed) >= 3


def test_the_arena_learns_on_the_device_that_was_chosen(tmp_path: Path) -> None:
    """The CPU, if nothing is said; one that is not there is refused."""
    tuned, missing = settings(), "mps" if torch.cuda.is_available() else "cuda"
    assert ArenaConfig().device == "cpu"
    config = ArenaConfig(stream="same-subjects", facts=2, width=16, device=missing)
    with pytest.raises(ConfigError, match=f"device must be one that is there; got {missing}"):
        next(compete(config, find_contestant("baseline", tuned), 0, "forward", tmp_path, tuned))
