"""Typed configuration of a task: one dataclass per `task.kind`."""

from __future__ import annotations

from dataclasses import dataclass

from warmup_lab.config.errors import require, require_positive, require_seed, suggestion


@dataclass(frozen=True)
class TaskConfig:
    """Fields of every task."""

    kind: str = ""
    """Source of the texts: `synthetic`, `files` or `hub`."""
    id: str | None = None
    """Name of the task in the results. Null derives it from the source.

    For a hub task it is also the name of the folder under `WARMUP_LAB_DATA`.
    """
    metric: str = "accuracy"
    """The task's own metric, reported besides loss and accuracy: `accuracy`, `f1` or `matthews_correlation`."""
    max_length: int = 128
    """Maximum number of tokens per example, special tokens included, at least 8. Longer examples are truncated."""
    limit: int | None = None
    """Number of training examples to use, at least 1. Null uses all.

    The examples are a random subset that depends on `data_seed`, not on the seed of the run.
    """
    data_seed: int = 0
    """Seed of the task's own random choices (grammar, subset, validation split), at least 0."""

    def __post_init__(self) -> None:
        require(self.max_length >= 8, f"task.max_length={self.max_length}: must be at least 8 tokens")
        require_positive(self.max_length, "task.max_length", most=100_000)
        require_positive(self.limit, "task.limit")
        require_seed(self.data_seed, "task.data_seed")
        known = ("accuracy", "f1", "matthews_correlation")
        require(self.metric in known, f"unknown task.metric {self.metric!r}{suggestion(self.metric, known)}")

    @property
    def title(self) -> str:
        """Name of the task in the results."""
        return self.id or self.kind


@dataclass(frozen=True)
class SyntheticTask(TaskConfig):
    """Sentences of a small grammar with negation and distractors, generated from `data_seed`."""

    num_train: int = 3821
    """Number of training sentences, at least 2."""
    num_validation: int = 800
    """Number of validation sentences, at least 2. Their labels have no noise."""
    label_noise: float = 0.05
    """Share of training labels that are flipped, in [0, 0.5)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("num_train", "num_validation"):
            value = getattr(self, key)
            require(value >= 2, f"task.{key}={value}: must be at least 2")
            require_positive(value, f"task.{key}", most=10_000_000)
        require(0 <= self.label_noise < 0.5, f"task.label_noise={self.label_noise}: must be in [0, 0.5)")


@dataclass(frozen=True)
class FilesTask(TaskConfig):
    """The user's own files: CSV, TSV (read without quoting), JSON Lines or Parquet."""

    train_file: str | None = None
    """Path of the training data. Required."""
    validation_file: str | None = None
    """Path of the validation data. Null splits `validation_share` off the training data, stratified by label."""
    validation_share: float = 0.1
    """Share of each label's examples to split off if `validation_file` is null, in (0, 1)."""
    text_columns: list[str] | None = None
    """One or two text columns. Null means every column except the label and an `index`, `id` or `idx`."""
    label_column: str = "label"
    """Column of the labels, which are strings or numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share = self.validation_share
        require(0 < share < 1, f"task.validation_share={share}: must be between 0 and 1")

    @property
    def title(self) -> str:
        return self.id or (self.train_file or "files").replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]


@dataclass(frozen=True)
class HubTask(TaskConfig):
    """A data set from the Hugging Face hub, from a local folder, or from `<WARMUP_LAB_DATA>/<id>`."""

    path: str | None = None
    """Hub id or folder, as in `datasets.load_dataset`."""
    name: str | None = None
    """Configuration of the data set, such as `sst2` of `nyu-mll/glue`. Null means the default one."""
    train_split: str = "train"
    """Split to train on."""
    validation_split: str = "validation"
    """Split to evaluate on."""
    text_columns: list[str] | None = None
    """One or two text columns. Null means every string column except the label and an index."""
    label_column: str = "label"
    """Column of the labels."""
    revision: str | None = None
    """Branch, tag or commit of the data set. Null means the default branch."""

    @property
    def title(self) -> str:
        return self.id or "-".join(part.rsplit("/", 1)[-1] for part in (self.path, self.name) if part) or "hub"


TASK_KINDS: dict[str, type[TaskConfig]] = {"synthetic": SyntheticTask, "files": FilesTask, "hub": HubTask}
"""The dataclass of each `task.kind`."""
