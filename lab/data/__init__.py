"""What a brain reads: documents from facts, files and hub streams, lessons, and batches with an exact place."""

from lab.data.batches import Batch, Batches, Cursor, encode_document, pad, pad_lessons, preview, validation_batches
from lab.data.corpus import Corpus, Document, open_corpus
from lab.data.facts import WORLDS, Fact, Wording, load_facts, load_wordings, render_facts
from lab.data.source import Source, open_source

__all__ = [
    "WORLDS", "Batch", "Batches", "Corpus", "Cursor", "Document", "Fact", "Source", "Wording", "encode_document", "load_facts",
    "load_wordings", "open_corpus", "open_source", "pad", "pad_lessons", "preview", "render_facts", "validation_batches",
]  # fmt: skip
