"""Training: a generator that learns and yields events. Whoever iterates it decides what becomes of them.

Everything that decides the next step lies in the checkpoint, so a run that was killed and resumed ends with the same
weights, bit for bit, as one that was not (same machine and threads; a limit in minutes is measured, so not with it).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from lab.config import RunConfig, TrainingConfig
from lab.events import Event, Finished, Notice, Started, Step
from lab.learning.checkpoint import load_newest
from lab.learning.evaluation import evaluate, sample, token_losses
from lab.learning.machine import choose_machine
from lab.learning.state import RunState
from lab.models.checkpoint import save_brain

MEAN_SPEED = 0.02  # of the running mean loss that a spike is measured against
SPIKE_MARGIN = 0.5  # nats above it, so that a loss near 0 may wobble
MOST_ROLLBACKS = 8


class UnstableError(ValueError):
    """Training kept jumping back; the message says what to change."""


def rate_at(config: TrainingConfig, progress: float) -> float:
    """The learning rate at `progress` (0 to 1) of a run: up, level, then down to 0, all linear."""
    up = min(1.0, progress / config.warmup_share) if config.warmup_share else 1.0
    down = min(1.0, (1.0 - progress) / config.decay_share) if config.decay_share else 1.0
    return config.lr * max(0.0, min(up, down))


def train(
    config: RunConfig, folder: Path, *, resume: bool = False, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Train `config`, keeping checkpoints in `folder`/checkpoints and the brain in `folder`/brain.

    `stop` is asked after every step; once it says True the run saves its state and ends. With `resume` the run goes
    on from its newest whole checkpoint; it needs nothing outside `folder` but its data. Raises ConfigError for data or a
    device that cannot be used, UnstableError when training does not hold, OSError when the disk is full.
    """
    checkpoint, damaged = load_newest(folder / "checkpoints") if resume else (None, [])
    if checkpoint:  # what the machine chose then decides the last bits
        kept = {name: checkpoint.numbers[name] for name in ("precision", "threads")}
        config = replace(config, training=replace(config.training, **kept))
    machine = choose_machine(config.training)
    run = RunState(config, machine, folder)
    if not resume:
        (run.begun / "model.json").unlink(missing_ok=True)
    failed = _compile(run) if config.training.compile else []  # before gathered gradients come, since it drops its own
    if checkpoint:
        run.load(checkpoint)
    else:
        run.restart()
    yield Started(
        run.step, run.brain.count_parameters(), machine.device.type, machine.precision, machine.threads,
        checkpoint.name if checkpoint else None,
    )  # fmt: skip
    yield from (Notice(run.step, sentence) for sentence in (*damaged, *failed))
    yield from _steps(run, stop)
    begin = time.perf_counter()
    finished = run.progress() >= 1
    if finished:
        run.mix()
        yield evaluate(run)
        yield sample(run)
    yield run.save()
    save_brain(folder / "brain", config.model, run.brain)
    run.elapsed_s += time.perf_counter() - begin
    yield Finished(run.step, "finished" if finished else "stopped", run.elapsed_s)


def _steps(run: RunState, stop: Callable[[], bool]) -> Iterator[Event]:
    """Learn until the run is done or `stop` says so, validating, writing samples and saving on the way."""
    options = run.options
    while run.progress() < 1 and not stop():
        event = learn(run)
        if isinstance(event, float):
            if run.rollbacks == MOST_ROLLBACKS:
                raise UnstableError(
                    f"training must be stable; the loss jumped {run.rollbacks + 1} times, last to {event:.2f} nats at step "
                    f"{run.step}. Lower --lr, now {options.lr}."
                )
            yield run.roll_back(event)
            continue
        yield event
        if run.progress() >= 1:
            return
        begin = time.perf_counter()
        if run.step % options.eval_every == 0:
            yield evaluate(run)
        if run.step % options.sample_every == 0:
            yield sample(run)
        if run.step % options.checkpoint_every == 0:
            yield run.save()
        run.elapsed_s += time.perf_counter() - begin


def learn(run: RunState) -> Step | float:
    """Do one step; or, where the loss has jumped or a gradient is not finite, none, and give that loss or gradient's length."""
    begin = time.perf_counter()
    lr = rate_at(run.options, run.progress()) * run.lr_scale
    total, shares, fires, count = 0.0, 0.0, [], 0
    for _ in range(run.options.accumulate):
        losses, weights, state = token_losses(run, run.batches.next())
        mean = losses.mean() if weights is None else (losses * weights).sum() / weights.sum()
        losses = losses if weights is None else losses[weights > 0]
        total += float(mean.detach()) / run.options.accumulate
        shares += run.surprise.measure(losses) / run.options.accumulate
        rate = run.brain.fire_rate(state)
        fires += [] if rate is None else [float(rate)]
        count += losses.numel()
        (mean / run.options.accumulate).backward()
    most = math.inf if run.mean_loss is None else run.options.spike_ratio * run.mean_loss + SPIKE_MARGIN
    if not math.isfinite(total) or total > most:
        return total
    bands, norm = run.optimiser.step(run.step + 1, lr)
    if not math.isfinite(norm):
        return norm
    run.step += 1
    run.tokens += count
    run.mean_loss = total if run.mean_loss is None else run.mean_loss + MEAN_SPEED * (total - run.mean_loss)
    spent_s = time.perf_counter() - begin
    run.elapsed_s += spent_s
    fire_rate = sum(fires) / len(fires) if fires else None
    return Step(run.step, run.tokens, total, shares, lr, count / spent_s, run.elapsed_s, norm, fire_rate, bands)


def _compile(run: RunState) -> list[str]:
    """Compile the brain and try it on one batch; where that fails go on without, and say so."""
    try:
        run.forward = torch.compile(run.brain)
        token_losses(run, run.validation[0])[0].mean().backward()
    except Exception as error:  # any failure of a compiler means the same here
        run.forward = run.brain
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        return [f"torch.compile did not work here ({reason}); training goes on without it."]
    finally:
        run.optimiser.clear()
    return []
