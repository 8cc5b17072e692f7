"""What a brain reads: bytes, documents from facts, files and hub streams, and packed batches with an exact place."""

from lab.data.batches import Batches, Cursor, preview, validation_batches
from lab.data.corpus import Corpus, Document, open_corpus
from lab.data.facts import WORLDS, Fact, Wording, load_facts, load_wordings, render_facts
from lab.data.tokenizer import ANSWER, BYTES, END, START, decode, encode

__all__ = [
    "ANSWER", "BYTES", "END", "START", "WORLDS", "Batches", "Corpus", "Cursor", "Document", "Fact", "Wording", "decode",
    "encode", "load_facts", "load_wordings", "open_corpus", "preview", "render_facts", "validation_batches",
]  # fmt: skip
