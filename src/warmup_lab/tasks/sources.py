"""Reads the texts and labels of a task: synthetic sentences, the user's files, or a data set of the hub.

`TASKS` is the registry of the three. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup_lab.config import ConfigError, FilesTask, HubTask, SyntheticTask, TaskConfig, lookup, require
from warmup_lab.system import label_noise_rng, limit_rng, sentences_rng, validation_split_rng
from warmup_lab.tasks import synthetic
from warmup_lab.tasks.hub import read_splits
from warmup_lab.tasks.pretrained_files import FileStates, file_states
from warmup_lab.tasks.table_files import Labelled, label_name, labelled, read_table, sorted_names, text_columns

logger = logging.getLogger(__name__)

_MISSING = ("nan", "null", "n/a", "<na>")
"""Labels that other programs write where there is none."""
_FEWEST_TO_JUDGE = 20
"""In fewer examples than this, every label may be different."""


@dataclass(frozen=True, eq=False)
class Split:
    """Texts and labels of the training or of the validation examples."""

    texts: list[tuple[str, ...]]
    """One text, or a pair of texts, for each example."""
    labels: NDArray[np.int64]
    """`(num_examples,)`: index of each label in the corpus's `label_names`."""

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class Corpus:
    """The texts and labels of a task."""

    train: Split
    validation: Split
    label_names: tuple[str, ...]
    num_left_out: int = 0
    """Examples without text, which are in neither split."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of texts, labels and label names. It does not depend on the files they come from."""
        digest = hashlib.sha256()
        _hash_strings(digest, self.label_names)
        for split in (self.train, self.validation):
            _hash_strings(digest, [text for row in split.texts for text in row])
            digest.update(np.array([len(split), *split.labels], dtype="<i8").tobytes())
        return digest.hexdigest()


def _hash_strings(digest: Any, strings: Sequence[str]) -> None:
    encoded = [string.encode() for string in strings]
    digest.update(np.array([len(encoded), *map(len, encoded)], dtype="<i8").tobytes())
    digest.update(b"".join(encoded))


# ------------------------------------------------------------------------------------- from examples to a corpus


def _corpus(train: Labelled, validation: Labelled, names: tuple[str, ...] | None = None) -> Corpus:
    """Replaces labels by their indices in `names`, by default the sorted labels of the training examples."""
    _require_two_labels(train)
    seen = set(train.labels)
    if unseen := sorted_names(set(validation.labels) - seen):
        raise ConfigError(
            f"{validation.where} has labels that the training examples lack: {_listed(unseen)}.\n"
            f"Training labels: {_listed(sorted_names(seen))}"
        )
    names = names or sorted_names(seen)
    left_out = train.num_left_out + validation.num_left_out
    if left_out:
        logger.warning("%s: left out %d examples with an empty text", train.where, left_out)
    if missing := [name for name in names if name.lower() in _MISSING]:
        logger.warning("%s: %s is a class like the others; remove rows without a label", train.where, _listed(missing))
    if (train.texts, train.labels) == (validation.texts, validation.labels):
        logger.warning("%s: the validation examples are the training examples", validation.where)
    index = {name: i for i, name in enumerate(names)}
    first, second = (
        Split(part.texts, np.array([index[name] for name in part.labels], dtype=np.int64))
        for part in (train, validation)
    )
    return Corpus(first, second, names, left_out)


def _require_two_labels(train: Labelled) -> None:
    require(
        len(set(train.labels)) > 1,
        f"{train.where}: all {len(train.labels)} examples have the label {train.labels[0]!r}; a classifier needs at "
        "least two labels",
    )


def _require_classes(train: Labelled, label_column: str, others: Sequence[str]) -> None:
    """Refuses a column of texts or measurements as labels: it has nearly as many values as there are examples."""
    num_labels, num_examples = len(set(train.labels)), len(train.labels)
    require(
        num_examples < _FEWEST_TO_JUDGE or num_labels <= 0.9 * num_examples,
        f"{train.where}: column {label_column!r} has {num_labels} different values in {num_examples} examples, so it "
        f"does not hold classes: type task.label_column=NAME. Other columns: {_listed(others)}",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


# -------------------------------------------------------------------------------------------------- the tasks


def read_synthetic(config: TaskConfig) -> Corpus:
    """Sentences of `synthetic`. A share `label_noise` of the training labels is flipped."""
    assert isinstance(config, SyntheticTask)
    # The validation sentences come first, so they do not depend on the number of training sentences.
    num_validation = config.num_validation
    sentences, labels = synthetic.sentences(num_validation + config.num_train, sentences_rng(config.data_seed))
    texts: list[tuple[str, ...]] = [(sentence,) for sentence in sentences]
    num_flipped = round(config.label_noise * config.num_train)
    flipped = num_validation + label_noise_rng(config.data_seed).permutation(config.num_train)[:num_flipped]
    labels[flipped] = 1 - labels[flipped]
    train = Split(texts[num_validation:], labels[num_validation:])
    return Corpus(train, Split(texts[:num_validation], labels[:num_validation]), ("negative", "positive"))


def read_files(config: TaskConfig) -> Corpus:
    """The user's files. Without a validation file, a stratified share of the training examples is used instead."""
    assert isinstance(config, FilesTask)
    require(bool(config.train_file), "task=files needs task.train_file=<CSV, TSV, JSON Lines or Parquet file>")
    path = Path(str(config.train_file)).expanduser()
    table = read_table(path)
    columns = text_columns(table, config.text_columns, config.label_column, str(path))
    train = labelled(table, columns, config.label_column, str(path))
    _require_classes(train, config.label_column, [name for name in table if name != config.label_column])
    if config.validation_file is None:
        return _corpus(*_split_off(train, config.validation_share, validation_split_rng(config.data_seed)))
    other = Path(config.validation_file).expanduser()
    return _corpus(train, labelled(read_table(other), columns, config.label_column, str(other)))


def read_hub(config: TaskConfig) -> Corpus:
    """A data set of the hub, or `<WARMUP_LAB_DATA>/<id>/{train,validation}.tsv` if that folder exists."""
    assert isinstance(config, HubTask)
    if folder := _data_folder(config):
        return _read_data_folder(config, folder)
    train, validation, names = read_splits(config, _data_folder_hint(config))
    columns = text_columns(train, config.text_columns, config.label_column, f"task.path={config.path}")
    return _corpus(
        labelled(train, columns, config.label_column, f"split {config.train_split!r} of {config.path}"),
        labelled(validation, columns, config.label_column, f"split {config.validation_split!r} of {config.path}"),
        tuple(map(label_name, names)) if names else None,
    )


TASKS: dict[str, Callable[[TaskConfig], Corpus]] = {
    "synthetic": read_synthetic,
    "files": read_files,
    "hub": read_hub,
}


def _split_off(examples: Labelled, share: float, rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    """Training and validation examples, in order. The same share of each label, rounded, is for validation."""
    _require_two_labels(examples)
    names, labels = np.unique(np.array(examples.labels, dtype=object), return_inverse=True)
    chosen: list[int] = []
    for label in range(len(names)):
        members = np.flatnonzero(labels == label)
        num = min(math.floor(share * len(members) + 0.5), len(members) - 1)
        chosen.extend(rng.permutation(members)[:num].tolist())
    require(
        bool(chosen),
        f"{examples.where}: task.validation_share={share} of {len(labels)} examples leaves none for validation; "
        "raise it or set task.validation_file",
    )
    rest = sorted(set(range(len(labels))) - set(chosen))
    train = replace(examples.take(rest), num_left_out=examples.num_left_out)
    return train, examples.take(sorted(chosen))


def _data_folder(config: HubTask) -> Path | None:
    root = os.environ.get("WARMUP_LAB_DATA")
    folder = Path(root).expanduser() / config.id if root and config.id else None
    return folder if folder and folder.is_dir() else None


def _data_folder_hint(config: HubTask) -> str:
    name = config.id or "<task.id>"
    root = os.environ.get("WARMUP_LAB_DATA")
    now = f" (now {root}, which has no folder {name})" if root else ""
    return f"set WARMUP_LAB_DATA=<folder that holds {name}/train.tsv and {name}/validation.tsv>{now}"


def _read_data_folder(config: HubTask, folder: Path) -> Corpus:
    paths = folder / "train.tsv", folder / "validation.tsv"
    tables = [read_table(path) for path in paths]
    # The configured column names are those of the hub. Files with other columns follow the format of task=files.
    label_column = config.label_column if config.label_column in tables[0] else "label"
    requested = config.text_columns if set(config.text_columns or ()) <= set(tables[0]) else None
    columns = text_columns(tables[0], requested, label_column, str(paths[0]))
    train, validation = (
        labelled(table, columns, label_column, str(path)) for table, path in zip(tables, paths, strict=True)
    )
    return _corpus(train, validation)


# -------------------------------------------------------------------------------------------- loading and caching

_LOADED: dict[Hashable, Corpus] = {}
_NUM_KEPT = 8


def load_corpus(config: TaskConfig) -> Corpus:
    """The checked texts and labels of the task, cut to `limit`. They stay in memory until a file changes.

    Raises:
        ConfigError: the data is missing or wrong.
    """
    read = lookup(TASKS, config.kind, "task.kind")
    key = repr(config), os.environ.get("WARMUP_LAB_DATA"), _state_of_files(config)
    if key not in _LOADED:
        corpus = _limited(read(config), config)
        if len(_LOADED) >= _NUM_KEPT:
            _LOADED.pop(next(iter(_LOADED)))
        _LOADED[key] = corpus
    return _LOADED[key]


def _state_of_files(config: TaskConfig) -> FileStates:
    paths: list[Path] = []
    if isinstance(config, FilesTask):
        paths = [Path(path).expanduser() for path in (config.train_file, config.validation_file) if path]
    elif isinstance(config, HubTask):
        folder = _data_folder(config) or (Path(config.path).expanduser() if config.path else None)
        paths = sorted(folder.rglob("*")) if folder and folder.is_dir() else []
    return file_states(paths)


def _limited(corpus: Corpus, config: TaskConfig) -> Corpus:
    train, num = corpus.train, len(corpus.train)
    if config.limit is not None and config.limit < num:
        chosen = np.sort(limit_rng(config.data_seed).permutation(num)[: config.limit])
        train = Split([train.texts[i] for i in chosen.tolist()], train.labels[chosen])
    require(
        len(np.unique(train.labels)) > 1,
        f"all {len(train)} training examples have the same label: raise task.limit or task.num_train, or set another "
        "task.data_seed",
    )
    return replace(corpus, train=train)
