"""Small tasks and corpora for tests, in files and in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from warmup_lab.config import FilesTask, RandomModel, SyntheticTask
from warmup_lab.tasks import Corpus, Examples
from warmup_lab.tasks.sources import Split

SYNTHETIC = SyntheticTask("synthetic")
SMALL = SyntheticTask("synthetic", num_train=200, num_validation=50, max_length=64)
BERT = RandomModel("bert", vocab_size=300)
ROWS = [("a fine film", "good"), ("a dull film", "bad"), ("what a meal", "good"), ("no more", "bad")]
TEXTS = [
    ("The café was NOT dull , unaffable?",),
    ("supercalifragilistic " * 30,),
    ("",),
    ("映画 x\u0301 [MASK] #hash",),
    ("the the the dull dull meal",),
]
"""Texts with accents, long words, no words, other scripts, combining characters and special tokens."""


def write(path: Path, text: str) -> Path:
    """Writes a file as it stands, with the line ends of `text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def tsv(path: Path, rows: list[tuple[str, ...]] = ROWS, header: str = "text\tlabel") -> Path:
    return write(path, "\n".join([header, *("\t".join(row) for row in rows)]) + "\n")


def files_task(train: Path, validation: Path | None = None, **more: Any) -> FilesTask:
    return FilesTask("files", train_file=str(train), validation_file=str(validation) if validation else None, **more)


def corpus_of(*texts: tuple[str, ...], num_validation: int = 1) -> Corpus:
    """A corpus with alternating labels, whose first examples are also its validation examples."""
    labels = np.arange(len(texts)) % 2
    rows = list(texts)
    return Corpus(Split(rows, labels), Split(rows[:num_validation], labels[:num_validation]), ("no", "yes"))


def same_examples(one: Examples, other: Examples) -> bool:
    names = ("token_ids", "type_ids", "offsets", "labels")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
