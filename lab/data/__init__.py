"""What a brain reads: bytes, documents from facts, files and hub streams, and packed batches with an exact place."""

from lab.data.batches import Batches, Cursor, preview, validation_batches
from lab.data.corpus import Corpus, Document, open_corpus
from lab.data.facts import WORLDS, Fact, Wording, load_facts, load_wordings, render_facts
from lab.data.source import Source, open_source
from lab.data.tokenizer import ANSWER, BYTES, DRAWN, END, START, decode, encode

__all__ = [
    "ANSWER", "BYTES", "DRAWN", "END", "START", "WORLDS", "Batches", "Corpus", "Cursor", "Document", "Fact", "Source", "Wording", "decode",
    "encode", "load_facts", "load_wordings", "open_corpus", "open_source", "preview", "render_facts", "validation_batches",
]  # fmt: skip
