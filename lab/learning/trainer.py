"""Training: a generator that learns and yields events. Whoever iterates it decides what becomes of them.

Everything that decides the next step lies in the checkpoint, so a run that was killed and resumed ends with the same
weights, bit for bit, as one that was not (same machine and threads; a limit in minutes is measured, so not with it).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config import ConfigError, RunConfig, TrainingConfig
from lab.data import ANSWER, BYTES, DRAWN, END, START, Cursor, decode, encode, open_source
from lab.events import Checkpointed, Evaluated, Event, Finished, Notice, RolledBack, Sampled, Started, Step
from lab.learning.checkpoint import Checkpoint, load_newest, save_checkpoint
from lab.learning.machine import Machine, choose_machine
from lab.learning.optimiser import MultiRateOptimiser
from lab.learning.surprise import RunningSurprise
from lab.models import Brain, build
from lab.models.checkpoint import load_brain, save_brain
from lab.models.sampling import write_text

MEAN_SPEED = 0.02  # of the running mean loss that a spike is measured against
SPIKE_MARGIN = 0.5  # nats above it, so that a loss near 0 may wobble
MOST_ROLLBACKS = 8
PROMPT_BYTES = 24
PERIODS = ("cms_med_freq", "cms_slow_freq")  # how often weights learn is each run's own choice: it changes no brain
WIDER = "mlp_ratio"  # may grow: what is added to an MLP gives 0 at first, so it changes no answer


class UnstableError(ValueError):
    """Training kept jumping back; the message says what to change."""


def rate_at(config: TrainingConfig, progress: float) -> float:
    """The learning rate at `progress` (0 to 1) of a run: up, level, then down to 0, all linear."""
    up = min(1.0, progress / config.warmup_share) if config.warmup_share else 1.0
    down = min(1.0, (1.0 - progress) / config.decay_share) if config.decay_share else 1.0
    return config.lr * max(0.0, min(up, down))


def first_brain(config: RunConfig) -> Brain:
    """Give the brain that a run begins with: fresh, or as another run left it.

    Only the periods of its bands may be others than they were, and its MLPs wider. Raises ConfigError where `begin_from`
    names no brain, or one of other sizes.
    """
    begin_from = config.training.begin_from
    if not begin_from:
        return build(config.model, config.brain, seed=config.training.seed)
    folder = Path(begin_from).expanduser()
    name, found = load_brain(folder / "brain" if (folder / "brain").is_dir() else folder)
    free = {name: value for name, value in asdict(config.brain).items() if name in (*PERIODS, WIDER)}
    narrower = found.config.mlp_ratio > config.brain.mlp_ratio
    if name != config.model or replace(found.config, **free) != config.brain or narrower:
        raise ConfigError(
            f"begin_from must name a brain of this run's model and sizes, whose {WIDER} may be less; {begin_from} holds "
            f"a {name} with {found.config}. Choose the same settings.", "begin_from",
        )  # fmt: skip
    brain = build(config.model, config.brain, seed=config.training.seed)
    grown = brain.state_dict()
    for name, learnt in found.state_dict().items():
        grown[name][tuple(slice(size) for size in learnt.shape)] = learnt
    return brain


class _Training:
    """The moving parts of one run, and how they go to and come from a checkpoint."""

    def __init__(self, config: RunConfig, machine: Machine) -> None:
        self.config, self.machine = config, machine
        self.options = config.training
        self.source = open_source(config.data)
        self.validation = self.source.validate(self.options.eval_batches)
        self.step = self.tokens = self.rollbacks = 0
        self.elapsed_s = 0.0
        self.lr_scale = 1.0
        self.mean_loss: float | None = None
        self.mixed = False
        self.restart()

    def restart(self) -> None:
        """Begin with the first weights; `lr_scale` and the count of rollbacks stay."""
        options = self.options
        self.brain = first_brain(self.config).to(self.machine.device)
        self.optimiser = MultiRateOptimiser(
            self.brain, weight_decay=options.weight_decay, clip=options.clip, slow_lr_power=options.slow_lr_power
        )
        self.forward: Callable[[Tensor], tuple[Tensor, Any]] = self.brain
        self.batches = self.source.read(options.seed, self.source.later if options.begin_from else None)
        self.surprise = RunningSurprise()
        self.step = self.tokens = 0
        self.mean_loss = None

    def save(self, folder: Path) -> Path:
        tensors = {f"brain.{name}": tensor for name, tensor in self.brain.state_dict().items()}
        tensors |= {f"optimiser.{name}": tensor for name, tensor in self.optimiser.state().items()}
        tensors["random"] = torch.get_rng_state()
        numbers = {
            "tokens": self.tokens, "elapsed_s": self.elapsed_s, "cursor": asdict(self.batches.cursor),
            "surprise": self.surprise.level, "mean_loss": self.mean_loss, "lr_scale": self.lr_scale,
            "rollbacks": self.rollbacks, "mixed": self.mixed, "precision": self.machine.precision, "threads": self.machine.threads,
        }  # fmt: skip
        return save_checkpoint(folder, self.step, tensors, numbers)

    def load(self, checkpoint: Checkpoint) -> None:
        tensors, numbers = checkpoint.tensors, checkpoint.numbers
        parameters = self.brain.state_dict()
        for name, tensor in tensors.items():
            if name.startswith("brain."):
                parameters[name[6:]].copy_(tensor)
        self.optimiser.load_state({n[10:]: t for n, t in tensors.items() if n.startswith("optimiser.")})
        torch.set_rng_state(tensors["random"])
        self.step, self.tokens = numbers["step"], numbers["tokens"]
        self.elapsed_s, self.mean_loss = numbers["elapsed_s"], numbers["mean_loss"]
        self.lr_scale, self.rollbacks = numbers["lr_scale"], numbers["rollbacks"]
        self.mixed = numbers.get("mixed", False)
        self.surprise = RunningSurprise(numbers["surprise"])
        cursor = Cursor(**numbers["cursor"])
        self.batches = self.source.read(self.options.seed, cursor)

    def progress(self) -> float:
        """Share of the run that is done, by steps or by time, whichever is further."""
        limit_s = 60 * self.options.minutes
        return max(self.step / self.options.steps, self.elapsed_s / limit_s if limit_s else 0.0)

    def losses(self, batch: Tensor) -> tuple[Tensor, Tensor | None, Any]:
        """batch (B, T + 1) → the loss of every token (B·T,) in nats, its weight if not 1, and the brain's state."""
        batch = batch.to(self.machine.device)
        with self.machine.autocast():
            logits, state = self.forward(batch[:, :-1])
        losses = F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten(), reduction="none")
        return losses, self.source.weigh(batch).flatten() if self.source.weigh else None, state

    def learn(self) -> Step | float:
        """Do one step; or, where the loss has jumped, none, and give that loss."""
        begin = time.perf_counter()
        lr = rate_at(self.options, self.progress()) * self.lr_scale
        total, shares, fires, count = 0.0, 0.0, [], 0
        for _ in range(self.options.accumulate):
            losses, weights, state = self.losses(self.batches.next())
            mean = losses.mean() if weights is None else (losses * weights).sum() / weights.sum()
            losses = losses if weights is None else losses[weights > 0]
            total += float(mean.detach()) / self.options.accumulate
            shares += self.surprise.measure(losses) / self.options.accumulate
            rate = self.brain.fire_rate(state)
            fires += [] if rate is None else [float(rate)]
            count += losses.numel()
            (mean / self.options.accumulate).backward()
        if self._jumped(total):
            return total
        self.step += 1
        self.tokens += count
        bands, norm = self.optimiser.step(self.step, lr)
        if not math.isfinite(norm):
            return total
        self.mean_loss = total if self.mean_loss is None else self.mean_loss + MEAN_SPEED * (total - self.mean_loss)
        spent_s = time.perf_counter() - begin
        self.elapsed_s += spent_s
        measures = {"fire_rate": sum(fires) / len(fires)} if fires else {}
        return Step(self.step, self.tokens, total, shares, lr, count / spent_s, self.elapsed_s, norm, bands, measures)

    def _jumped(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return True
        return self.mean_loss is not None and loss > self.options.spike_ratio * self.mean_loss + SPIKE_MARGIN

    def roll_back(self, folder: Path, loss: float) -> RolledBack:
        """Return to the last good checkpoint, or to the beginning, with half the rate."""
        came_from, scale, rollbacks = self.step, self.lr_scale / 2, self.rollbacks + 1
        if rollbacks > MOST_ROLLBACKS:
            raise UnstableError(
                f"training must be stable; the loss jumped {rollbacks} times, last to {loss:.2f} nats at step "
                f"{came_from}. Lower --lr, now {self.options.lr}."
            )
        elapsed_s, cursor = self.elapsed_s, self.batches.cursor
        checkpoint, _ = load_newest(folder)
        self.restart()
        if checkpoint:
            self.load(checkpoint)
        self.batches = self.source.read(self.options.seed, cursor)  # not the same data again
        self.lr_scale, self.rollbacks, self.elapsed_s = scale, rollbacks, elapsed_s
        return RolledBack(came_from, self.step, loss, scale)

    @torch.no_grad()
    def mix(self) -> None:
        """Take the mean with the weights that the run began from, once, as `begun_share` says (Wortsman et al. 2022)."""
        if self.options.begun_share and not self.mixed:
            begun = first_brain(self.config).to(self.machine.device).state_dict()
            for name, weight in self.brain.state_dict().items():
                weight.lerp_(begun[name], self.options.begun_share)
            self.mixed = True

    @torch.no_grad()
    def evaluate(self) -> Evaluated:
        """Bits for each byte of the validation text; the marks between documents cost bits too."""
        nats, size_bytes = 0.0, 0
        for batch in self.validation:
            losses, weights, _ = self.losses(batch)
            nats += float(losses.sum() if weights is None else losses[weights > 0].sum())
            size_bytes += int((batch[:, 1:] < BYTES).sum())
        return Evaluated(self.step, "validation", nats / math.log(2) / size_bytes)

    def sample(self) -> Sampled:
        """Let the brain go on from the given prompt, or from the start of a validation document."""
        options = self.options
        prompt = [START, *encode(options.prompt)] if options.prompt else self._validation_prompt()
        asked = prompt[-1] == ANSWER
        draws = torch.Generator().manual_seed(options.seed * 1_000_003 + self.step)
        with self.machine.autocast():
            text = write_text(
                self.brain, prompt, options.sample_bytes, stop=END if asked else None,
                temperature=0.0 if asked else 0.8, generator=draws,
            )  # fmt: skip
        return Sampled(self.step, decode(prompt, DRAWN).strip(), decode(text))

    def _validation_prompt(self) -> list[int]:
        """A question with its mark, or the first bytes, of another validation document each time."""
        turn = self.step // self.options.sample_every * 7919
        if self.source.weigh:  # a row is a whole lesson, or several that share their notes
            rows = [row for batch in self.validation for row in batch if ANSWER in row]
            lesson: list[int] = rows[turn % len(rows)].tolist()
            return lesson[: lesson.index(ANSWER) + 1]
        stream: list[int] = torch.cat([batch[:, :-1].flatten() for batch in self.validation]).tolist()
        starts = [i for i, token in enumerate(stream) if token == START] or [0]
        begin = starts[turn % len(starts)]
        document = stream[begin : begin + 256]
        end = document.index(END) if END in document else len(document)
        if ANSWER in document[:end]:
            return document[: document.index(ANSWER) + 1]
        return document[: min(end, PROMPT_BYTES)]


def train(
    config: RunConfig, folder: Path, *, resume: bool = False, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Train `config`, keeping checkpoints in `folder`/checkpoints and the brain in `folder`/brain.

    `stop` is asked after every step; once it says True the run saves its state and ends. With `resume` the run goes
    on from its newest whole checkpoint. Raises ConfigError for data or a device that cannot be used, UnstableError
    when training does not hold, OSError when the disk is full.
    """
    checkpoints = folder / "checkpoints"
    checkpoint, damaged = load_newest(checkpoints) if resume else (None, [])
    if checkpoint:  # what the machine chose then decides the last bits
        kept = {name: checkpoint.numbers[name] for name in ("precision", "threads")}
        config = replace(config, training=replace(config.training, **kept))
    machine = choose_machine(config.training)
    run = _Training(config, machine)
    if checkpoint:
        run.load(checkpoint)
    yield Started(
        run.step, run.brain.count_parameters(), machine.device.type, machine.precision, machine.threads,
        checkpoint.name if checkpoint else None,
    )  # fmt: skip
    yield from (Notice(run.step, sentence) for sentence in damaged)
    if config.training.compile:
        yield from _try_compile(run)
    yield from _steps(run, checkpoints, stop)
    begin = time.perf_counter()
    finished = run.progress() >= 1
    if finished:
        run.mix()
        yield run.evaluate()
        yield run.sample()
    yield Checkpointed(run.step, run.save(checkpoints).name)
    save_brain(folder / "brain", config.model, run.brain)
    run.elapsed_s += time.perf_counter() - begin
    yield Finished(run.step, "finished" if finished else "stopped", run.elapsed_s)


def _steps(run: _Training, checkpoints: Path, stop: Callable[[], bool]) -> Iterator[Event]:
    """Learn until the run is done or `stop` says so, validating, writing samples and saving on the way."""
    options = run.options
    while run.progress() < 1 and not stop():
        event = run.learn()
        if isinstance(event, float):
            yield run.roll_back(checkpoints, event)
            continue
        yield event
        if run.progress() >= 1:
            return
        begin = time.perf_counter()
        if run.step % options.eval_every == 0:
            yield run.evaluate()
        if run.step % options.sample_every == 0:
            yield run.sample()
        if run.step % options.checkpoint_every == 0:
            yield Checkpointed(run.step, run.save(checkpoints).name)
        run.elapsed_s += time.perf_counter() - begin


def _try_compile(run: _Training) -> Iterator[Notice]:
    """Compile the brain and try it on one batch; where that fails say so and go on without."""
    plain: Brain = run.brain
    try:
        run.forward = torch.compile(plain)
        run.losses(run.validation[0])[0].mean().backward()
    except Exception as error:  # any failure of a compiler means the same here
        run.forward = plain
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        yield Notice(run.step, f"torch.compile did not work here ({reason}); training goes on without it.")
    finally:
        run.optimiser.clear()
