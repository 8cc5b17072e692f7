"""Strategies: what each lets move, what it holds, and that each leaves a plain brain that can be made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.config import BRAINS, ConfigError, TrainingConfig
from lab.data.tokenizer import ANSWER, END, START, UNKNOWN, encode, encode_answer
from lab.learning import Machine, choose_machine, load_newest, practise, save_checkpoint
from lab.learning.dreams import Opening, _begin_again, dream
from lab.learning.practice import copy_brain
from lab.learning.strategies import STRATEGIES, Dreams, Strategy
from lab.learning.strategies.bands import Bands, split_speeds
from lab.learning.strategies.slots import Slots
from lab.learning.strategies.sparse import Sparse
from lab.models import MODELS, Brain, build
from lab.models.memory import memory_of

CPU = Machine(torch.device("cpu"), "fp32", 1)
MAKE: dict[str, Callable[[], Strategy]] = {
    name: lambda kind=kind, options=options: kind(CPU, 5, **options)  # type: ignore[misc]
    for name, kind in STRATEGIES.items()
    for options in [{"dreams": {"ratio": 1.0}, "bands": {"count": 8, "steps": 6}}.get(name, {})]
}


def lessons(*facts: str) -> list[list[int]]:
    """What was written as question=answer."""
    return [encode_answer(*fact.split("=")).tolist() for fact in facts]


FIRST, SECOND = lessons("cat=meow", "dog=woof", "cow=moo", "pig=oink"), lessons("sun=day", "moon=night", "star=far")


def small(name: str, memory_slots: int = 64, width: int = 16) -> Brain:
    return build(name, BRAINS[name](width=width, layers=2, heads=2, memory_slots=memory_slots))


def learn(
    brain: Brain, task: Sequence[Sequence[int]], *strategies: Strategy, steps: int = 20, lr: float = 0.01
) -> list[float]:
    """Practise a task and finish it; the losses."""
    losses = [
        step.loss
        for step in practise(brain, task, strategies, steps=steps, batch_size=4, lr=lr, seed=3, whole=1.0, rates=True)
    ]
    for strategy in strategies:
        strategy.finish(task)
    return losses


def moved(brain: Brain, before: dict[str, Tensor]) -> set[str]:
    return {name for name, now in brain.state_dict().items() if not torch.equal(now, before[name])}


def weights(brain: Brain) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in brain.state_dict().items()}


@pytest.mark.parametrize("name", MODELS)
def test_sparse_moves_only_the_rows_of_chosen_slots(name: str) -> None:
    """All weights learn the first task; then at most 5 rows a step, all of them read, and with dreams beside as well."""
    for others in ([], [Dreams(CPU, 5, ratio=1.0)]):
        brain, sparse = small(name), Sparse(CPU, 5, top=5)
        before = weights(brain)
        learn(brain, FIRST, sparse, *others, steps=30, lr=0.02)
        assert any(".attention." in one for one in moved(brain, before)), "the first task makes the brain"
        before, chosen = weights(brain), torch.zeros(64, dtype=torch.bool)
        for step in practise(brain, SECOND, [sparse, *others], steps=8, batch_size=2, lr=0.01, rates=True):
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


@pytest.mark.parametrize("name", MODELS)
def test_slots_move_only_the_memory_layer(name: str) -> None:
    """All of its five tensors, and nothing else, from the second task on."""
    brain, slots = small(name), Slots(CPU)
    learn(brain, FIRST, slots)
    before = weights(brain)
    losses = learn(brain, SECOND, slots)
    assert losses[-1] < losses[0]
    parts = ("queries", "half_keys", "value_rows", "gate", "out")
    assert moved(brain, before) == {f"blocks.1.slots.{part}" for part in parts}


@pytest.mark.parametrize("kind", [Sparse, Slots])
def test_a_brain_without_memory_is_refused_with_a_remedy(kind: type[Strategy]) -> None:
    """Before anything is learnt."""
    with pytest.raises(ConfigError, match=r"memory_slots must be there for this strategy; got 0\. Try 4096"):
        learn(small("qor", 0), FIRST, kind(CPU))


@pytest.mark.parametrize("name", MODELS)
def test_a_sleep_frees_the_fast_band_and_moves_its_knowledge_into_the_slow(name: str) -> None:
    """Fast MLPs are as before the task, slow ones moved, all else as the task left it, and the student nears its teacher."""
    brain, bands = small(name, 0), Bands(CPU, 5, count=48, steps=40)
    learn(brain, FIRST, bands, steps=50, lr=0.02)
    assert not bands.slept, "after the first task there is no sleep"
    fast, slow = split_speeds(brain)
    before = [p.detach().clone() for p in fast]
    list(practise(brain, SECOND, [bands], steps=30, batch_size=4, lr=0.01, seed=3, whole=1.0, rates=True))
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
    tokens = torch.tensor([[*one, *[257] * (14 - len(one))] for one in FIRST + SECOND])

    def divergence(student: Brain) -> float:
        with torch.no_grad():
            said, meant = (one(tokens)[0].log_softmax(-1) for one in (student, teacher))
        return float(torch.nn.functional.kl_div(said, meant, log_target=True, reduction="batchmean"))

    assert divergence(brain) < 0.8 * divergence(awake)
    assert len(bands.slept) == 40 and bands.slept[-1] < bands.slept[0]


def test_a_plain_transformer_needs_two_blocks_for_two_speeds() -> None:
    """With one there would be nothing to move what was learnt into."""
    with pytest.raises(ConfigError, match="layers must be at least 2"):
        split_speeds(build("baseline", BRAINS["baseline"](width=16, layers=1, heads=2)))
    fast, slow = split_speeds(small("baseline", 0))
    assert len(fast) == len(slow) == 2


@pytest.mark.parametrize("name", MODELS)
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
    openings = (Opening(START, 0.5, 40, never=tuple(encode("o"))),)
    found = [one.tokens for batch in dream(brain, 60, draws, openings=openings) for one in batch]
    assert len(found) == len(set(found)) and len(found) > 20 and not any(ord("o") in one for one in found[:20])
    asked = [(START, *encode("what is"), ANSWER, *encode("it"), END), (START, *encode("who are"), ANSWER, UNKNOWN, END)]
    begins = _begin_again(asked, 20, draws)
    assert len(begins) == 20 and all(begin == [START, *encode("what ")] for begin in begins)
    assert _begin_again(asked[1:], 20, draws) == []


def test_a_small_last_batch_does_not_end_a_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """Practice that ends early looks at all lessons: two that are known by heart say nothing about twenty-four that are not."""
    brain = build("baseline", BRAINS["baseline"](width=32, layers=1))
    lessons = [encode_answer(f"What is number {i}?", str(i)).tolist() for i in range(26)]

    def known_in_small_batches(brain: Brain, chosen: Sequence[Any], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
        loss = torch.stack([weight.sum() for weight in brain.parameters()]).sum() * 0 + (
            0.0 if len(chosen) == 2 else 1.0
        )
        return loss, torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1)

    monkeypatch.setattr("lab.learning.practice._loss", known_in_small_batches)
    strategy = STRATEGIES["naive"](choose_machine(TrainingConfig()), 0)
    steps = list(practise(brain, lessons, [strategy], steps=90, batch_size=24, lr=1e-6, early=True))
    assert len(steps) == 90
