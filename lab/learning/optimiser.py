"""The multi-rate optimiser: AdamW for which every band of weights has a clock of its own.

A band of period P gathers the gradients of P steps, then moves once along their mean, and does not move in between
(Nested Learning, Behrouz et al. 2025). Each band's weights lie in one flat tensor, and so do its gradients, so a step
is a few large operations, and gathering is simply not clearing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lab.models import Band, Brain


class _Shelf:
    """Parameters of one band that share a weight decay, laid end to end; the model's tensors become views of it."""

    def __init__(self, parameters: list[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.weights = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
        self.weights.grad = self.gradient = torch.zeros_like(self.weights)
        begin = 0
        for parameter in parameters:
            span = slice(begin, begin + parameter.numel())
            parameter.data = self.weights.data[span].view_as(parameter)
            parameter.grad = self.gradient[span].view_as(parameter)
            begin = span.stop


class AdamW:
    """AdamW (Loshchilov and Hutter 2019) by torch's fused kernel. torch.optim would load torch's compiler, which every run, night
    and contestant would wait a second for."""

    def __init__(self, weights: Sequence[Tensor], decay: float = 0.0) -> None:
        self.weights, self.decay = list(weights), decay
        self.state = [
            {"exp_avg": torch.zeros_like(w), "exp_avg_sq": torch.zeros_like(w), "step": torch.zeros((), device=w.device)}
            for w in self.weights
        ]  # fmt: skip

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move every tensor that has a gradient."""
        due = [(w, w.grad, state) for w, state in zip(self.weights, self.state, strict=True) if w.grad is not None]
        if not due:
            return
        weights, gradients, states = zip(*due, strict=True)
        first, second, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            weights, gradients, first, second, [], steps, lr=lr, beta1=0.9, beta2=0.95, weight_decay=self.decay, eps=1e-8,
            amsgrad=False, maximize=False,
        )  # fmt: skip


class BandOptimiser:
    """AdamW over one band. `gathered` counts the steps whose gradients wait."""

    def __init__(self, band: Band, *, weight_decay: float, lr_scale: float) -> None:
        self.name, self.period, self.lr_scale = band.name, band.period, lr_scale
        self.gathered = 0
        kinds: dict[str, list[nn.Parameter]] = {"matrices": [], "rest": []}
        for _, parameter in band.parameters:
            kinds["matrices" if parameter.ndim > 1 else "rest"].append(parameter)
        decays = {"matrices": weight_decay, "rest": 0.0}
        self.shelves = {kind: _Shelf(found, decays[kind]) for kind, found in kinds.items() if found}
        self.adam = {kind: AdamW([shelf.weights], shelf.decay) for kind, shelf in self.shelves.items()}

    def gradients(self) -> list[Tensor]:
        return [shelf.gradient for shelf in self.shelves.values()]

    def gather(self, due: bool) -> Tensor:
        """Take in a step's gradients and give the length of their mean so far; what is `due` becomes that mean."""
        self.gathered += 1
        gradients, count = self.gradients(), float(self.gathered)
        if due:
            torch._foreach_div_(gradients, count)
        length: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        return length if due else length / count

    def move(self, lr: float, clip: float, length: float) -> None:
        """Move along the mean of the gathered gradients, which is `length` long, by at most `clip` of it, and clear them."""
        if length > clip:
            torch._foreach_mul_(self.gradients(), clip / length)
        for adam in self.adam.values():
            adam.step(lr * self.lr_scale)
        self.clear()

    def clear(self) -> None:
        """Forget the gathered gradients."""
        torch._foreach_zero_(self.gradients())
        self.gathered = 0


class MultiRateOptimiser:
    """All bands of a brain, each with its period. The brain's weights are laid out anew; keep using the brain."""

    def __init__(self, brain: Brain, *, weight_decay: float, clip: float, slow_lr_power: float) -> None:
        self.clip = clip
        self.bands = [
            BandOptimiser(band, weight_decay=weight_decay, lr_scale=band.period**slow_lr_power)
            for band in brain.bands()
        ]

    def step(self, step: int, lr: float) -> tuple[dict[str, bool], float]:
        """Take in the gradients of optimiser step `step` (from 1): give which bands moved, and the greatest of all bands' norms;
        where that is not finite none moves, and all gathered gradients are forgotten."""
        moved = {band.name: step % band.period == 0 for band in self.bands}
        lengths = torch.stack([band.gather(moved[band.name]) for band in self.bands])
        greatest = float(lengths.max())  # NaN if one is
        if not math.isfinite(greatest):
            self.clear()
            return dict.fromkeys(moved, False), greatest
        for band, length in zip(self.bands, lengths.tolist(), strict=True):
            if moved[band.name]:
                band.move(lr, self.clip, length)
        return moved, greatest

    def clear(self) -> None:
        """Forget all gathered gradients."""
        for band in self.bands:
            band.clear()

    def state(self) -> dict[str, Tensor]:
        """Give everything but the weights, by name, for a checkpoint: moments, clocks and gathered gradients."""
        found: dict[str, Tensor] = {}
        for band in self.bands:
            found[f"{band.name}.gathered"] = torch.tensor(band.gathered)
            for kind, shelf in band.shelves.items():
                found[f"{band.name}.{kind}.gradient"] = shelf.gradient
                for key, value in band.adam[kind].state[0].items():
                    found[f"{band.name}.{kind}.{key}"] = value
        return found

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        for band in self.bands:
            band.gathered = int(state[f"{band.name}.gathered"])
            for kind, shelf in band.shelves.items():
                prefix = f"{band.name}.{kind}."
                shelf.gradient.copy_(state[prefix + "gradient"])
                for key, value in band.adam[kind].state[0].items():
                    value.copy_(state.get(prefix + key, torch.zeros(())))
