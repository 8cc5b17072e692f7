"""What a trained run can be asked for: its brain, and text that the brain writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from lab.config import ConfigError, DataConfig, RunConfig
from lab.data import encode_document, open_corpus, preview
from lab.learning.checkpoint import load_newest
from lab.models import Brain, Reading, build
from lab.models.checkpoint import load_weights, save_brain
from lab.models.sampling import stream_tokens
from lab.text import LAB, Exchange


def load_trained(config: RunConfig, folder: Path) -> tuple[Brain, int]:
    """Give the brain of the run in `folder` as its newest whole checkpoint has it, on the CPU, and its step.

    Raises ConfigError when there is none.
    """
    checkpoint, damaged = load_newest(folder / "checkpoints")
    if checkpoint is None:
        reason = f" ({damaged[-1]})" if damaged else ""
        raise ConfigError(f"a run must have a checkpoint to write from; {folder.name} has none yet{reason}.")
    brain = build(config.model, config.brain)
    load_weights(brain, checkpoint.part("brain"))
    return brain, int(checkpoint.numbers["step"])


def write(
    brain: Brain, prompt: str, *, ask: bool = False, length: int = 200, temperature: float = 0.8, seed: int = 0
) -> Iterator[str]:
    """Yield the text that follows `prompt`, piece by piece; with `ask` the prompt is a question and the answer ends.

    Pieces are whole characters.
    """
    template = brain.template
    tokens = template.prompt(Exchange(prompt)) if ask else template.begin(prompt)
    draws = torch.Generator().manual_seed(seed)
    held: list[int] = []
    for count, (token,) in enumerate(stream_tokens(brain, [tokens], temperature=temperature, generator=draws)):
        if count == length or token == template.stop:
            break
        held.append(token)
        text = template.tokenizer.decode(held)
        if not text.endswith("�") or len(held) >= 4:
            yield text
            held.clear()
    if held:
        yield template.tokenizer.decode(held)


@torch.no_grad()
def look_inside(brain: Brain, text: str) -> dict[str, Reading]:
    """Give what can be looked at inside a brain after it has read `text`."""
    tokens = torch.tensor([brain.template.begin(text)], device=next(brain.parameters()).device)
    return brain.inspect(brain(tokens)[1])


def export_trained(config: RunConfig, folder: Path, to: Path, *, half: bool = False) -> list[Path]:
    """Write the brain of the run in `folder` to `to`, with `half` in bf16; gives the paths. Raises as `load_trained`."""
    brain, _ = load_trained(config, folder)
    save_brain(to, config.model, brain, half=half)
    return [to / "model.safetensors", to / "model.json"]


def preview_data(config: DataConfig, count: int = 5) -> list[tuple[str, bool]]:
    """Give the first documents that a run of this config would read, and whether each is for validation.

    Marks are drawn: an arrow before an answer, a dot before a note. Raises ConfigError as `open_corpus` does.
    """
    return [
        (LAB.show(encode_document(document, LAB).tolist()), document.validation)
        for document in preview(open_corpus(config), count)
    ]
