"""Training: exact resuming, real periods, recovery from spikes and damage."""

from __future__ import annotations

import ast
import itertools
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lab.config import ConfigError, RunConfig, TrainingConfig, build_config
from lab.config.brains.qor import QORConfig
from lab.data import Batch
from lab.events import Checkpointed, Evaluated, Event, Finished, Notice, RolledBack, Sampled, Started, Step
from lab.learning import (
    Practice,
    Strategy,
    UnstableError,
    choose_machine,
    load_newest,
    load_trained,
    practise,
    rate_at,
    save_checkpoint,
    train,
    write,
)
from lab.learning import practice as practice_module
from lab.learning import trainer as trainer_module
from lab.learning.machine import CHIPS
from lab.learning.optimiser import AdamW, MultiRateOptimiser
from lab.learning.state import RunState
from lab.learning.surprise import RunningSurprise
from lab.models import Brain, build
from lab.models.checkpoint import load_brain
from lab.text import LAB, Exchange
from tests.conftest import tiny


def finished_weights(config: RunConfig, folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_trained(config, folder)[0].state_dict())


def run_until(config: RunConfig, folder: Path, step: int, *, resume: bool = False) -> None:
    """Train and drop everything, without a goodbye, as soon as `step` is done."""
    for event in train(config, folder, resume=resume):
        if isinstance(event, Step) and event.step == step:
            return


@pytest.mark.parametrize("model", ["qor", "baseline"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_killed_and_resumed_run_ends_with_the_same_weights(model: str, precision: str, tmp_path: Path) -> None:
    """Bit for bit, killed twice between checkpoints, with slow bands half-way through their periods."""
    bands = {"cms_med_freq": 3, "cms_slow_freq": 7} if model == "qor" else {}
    config = tiny(model=model, precision=precision, accumulate=2, **bands)
    through = list(train(config, tmp_path / "through"))
    run_until(config, tmp_path / "cut", 14)
    run_until(config, tmp_path / "cut", 27, resume=True)
    rest = list(train(config, tmp_path / "cut", resume=True))
    assert isinstance(rest[0], Started) and rest[0].step == 20
    assert isinstance(through[-1], Finished) and through[-1].status == "finished"
    left, right = (finished_weights(config, tmp_path / name) for name in ("through", "cut"))
    assert all(torch.equal(left[name], right[name]) for name in left)
    losses = {e.step: (e.loss, e.surprise, e.grad_norm) for e in through if isinstance(e, Step)}
    assert all(losses[e.step] == (e.loss, e.surprise, e.grad_norm) for e in rest if isinstance(e, Step))
    assert [e.bpb for e in through if isinstance(e, Evaluated)][-1] == [
        e.bpb for e in rest if isinstance(e, Evaluated)
    ][-1]
    assert [e.text for e in through if isinstance(e, Sampled)][-1] == [e.text for e in rest if isinstance(e, Sampled)][
        -1
    ]


def test_adamw_is_torchs() -> None:
    """Bit for bit; what has no gradient does not move."""
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 2100).view(30, 70)) for _ in range(2))
    still = nn.Parameter(torch.ones(3))
    mine, reference = (
        AdamW([ours, still], 0.1),
        torch.optim.AdamW([theirs], betas=(0.9, 0.95), weight_decay=0.1, fused=True),
    )
    for step in range(20):
        ours.grad = theirs.grad = torch.randn(30, 70)
        for group in reference.param_groups:
            group["lr"] = 0.01 / (step + 1)
        reference.step()
        mine.step(0.01 / (step + 1))
    assert torch.equal(ours, theirs) and torch.equal(still, torch.ones(3))


def test_a_stopped_run_saves_and_goes_on(tmp_path: Path) -> None:
    """Stop is asked after every step; the run ends with a checkpoint of that very step."""
    config, asked = tiny(), iter([False] * 13 + [True] * 100)
    events = list(train(config, tmp_path, stop=lambda: next(asked)))
    assert isinstance(events[-1], Finished) and events[-1].status == "stopped" and events[-1].step == 13
    again = list(train(config, tmp_path, resume=True))
    assert isinstance(again[0], Started) and again[0].step == 13 and getattr(again[-1], "step", None) == 40


def test_slow_bands_do_not_move_between_their_periods(tmp_path: Path) -> None:
    """Weights of the medium band change only at multiples of 4, of the deep band at multiples of 8."""
    brain = build("qor", QORConfig(16, 1, 2, cms_med_freq=4, cms_slow_freq=8))
    optimiser = MultiRateOptimiser(brain, weight_decay=0.1, clip=1.0, slow_lr_power=0.0)
    moved: dict[str, list[int]] = {"fast": [], "medium": [], "deep": []}
    tokens = torch.randint(0, 256, (4, 17), generator=torch.Generator().manual_seed(0))
    for step in range(1, 17):
        before = {band.name: [p.clone() for _, p in band.parameters] for band in brain.bands()}
        loss = F.cross_entropy(brain(tokens[:, :-1])[0].flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        said, _ = optimiser.step(step, 0.01)
        for band in brain.bands():
            changed = any(not torch.equal(a, p) for a, (_, p) in zip(before[band.name], band.parameters, strict=True))
            assert changed == said[band.name]
            moved[band.name] += [step] if changed else []
    assert moved == {"fast": list(range(1, 17)), "medium": [4, 8, 12, 16], "deep": [8, 16]}


def test_a_band_moves_along_the_mean_of_its_gradients() -> None:
    """A period of 4 on four batches equals one AdamW step on the four batches together."""

    class OneBand(nn.Module):
        def __init__(self, period: int) -> None:
            super().__init__()
            self.weight, self.period = nn.Parameter(torch.ones(3, 2)), period

        def bands(self) -> list[Any]:
            from lab.models import Band

            return [Band("only", self.period, tuple(self.named_parameters()))]

    data = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    slow, plain = OneBand(4), OneBand(1)
    optimiser = MultiRateOptimiser(slow, weight_decay=0.1, clip=1e9, slow_lr_power=0.0)  # type: ignore[arg-type]
    for step in range(1, 5):
        (data[step - 1] @ slow.weight).square().mean().backward()
        optimiser.step(step, 0.01)
    adam = torch.optim.AdamW(plain.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    (data.flatten(0, 1) @ plain.weight).square().mean().backward()
    adam.step()
    torch.testing.assert_close(slow.weight, plain.weight)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_band_moves_on_a_gradient_that_is_not_finite(place: int, broken: float) -> None:
    """It is told at the step when it comes, whatever the period of its band, and is not carried into the next step."""
    brain = build("qor", QORConfig(16, 1, 2, cms_med_freq=4, cms_slow_freq=64))
    optimiser = MultiRateOptimiser(brain, weight_decay=0.1, clip=1.0, slow_lr_power=0.0)
    tokens = torch.randint(0, 256, (4, 17), generator=torch.Generator().manual_seed(0))
    norms = []
    for step in range(1, 9):
        F.cross_entropy(brain(tokens[:, :-1])[0].flatten(0, 1), tokens[:, 1:].flatten()).backward()
        if step == 4:
            optimiser.bands[place].gradients()[0][3] = broken
        before = {name: weight.clone() for name, weight in brain.state_dict().items()}
        moved, norm = optimiser.step(step, 0.01)
        assert any(moved.values()) == (step != 4)
        assert step != 4 or all(torch.equal(before[name], weight) for name, weight in brain.state_dict().items())
        norms.append(norm)
    assert [not math.isfinite(norm) for norm in norms] == [step == 4 for step in range(1, 9)]
    assert all(bool(weight.isfinite().all()) for weight in brain.state_dict().values())


def test_the_norm_told_is_that_of_the_worst_band() -> None:
    """Also between a slow band's steps, of the mean of what it gathered so far."""
    brain = build("qor", QORConfig(16, 1, 2, cms_med_freq=4, cms_slow_freq=64))
    optimiser = MultiRateOptimiser(brain, weight_decay=0.0, clip=1.0, slow_lr_power=0.0)
    for step, told in ((1, 12.0), (2, 6.0), (3, 4.0)):
        if step == 1:
            optimiser.bands[2].gradients()[0][0] = -12
        assert optimiser.step(step, 0.0) == ({"fast": True, "medium": False, "deep": False}, told)


def test_a_gradient_that_is_not_finite_in_a_deep_band_never_reaches_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted at step 17 into the band of period 64: told at once, what is saved afterwards is clean, and the run ends well."""
    original, planted = MultiRateOptimiser.step, list[int]()

    def step(self: MultiRateOptimiser, step: int, lr: float) -> tuple[dict[str, bool], float]:
        if step == 17 and not planted:
            assert self.bands[-1].period == 64
            self.bands[-1].gradients()[0][5] = float("nan")
            planted.append(step)
        return original(self, step, lr)

    monkeypatch.setattr(MultiRateOptimiser, "step", step)
    back = []
    for event in train(tiny(), tmp_path):
        if isinstance(event, RolledBack):
            back.append((event.from_step, event.to_step, math.isnan(event.loss)))
        if isinstance(event, Checkpointed):
            found, _ = load_newest(tmp_path / "checkpoints")
            assert found is not None and all(bool(tensor.isfinite().all()) for tensor in found.tensors.values())
    assert back == [(16, 10, True)]
    assert isinstance(event, Finished) and event.step == 40


def break_at(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Spoil the weights when training comes by the first of `steps`, once it has gone back by the second, and so on."""
    original = trainer_module.learn

    def learn(run: RunState) -> Step | float:
        if steps[run.rollbacks : run.rollbacks + 1] == (run.step,):
            with torch.no_grad():
                run.brain.embedding.weight.mul_(-500)
        return original(run)

    monkeypatch.setattr(trainer_module, "learn", learn)


def test_a_jump_of_the_loss_goes_back_to_the_last_checkpoint_with_a_lower_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After step 24 the weights are spoilt once; training says so, returns to step 20 and ends well."""
    break_at(monkeypatch, 24)
    events: list[Event] = list(train(tiny(), tmp_path))
    back = [event for event in events if isinstance(event, RolledBack)]
    assert [(e.from_step, e.to_step, e.lr_scale) for e in back] == [(24, 20, 0.5)]
    after = [e for e in events[events.index(back[0]) :] if isinstance(e, Step)]
    assert after[0].step == 21 and after[-1].step == 40 and after[-1].loss < 5
    first = next(e for e in events if isinstance(e, Step) and e.step == 21)
    assert after[0].loss != first.loss, "the same data must not be met again: it may be what jumped"
    assert after[0].lr == pytest.approx(rate_at(tiny().training, 20 / 40) / 2)


def test_a_jump_before_the_first_checkpoint_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to go back to but the start."""
    break_at(monkeypatch, 5)
    events = list(train(tiny(), tmp_path))
    assert [(e.from_step, e.to_step) for e in events if isinstance(e, RolledBack)] == [(5, 0)]
    assert isinstance(events[-1], Finished) and events[-1].step == 40


def test_the_beginning_that_a_run_returns_to_is_the_one_that_it_had(tmp_path: Path) -> None:
    """Weights, moments, gathered gradients and the place in the data: nothing of what was learnt is left."""
    config = tiny(cms_med_freq=3, cms_slow_freq=7)
    run = RunState(config, choose_machine(config.training), tmp_path)
    seen = []
    for _ in range(2):
        run.restart()
        found = {**run.brain.state_dict(), **run.optimiser.state()}
        seen.append(
            ({name: tensor.clone() for name, tensor in found.items()}, run.batches.cursor, run.step, run.tokens)
        )
        for _ in range(5):
            assert isinstance(trainer_module.learn(run), Step)
    (left, *first), (right, *second) = seen
    assert first == second and all(torch.equal(left[name], right[name]) for name in left)


def test_training_that_keeps_jumping_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule, value, remedy, not an endless loop; each checkpoint is tried twice before the one before it."""
    break_at(monkeypatch, *[24] * 20)
    back = []
    with pytest.raises(
        UnstableError, match=r"training must be stable; the loss jumped 9 times.* Lower --lr, now 0.003"
    ):
        for event in train(tiny(), tmp_path):
            back += [event.to_step] if isinstance(event, RolledBack) else []
    assert back == [20, 20, 10, 20, 20, 10, 20, 20]


@pytest.mark.parametrize(("spoilt", "returns"), [(20, [20, 20, 10]), (10, [10, 10, 0])])
def test_after_two_returns_to_one_checkpoint_the_one_before_is_taken(
    spoilt: int, returns: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint whose weights are spoilt does not end a run: it goes on from the one before it, or from the start."""
    original = trainer_module.learn

    def learn(run: RunState) -> Step | float:
        event = original(run)
        if run.step == spoilt and not run.rollbacks:
            run.brain.embedding.weight.data[:] = float("nan")
        return event

    monkeypatch.setattr(trainer_module, "learn", learn)
    events = list(train(tiny(), tmp_path))
    assert [event.to_step for event in events if isinstance(event, RolledBack)] == returns
    assert isinstance(events[-1], Finished) and events[-1].step == 40
    assert all(bool(weight.isfinite().all()) for weight in finished_weights(tiny(), tmp_path).values())


@pytest.mark.parametrize("cut", [27, 40])
def test_a_run_that_was_killed_between_returns_ends_the_same(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often it came back to which checkpoint decides where it goes next, so it is saved; what was given up is gone."""
    break_at(monkeypatch, 15, 24, 24, 24, 15)
    config = tiny(cms_med_freq=3, cms_slow_freq=7)
    through = list(train(config, tmp_path / "through"))
    assert [e.to_step for e in through if isinstance(e, RolledBack)] == [10, 20, 20, 10, 0]
    steps = (event for event in train(config, tmp_path / "cut") if isinstance(event, Step))
    list(itertools.islice(steps, cut))
    list(train(config, tmp_path / "cut", resume=True))
    left, right = (finished_weights(config, tmp_path / name) for name in ("through", "cut"))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    """The newest is cut short: the run says so and goes on from the previous one; with both cut, from the start."""
    config = tiny()
    run_until(config, tmp_path, 25)
    newest = tmp_path / "checkpoints" / "000000020.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    events = list(train(config, tmp_path, resume=True))
    assert isinstance(events[0], Started) and events[0].step == 10
    assert isinstance(events[1], Notice) and "000000020.safetensors is damaged" in events[1].text
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"")
    run_until(config, tmp_path, 15, resume=True)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000000010.safetensors"]
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"")
    events = list(train(config, tmp_path, resume=True))
    assert (
        isinstance(events[0], Started)
        and events[0].step == 0
        and isinstance(events[-1], Finished)
        and events[-1].status == "finished"
    )


def test_only_two_checkpoints_are_kept(tmp_path: Path) -> None:
    """The newest and the previous good one."""
    list(train(tiny(), tmp_path))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize("model", ["qor", "baseline"])
def test_training_on_facts_teaches_facts(model: str, tmp_path: Path) -> None:
    """150 steps bring the validation below half of the 8 bits of a guess, and events tell all that happened."""
    config = tiny(model=model, width=32, steps=150, lr=0.01, eval_every=50)
    events = list(train(config, tmp_path))
    assert [e.bpb for e in events if isinstance(e, Evaluated)][-1] < 4
    steps = [e for e in events if isinstance(e, Step)]
    assert [e.step for e in steps] == list(range(1, 151)) and steps[-1].tokens == 150 * 4 * 32
    assert all((e.measures.keys() == {"fire_rate"}) == (model == "qor") for e in steps)
    assert {e.step for e in events if isinstance(e, Checkpointed)} == set(range(10, 151, 10))
    brain, step = load_trained(config, tmp_path)
    assert step == 150 and len("".join(write(brain, "The", length=20))) > 0


def test_a_run_begins_where_another_ended(tmp_path: Path) -> None:
    """Its first loss is that of what was learnt, not of fresh weights; another shape is refused in one sentence."""
    before = list(train(tiny(), tmp_path / "before"))
    learnt = [e.bpb for e in before if isinstance(e, Evaluated)][-1]
    config = tiny(begin_from=str(tmp_path / "before"), steps=1, lr=1e-7)
    again = [e.bpb for e in train(config, tmp_path / "again") if isinstance(e, Evaluated)][-1]
    assert again == pytest.approx(learnt, abs=0.01)
    other = tiny(begin_from=str(tmp_path / "before"), steps=1, lr=1e-7, cms_med_freq=2)  # only learns more often
    assert [e.bpb for e in train(other, tmp_path / "often") if isinstance(e, Evaluated)][-1] == pytest.approx(again)
    wider = tiny(begin_from=str(tmp_path / "before"), steps=1, lr=1e-7, mlp_ratio=5.0)  # what is added says nothing yet
    assert [e.bpb for e in train(wider, tmp_path / "wider") if isinstance(e, Evaluated)][-1] == pytest.approx(again)
    for other in (tiny(begin_from=str(tmp_path / "before"), **sizes) for sizes in ({"width": 64}, {"mlp_ratio": 1.0})):
        with pytest.raises(ConfigError, match="begin_from must name a brain of this run's model"):
            list(train(other, tmp_path / "other"))
    with pytest.raises(ConfigError, match=r"model\.json"):
        list(train(tiny(begin_from=str(tmp_path / "none")), tmp_path / "lost"))


def test_a_run_ends_between_what_it_began_from_and_what_it_learnt(tmp_path: Path) -> None:
    """By `begun_share`, once: to resume it changes nothing more. Without a brain to begin from that is refused."""
    list(train(tiny(), tmp_path / "before"))
    begun = str(tmp_path / "before")
    for name, share in (("plain", 0.0), ("mixed", 0.25)):
        list(train(tiny(begin_from=begun, begun_share=share), tmp_path / name))
    list(train(tiny(begin_from=begun, begun_share=0.25), tmp_path / "mixed", resume=True))
    before, plain, mixed = (
        load_trained(tiny(), tmp_path / name)[0].state_dict() for name in ("before", "plain", "mixed")
    )
    assert all(torch.allclose(mixed[name], 0.25 * before[name] + 0.75 * plain[name], atol=1e-6) for name in mixed)
    assert any((before[name] - plain[name]).abs().max() > 1e-4 for name in mixed)
    with pytest.raises(ConfigError, match="begun_share must be 0"):
        tiny(begun_share=0.25)


@pytest.mark.parametrize(("cut", "changed"), [(3, True), (14, False)])
def test_a_resumed_run_does_not_need_the_folder_that_it_began_from(
    cut: int, changed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone or learnt on, the same weights, bit for bit: after a return to the beginning, and with the mean at the end."""
    before = tmp_path / "before"
    list(train(tiny(), before))
    config = tiny(begin_from=str(before), begun_share=0.25, cms_med_freq=3, cms_slow_freq=7)
    break_at(monkeypatch, 16, 16, 16)
    through = list(train(config, tmp_path / "through"))
    assert [event.to_step for event in through if isinstance(event, RolledBack)] == [10, 10, 0]
    run_until(config, tmp_path / "cut", cut)
    shutil.rmtree(before)
    if changed:
        list(train(tiny(seed=3), before))
    list(train(config, tmp_path / "cut", resume=True))
    left, right = (finished_weights(config, tmp_path / name) for name in ("through", "cut"))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_run_that_begins_anew_takes_the_brain_as_it_is_now(tmp_path: Path) -> None:
    """What an earlier run in the same folder began from is not kept for it."""
    for seed in (1, 2):
        list(train(tiny(seed=seed), tmp_path / "before"))
        list(train(tiny(begin_from=str(tmp_path / "before"), steps=1), tmp_path / "again"))
    left, right = load_brain(tmp_path / "before" / "brain")[1], load_brain(tmp_path / "again" / "begun")[1]
    assert all(torch.equal(weight, right.state_dict()[name]) for name, weight in left.state_dict().items())


def test_a_limit_in_minutes_ends_the_run(tmp_path: Path) -> None:
    """Well before its steps do, and with its rate brought down."""
    events = list(train(tiny(steps=10**6, minutes=0.02), tmp_path))
    last = [e for e in events if isinstance(e, Step)][-1]
    assert isinstance(events[-1], Finished) and events[-1].status == "finished" and last.step < 10**5
    assert last.lr < 0.003 * 0.2


def test_the_rate_rises_stays_and_falls() -> None:
    """Linear up over the warm-up, level, linear down to 0 over the decay."""
    config = TrainingConfig(lr=1.0, warmup_share=0.1, decay_share=0.5)
    rates = [rate_at(config, progress) for progress in (0, 0.05, 0.1, 0.3, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0, 0.5, 1, 1, 1, 0.5, 0])


def test_surprise_is_a_quarter_when_nothing_is_new_and_rises_when_something_is() -> None:
    """A shift of the losses by 1 nat is all surprise; then it becomes normal."""
    surprise, draws = RunningSurprise(), torch.Generator().manual_seed(0)
    usual = [surprise.measure(torch.rand(2000, generator=draws)) for _ in range(30)]
    assert usual[-1] == pytest.approx(0.25, abs=0.03)
    assert surprise.measure(1 + torch.rand(2000, generator=draws)) == 1.0
    later = [surprise.measure(1 + torch.rand(2000, generator=draws)) for _ in range(100)]
    assert later[-1] == pytest.approx(0.25, abs=0.05)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With what there is."""
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(ConfigError, match=f"got {missing}, there is"):
        next(iter(train(tiny(device=missing), tmp_path)))


def test_compiling_falls_back_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler the run says so and trains all the same, with the same weights as without the option."""

    def no_compiler(brain: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    events = list(train(tiny(compile=True), tmp_path / "a"))
    assert any(isinstance(e, Notice) and "no C++ compiler" in e.text for e in events)
    list(train(tiny(), tmp_path / "b"))
    left, right = finished_weights(tiny(), tmp_path / "a"), finished_weights(tiny(), tmp_path / "b")
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("step", [5, 24])
def test_a_compiled_run_stays_compiled_after_a_return(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a checkpoint or to the beginning: every loss is still that of the compiled brain, which is compiled once."""
    compiled, met = [], []

    def compile(brain: Brain) -> Callable[[torch.Tensor], Any]:
        compiled.append(brain)
        return lambda tokens: met.append(step) or brain(tokens)

    monkeypatch.setattr(torch, "compile", compile)
    break_at(monkeypatch, step)
    before = 0
    for event in train(tiny(compile=True, eval_every=100), tmp_path):
        if isinstance(event, Step | RolledBack):
            assert len(met) > before, "a step without the compiled brain"
            before = len(met)
    assert len(compiled) == 1


def test_a_resumed_run_that_is_compiled_keeps_what_its_slow_bands_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying the compiler leaves no trace, so it ends with the same weights as one that was not interrupted."""
    monkeypatch.setattr(torch, "compile", lambda brain: lambda tokens: brain(tokens))
    config = tiny(compile=True, cms_med_freq=3, cms_slow_freq=7)
    list(train(config, tmp_path / "through"))
    run_until(config, tmp_path / "cut", 24)
    list(train(config, tmp_path / "cut", resume=True))
    left, right = (finished_weights(config, tmp_path / name) for name in ("through", "cut"))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_the_random_state_of_the_device_is_in_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the CPU's; a resumed run goes on from where both stood. A chip is played by a generator of its own."""

    class Chip:
        draws = torch.Generator().manual_seed(1)

        def get_rng_state(self) -> torch.Tensor:
            return self.draws.get_state()

        def set_rng_state(self, state: torch.Tensor) -> None:
            self.draws.set_state(state)

    original, drawn = trainer_module.learn, dict[int, tuple[float, float]]()

    def learn(run: RunState) -> Step | float:
        drawn[run.step] = float(torch.rand(())), float(torch.rand((), generator=Chip.draws))
        return original(run)

    monkeypatch.setattr(trainer_module, "learn", learn)
    monkeypatch.setitem(CHIPS, "cpu", Chip())
    run_until(tiny(), tmp_path, 14)
    kept = drawn.pop(10)
    for generator in (torch.default_generator, Chip.draws):
        generator.manual_seed(99)
    run_until(tiny(), tmp_path, 12, resume=True)
    assert drawn[10] == kept
    assert CHIPS["cuda"] is torch.cuda


@pytest.mark.parametrize("rates", [False, True])
def test_practice_does_not_move_on_a_gradient_that_is_not_finite(rates: bool) -> None:
    """A night or a task of the arena leaves the brain as it was at that step, and goes on at the next."""

    class Broken(Strategy):
        def penalty(self, batch: Batch, logits: torch.Tensor) -> torch.Tensor:
            steps.append(len(steps) + 1)
            return logits.sum() * (float("nan") if len(steps) == 2 else 0.0)

    steps: list[int] = []
    brain = build("qor", QORConfig(16, 1, 2, cms_med_freq=2, cms_slow_freq=3))
    lessons = [LAB.lesson(Exchange("sun", "day"))] * 4
    weights = [torch.cat([p.detach().flatten() for p in brain.parameters()])]
    broken = Broken(choose_machine(TrainingConfig(precision="fp32")))
    for _ in practise(brain, lessons, [broken], Practice(3, 4, 0.01, rates=rates)):
        weights.append(torch.cat([p.detach().flatten() for p in brain.parameters()]))
    assert [torch.equal(a, b) for a, b in itertools.pairwise(weights)] == [False, True, False]
    assert bool(weights[-1].isfinite().all())


def test_one_loss_that_is_no_number_keeps_no_practice_from_ending_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all is known by heart is judged without the step that was not taken."""
    taken, plain = [], practice_module._loss
    for odd_at in (0, 2):
        steps = itertools.count(1)

        def odd(*args: Any, odd_at: int = odd_at, steps: Iterator[int] = steps) -> Any:
            loss, *rest = plain(*args)
            return loss * (float("nan") if next(steps) == odd_at else 1.0), *rest

        monkeypatch.setattr(practice_module, "_loss", odd)
        brain, how = build("qor", QORConfig(32, 1, 2)), Practice(300, 4, 0.02, early=True)
        lessons, plainly = [LAB.lesson(Exchange("sun", "day"))] * 4, Strategy(choose_machine(TrainingConfig()))
        taken.append(len(list(practise(brain, lessons, [plainly], how))))
    assert taken[0] == taken[1] < 300


def test_nothing_of_the_lab_needs_what_only_one_kind_of_system_has() -> None:
    """No module imports at its top what Windows lacks."""
    lacking = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
    for path in sorted(Path(trainer_module.__file__).parents[1].rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not lacking & set(names), path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"steps": -5}, "steps must be at least 1; got -5"),
        ({"lr": float("nan")}, "lr must be a number"),
        ({"batch_size": "x"}, "batch_size must be a whole number"),
        ({"warmup_share": 0.8, "decay_share": 0.8}, "must not sum to more than 1"),
        ({"model": "baseline", "cms_med_freq": 4}, "cms_med_freq belongs to qor; got model baseline"),
        ({"colour": 1}, "options must be known; got 'colour'"),
        ({"precision": "int4"}, "precision must be one of auto, bf16, fp32"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    """Rule, value, remedy; and the error names the field."""
    with pytest.raises(ConfigError, match=message) as caught:
        build_config(options)
    assert caught.value.field in options


@pytest.mark.parametrize("model", ["qor", "baseline"])
def test_a_run_of_before_linear_maps_were_modules_goes_on(model: str, tmp_path: Path) -> None:
    """Its weights are taken up by their old names; its moments, which lay in another order, begin anew."""
    config = tiny(model=model)
    run_until(config, tmp_path, 20)
    found, _ = load_newest(tmp_path / "checkpoints")
    assert found is not None
    linear = {
        name for name, module in build(model, config.brain).named_modules() if isinstance(module, torch.nn.Linear)
    }
    old = {}
    for name, tensor in found.tensors.items():
        module = name.removeprefix("brain.").removesuffix(".weight")
        if name.startswith("brain.") and module in linear:
            name = f"brain.{module.removesuffix('.linear')}{'.weight' if module.endswith('.linear') else ''}"
        old[name] = tensor
    assert old.keys() != found.tensors.keys()
    save_checkpoint(tmp_path / "checkpoints", found.numbers["step"], old, found.numbers)
    state = RunState(config, choose_machine(config.training), tmp_path)
    state.load(replace(found, tensors=old))
    for name, weight in state.brain.state_dict().items():
        assert torch.equal(weight, found.tensors[f"brain.{name}"])
    assert not any(bool(tensor.any()) for name, tensor in state.optimiser.state().items() if "exp_avg" in name)
    *_, last = train(config, tmp_path, resume=True)
    assert isinstance(last, Finished) and last.status == "finished"
