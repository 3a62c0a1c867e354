"""The texts that benchmarks train on: real ones if `WARMUP_LAB_DATA` has them, else made-up ones of equal length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# Tokens of the training examples with the tokenizer of bert_tiny, including [CLS] and [SEP]: minimum, 5 %, ...,
# maximum. Measured on 6,000 sentences of SST-2 and on all of RTE, truncated to 128 tokens as for the model.
LENGTHS = {
    "sst2": (3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 14, 15, 17, 20, 22, 26, 32, 63),
    "rte": (13, 30, 35, 39, 42, 45, 48, 51, 54, 57, 59, 62, 66, 72, 79, 92, 112, 128, 128, 128, 128),
}
_COLUMNS = {"sst2": ("sentence", "label"), "rte": ("index", "sentence1", "sentence2", "label")}
_NUM_TRAIN = {"sst2": 6000, "rte": 2490}
_NUM_VALIDATION = {"sst2": 872, "rte": 277}
_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
_NUM_WORDS = 6000  # enough to fill the vocabulary, so the embedding is as large as with the real texts


def is_real() -> bool:
    """Whether `WARMUP_LAB_DATA` has both tasks."""
    folder = os.environ.get("WARMUP_LAB_DATA")
    return bool(folder) and all((Path(folder).expanduser() / task / "train.tsv").is_file() for task in LENGTHS)


@contextmanager
def texts(out: Path) -> Iterator[str]:
    """Inside the block `task=sst2` and `task=rte` have data. Yields `real` or `made up, ...`.

    Made-up texts have the lengths and the number of classes of the real ones. They are written to `<out>/data`.
    """
    before = os.environ.get("WARMUP_LAB_DATA")
    real = is_real()
    folder = Path(str(before)).expanduser() if real else out / "data"
    for task in () if real else LENGTHS:
        _make_up(task, folder / task)
    os.environ["WARMUP_LAB_DATA"] = str(folder.resolve())  # also read by processes in other folders
    try:
        yield "real" if real else "made up, with the lengths of the real ones"
    finally:
        os.environ.pop("WARMUP_LAB_DATA")
        if before is not None:
            os.environ["WARMUP_LAB_DATA"] = before


def _make_up(task: str, folder: Path) -> None:
    rng = np.random.default_rng(0)
    syllables = rng.permutation([first + second + third for first in _SYLLABLES for second in _SYLLABLES
                                 for third in ("", "n", "s")])  # fmt: skip
    words = syllables[:_NUM_WORDS].tolist()
    folder.mkdir(parents=True, exist_ok=True)
    for name, num in (("train", _NUM_TRAIN[task]), ("validation", _NUM_VALIDATION[task])):
        lines = ["\t".join(_COLUMNS[task])]
        lines += ["\t".join(_example(task, index, words, rng)) for index in range(num)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _example(task: str, index: int, words: list[str], rng: np.random.Generator) -> list[str]:
    """Words of equal frequency. In nine of ten examples the first word is from the half of `words` of the label."""
    label = index % 2
    length = round(float(np.interp(rng.random(), np.linspace(0, 1, 21), LENGTHS[task])))
    special = 2 if task == "sst2" else 3
    side = label if rng.random() < 0.9 else 1 - label
    chosen = [words[2 * int(rng.integers(len(words) // 2)) + side]]
    chosen += [words[i] for i in rng.integers(len(words), size=max(length, special + 2) - special - 1)]
    if task == "sst2":
        return [" ".join(chosen), str(label)]
    cut = max(1, len(chosen) - max(1, len(chosen) // 4))  # the second text is the short one
    return [str(index), " ".join(chosen[:cut]), " ".join(chosen[cut:]), ("entailment", "not_entailment")[label]]
