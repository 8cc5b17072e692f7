"""How fast brains learn and write here, beside a reference that everybody has.

All contestants run interleaved in one process and the medians are compared, so that what else the machine does hits
them alike. The reference is a plain `torch.nn.TransformerEncoder` language model in fp32 with AdamW as it comes, of
the same width, layers and total parameters as the brain it is compared with.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config import CONTROL, DEFAULT, FAMILIES, BrainConfig, RunConfig, TrainingConfig, build_config
from lab.events import Evaluated
from lab.learning.machine import choose_machine
from lab.learning.optimiser import MultiRateOptimiser
from lab.learning.trainer import train
from lab.models import Brain, build, count_parameters
from lab.text import LAB

ROUNDS = 40
B, T = 8, 128


class Reference(nn.Module):
    """Embedding, learnt positions, `nn.TransformerEncoder` with a causal mask, tied output."""

    def __init__(self, width: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(LAB.tokenizer.size, width), nn.Embedding(T, width)
        layer = nn.TransformerEncoderLayer(width, heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(T))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        return F.linear(self.encoder(x, mask=self.mask, is_causal=True), self.tokens.weight)


def reference_like(brain: Brain) -> Reference:
    """A reference with as many parameters as `brain`, as near as its hidden width allows."""
    config = brain.config
    references = (Reference(config.width, config.layers, config.heads, hidden) for hidden in (1, 2))
    sizes = [sum(p.numel() for p in reference.parameters()) for reference in references]
    hidden = 1 + round((brain.count_parameters() - sizes[0]) / (sizes[1] - sizes[0]))
    return Reference(config.width, config.layers, config.heads, hidden)


def interleave(contestants: dict[str, Callable[[], Any]], rounds: int, warmup: int = 5) -> dict[str, float]:
    """Run all in turn, `rounds` times after `warmup`, and give each one's median seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(warmup + rounds):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _reference_step(model: Reference, batch: Tensor, *, fused: bool) -> Callable[[], None]:
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)

    def step() -> None:
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()

    return step


def _brain_step(brain: Brain, batch: Tensor, options: TrainingConfig) -> Callable[[], None]:
    """One step as the trainer does it."""
    machine = choose_machine(options)
    optimiser = MultiRateOptimiser(brain, weight_decay=options.weight_decay, clip=options.clip, slow_lr_power=0.0)
    count = itertools.count(1)

    def step() -> None:
        with machine.autocast():
            logits, _ = brain(batch[:, :-1])
        F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten(), reduction="none").mean().backward()
        optimiser.step(next(count), options.lr)

    return step


def bench_train(rounds: int = ROUNDS) -> dict[str, Any]:
    """Tokens per second of a training step, tiny preset, and the ratio to the reference of equal parameters."""
    options = TrainingConfig()
    batch = torch.randint(0, 256, (B, T + 1), generator=torch.Generator().manual_seed(0))
    contestants: dict[str, Callable[[], Any]] = {}
    for name in FAMILIES:
        brain = build(name)
        contestants[f"reference like {name}"] = _reference_step(reference_like(brain), batch, fused=False)
        contestants[f"fused reference like {name}"] = _reference_step(reference_like(brain), batch, fused=True)
        contestants[name] = _brain_step(brain, batch, options)
    seconds = interleave(contestants, rounds)
    rows = [
        {
            "model": name, "parameters": count_parameters(name, build(name).config),
            "tokens_s": B * T / seconds[name], "reference_tokens_s": B * T / seconds[f"reference like {name}"],
            "ratio": seconds[f"reference like {name}"] / seconds[name],
            "ratio_to_fused_adamw": seconds[f"fused reference like {name}"] / seconds[name],
        }
        for name in FAMILIES
    ]  # fmt: skip
    machine = choose_machine(options)
    about = {"batch": B, "length": T, "rounds": rounds, "precision": machine.precision, "threads": machine.threads}
    return {"bench": "train", **about, "rows": rows}


def _decode_step(brain: Brain, state: Any, batch: int) -> Callable[[], None]:
    """One greedy token for each of `batch` rows, from `state` on; the state moves on with every call."""
    carried = [torch.zeros(batch, 1, dtype=torch.int64), state]

    @torch.no_grad()
    def step() -> None:
        logits, carried[1] = brain(carried[0], carried[1])
        carried[0] = logits[:, -1:].argmax(-1)

    return step


@torch.no_grad()
def bench_generate(rounds: int = 20) -> dict[str, Any]:
    """Greedy decoding with the state carried: tokens per second, and what token 1,000 costs against token 10."""
    rows = []
    for name in FAMILIES:
        brain = build(name)
        for batch in (1, 32):
            states = {str(place): brain(torch.randint(0, 256, (batch, place)))[1] for place in (10, 1000)}
            steps = {place: _decode_step(brain, state, batch) for place, state in states.items()}
            seconds = interleave(steps, rounds)
            rows.append({
                "model": name, "batch": batch, "tokens_s": batch / seconds["10"],
                "token_10_ms": 1e3 * seconds["10"], "token_1000_ms": 1e3 * seconds["1000"],
                "cost_1000_over_10": seconds["1000"] / seconds["10"],
            })  # fmt: skip
    return {"bench": "generate", "rounds": rounds, "rows": rows}


def matched_control(run: RunConfig, **options: Any) -> BrainConfig:
    """The control of the same width and layers with as many parameters as the brain of `run`, by its MLP."""
    brain = run.brain
    plain = FAMILIES[CONTROL].config(brain.width, brain.layers, brain.heads, **options)
    missing = count_parameters(run.model, brain) - count_parameters(CONTROL, plain)
    per_hidden = 2 * plain.width * plain.layers
    return replace(plain, mlp_ratio=plain.mlp_ratio + round(missing / per_hidden) / plain.width)


def bench_learn(data: str, minutes: float, seeds: int) -> dict[str, Any]:
    """Validation after equal wall time at equal parameters: the default brain, the control, and the control as it competes."""
    options: dict[str, Any] = {"data": data, "minutes": minutes, "steps": 10**6, "eval_every": 10**6,
                               "sample_every": 10**6, "checkpoint_every": 10**6, "eval_batches": 64}  # fmt: skip
    rows = []
    for seed in range(1, seeds + 1):  # settings were tuned with seed 0
        run = build_config({"model": DEFAULT, **options, "seed": seed})
        plain = build_config({"model": CONTROL, **options, "seed": seed})
        contestants = {
            DEFAULT: run,
            CONTROL: replace(plain, brain=matched_control(run)),
            f"{CONTROL} + convolution": replace(plain, brain=matched_control(run, **FAMILIES[CONTROL].competes)),
        }
        for name, config in contestants.items():
            with tempfile.TemporaryDirectory() as folder:
                *_, last = (event for event in train(config, Path(folder)) if isinstance(event, Evaluated))
            size = count_parameters(config.model, config.brain)
            rows.append({"brain": name, "seed": seed, "parameters": size, "steps": last.step, "bpb": last.bpb})
    return {"bench": "learn", "data": Path(data).name, "minutes": minutes, "rows": rows}
