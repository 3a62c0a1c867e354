"""Typed configuration of a task, one dataclass for each `task.kind`."""

from __future__ import annotations

from dataclasses import dataclass

from warmup_lab.config.errors import require, require_positive, suggestion

# ---------------------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class TaskConfig:
    """What every task has, wherever its texts come from."""

    kind: str = ""
    """Where the texts come from: `synthetic`, `files` or `hub`."""
    id: str | None = None
    """The name shown in results, and the folder under `WARMUP_LAB_DATA`; by default made from the source."""
    metric: str = "accuracy"
    """The task's own metric beside loss and accuracy: `accuracy`, `f1` or `matthews_correlation`."""
    max_length: int = 128
    """Tokens an example is cut to, special tokens included."""
    limit: int | None = None
    """Training examples to use: a random subset, the same for every training seed; null is all."""
    data_seed: int = 0
    """Seed of what is drawn about the data (grammar, subset, validation split)."""

    def __post_init__(self) -> None:
        require(self.max_length >= 8, f"task.max_length={self.max_length}: must be at least 8 tokens")
        require_positive(self.limit, "task.limit")
        require(self.data_seed >= 0, f"task.data_seed={self.data_seed}: must not be negative")
        known = ("accuracy", "f1", "matthews_correlation")
        require(self.metric in known, f"unknown task.metric {self.metric!r}{suggestion(self.metric, known)}")

    @property
    def title(self) -> str:
        return self.id or self.kind


@dataclass(frozen=True)
class SyntheticTask(TaskConfig):
    """Sentences of a small grammar with negation and distractors, made from `data_seed`."""

    num_train: int = 3821
    """Training sentences."""
    num_validation: int = 800
    """Validation sentences; their labels carry no noise."""
    label_noise: float = 0.05
    """Share of training labels that are flipped, in [0, 0.5)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_train >= 2, f"task.num_train={self.num_train}: must be at least 2")
        require(self.num_validation >= 2, f"task.num_validation={self.num_validation}: must be at least 2")
        require(0 <= self.label_noise < 0.5, f"task.label_noise={self.label_noise}: must lie in [0, 0.5)")


@dataclass(frozen=True)
class FilesTask(TaskConfig):
    """One's own data: CSV, TSV (read without quoting), JSON Lines or Parquet."""

    train_file: str | None = None
    """Path of the training data."""
    validation_file: str | None = None
    """Path of the validation data; null splits `validation_share` off the training data, stratified."""
    validation_share: float = 0.1
    """Share split off where no validation file is given, in (0, 1)."""
    text_columns: list[str] | None = None
    """One or two columns of text; null is every column but the label and an `index`, `id` or `idx`."""
    label_column: str = "label"
    """Column of the labels, strings or numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share = self.validation_share
        require(0 < share < 1, f"task.validation_share={share}: must lie between 0 and 1")

    @property
    def title(self) -> str:
        return self.id or (self.train_file or "files").replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]


@dataclass(frozen=True)
class HubTask(TaskConfig):
    """A data set of the Hugging Face hub, of a local folder, or of `WARMUP_LAB_DATA`."""

    path: str | None = None
    """Hub id or folder, as `datasets.load_dataset` takes it."""
    name: str | None = None
    """Configuration of the data set, such as `sst2` of `nyu-mll/glue`."""
    train_split: str = "train"
    """Split to train on."""
    validation_split: str = "validation"
    """Split to evaluate on."""
    text_columns: list[str] | None = None
    """One or two columns of text; null is every string column but the label and an index."""
    label_column: str = "label"
    """Column of the labels."""
    revision: str | None = None
    """Branch, tag or commit of the data set."""

    @property
    def title(self) -> str:
        return self.id or "-".join(part.rsplit("/", 1)[-1] for part in (self.path, self.name) if part) or "hub"


TASK_KINDS: dict[str, type[TaskConfig]] = {"synthetic": SyntheticTask, "files": FilesTask, "hub": HubTask}
