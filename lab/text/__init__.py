"""What a token is and how an exchange is spelt in tokens; all the rest of the lab speaks in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lab.text.bytes import Bytes
from lab.text.contract import I_DO_NOT_KNOW, Exchange, Lesson, Opening, Template, Tokenizer, Tokens
from lab.text.marks import Marks

TOKENIZERS: dict[str, Callable[[Path], Tokenizer]] = {"bytes": lambda folder: Bytes()}
TEMPLATES: dict[str, Callable[[Tokenizer], Template]] = {"marks": Marks}
LAB = Marks(Bytes())  # how the lab's own brains are spoken to
FILE = "text.json"  # beside a brain's weights


def save_template(template: Template, folder: Path) -> None:
    """Write a template and its tokenizer into a brain's folder, so that it is whole by itself. Raises OSError."""
    template.tokenizer.save(folder)
    about = {"tokenizer": template.tokenizer.name, "template": template.name}
    (folder / FILE).write_text(json.dumps(about), encoding="utf-8")


def open_template(folder: Path) -> Template:
    """Read what `save_template` wrote; a folder without it holds a brain of the lab. Raises ValueError for an unknown one."""
    if not (folder / FILE).is_file():
        return LAB
    about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    for kind, table in (("tokenizer", TOKENIZERS), ("template", TEMPLATES)):
        if not isinstance(about, dict) or about.get(kind) not in table:
            raise ValueError(f"{FILE} must name a {kind} of {', '.join(table)}; that of {folder} does not")
    return TEMPLATES[about["template"]](TOKENIZERS[about["tokenizer"]](folder))


__all__ = [
    "I_DO_NOT_KNOW", "LAB", "Exchange", "Lesson", "Opening", "Template", "Tokenizer", "Tokens", "open_template", "save_template",
]  # fmt: skip
