"""What a token is and how an exchange is spelt in tokens; all the rest of the lab speaks in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab.text.bytes import Bytes
from lab.text.contract import I_DO_NOT_KNOW, Exchange, Lesson, Opening, Template, Tokenizer, Tokens
from lab.text.marks import Marks

TOKENIZERS: dict[str, Callable[[Path], Tokenizer]] = {"bytes": lambda folder: Bytes()}
TEMPLATES: dict[str, Callable[[Tokenizer], Template]] = {"marks": Marks}
LAB = Marks(Bytes())  # how the lab's own brains are spoken to


def save_template(template: Template, folder: Path) -> dict[str, str]:
    """Write what the tokenizer needs into a brain's folder, and give the names that the brain is to be kept with, so that it is
    whole by itself. Raises OSError."""
    template.tokenizer.save(folder)
    return {"tokenizer": template.tokenizer.name, "template": template.name}


def open_template(names: object, folder: Path) -> Template:
    """Take what `save_template` gave; a brain that was kept without names is one of the lab. Raises ValueError for unknown ones."""
    if names is None:
        return LAB
    for kind, table in (("tokenizer", TOKENIZERS), ("template", TEMPLATES)):
        if not isinstance(names, dict) or names.get(kind) not in tuple(table):
            raise ValueError(f"text must name a {kind} of {', '.join(table)}; that of {folder} does not")
    return TEMPLATES[names["template"]](TOKENIZERS[names["tokenizer"]](folder))  # type: ignore[index]


__all__ = [
    "I_DO_NOT_KNOW", "LAB", "Exchange", "Lesson", "Opening", "Template", "Tokenizer", "Tokens", "open_template", "save_template",
]  # fmt: skip
