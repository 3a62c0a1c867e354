"""Tokenized examples and their batches.

The token ids of a split are one flat array. A batch is cut out of it and padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from warmup_lab.system import epoch_order_rng


@dataclass(frozen=True, eq=False)
class Examples:
    """Tokenized examples. Example i has the tokens `token_ids[offsets[i]:offsets[i + 1]]`, including special tokens."""

    token_ids: NDArray[np.int32]
    """`(num_tokens,)`: the tokens of all examples."""
    type_ids: NDArray[np.int8]
    """`(num_tokens,)`: 0 in the first text, 1 in the second text of a pair."""
    offsets: NDArray[np.int64]
    """`(num_examples + 1,)`: where each example starts and the last one ends."""
    labels: NDArray[np.int64]
    """`(num_examples,)`: index of each label in the task's `label_names`."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`(num_examples,)`: number of tokens of each example."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class Task:
    """The data that a model is trained and evaluated on."""

    train: Examples
    validation: Examples
    label_names: tuple[str, ...]
    vocab_size: int
    """Number of tokens of the tokenizer; every token id is smaller."""
    pad_id: int
    """Token id used for padding."""
    digest: str
    """Digest of the corpus."""
    tokenizer_dir: Path
    """Folder that `AutoTokenizer` can load the tokenizer from."""


# ------------------------------------------------------------------------------------------------------ batches

Batch = Mapping[str, torch.Tensor]
"""Named tensors, on any device."""
Collate = Callable[[Examples, NDArray[np.int64], int], Batch]
"""`(examples, indices, pad_id) -> batch`: `collate` or `packing.collate_packed`."""
Share = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Indices of a batch -> those that this process computes, perhaps none."""


def batch_indices(num_examples: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The indices of the examples of each batch of an epoch, in random order. The last batch may be smaller.

    The result depends on the arguments only, so a resumed run continues without stored state.
    """
    order = epoch_order_rng(seed, epoch).permutation(num_examples)
    return [order[start : start + batch_size] for start in range(0, num_examples, batch_size)]


def collate(examples: Examples, indices: NDArray[np.int64], pad_id: int) -> dict[str, torch.Tensor]:
    """The batch of these B examples, padded to the longest of them, of length S.

    Returns int64 tensors: `input_ids`, `attention_mask` and `token_type_ids` of shape `(B, S)`, and `labels` `(B,)`.
    """
    starts = examples.offsets[indices]
    lengths = examples.offsets[indices + 1] - starts
    positions = np.arange(lengths.max())
    mask = positions < lengths[:, None]  # (B, S)
    flat = (starts[:, None] + positions)[mask]
    input_ids = np.full(mask.shape, pad_id, dtype=np.int64)
    input_ids[mask] = examples.token_ids[flat]
    type_ids = np.zeros(mask.shape, dtype=np.int64)
    type_ids[mask] = examples.type_ids[flat]
    batch = {"input_ids": input_ids, "attention_mask": mask.astype(np.int64), "token_type_ids": type_ids}
    batch["labels"] = examples.labels[indices]
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def iterate_batches(
    examples: Examples, batch_size: int, pad_id: int, collate: Collate = collate, share: Share | None = None
) -> Iterator[Batch]:
    """Batches of all examples, for evaluation. They are sorted by length, which saves padding.

    `share` takes a part of each batch; a batch of which nothing is left is skipped.
    """
    order = np.argsort(examples.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        if len(own := share(indices) if share else indices):
            yield collate(examples, own, pad_id)


def majority_accuracy(task: Task) -> float:
    """Accuracy on the validation examples of a model that always predicts the most frequent training label."""
    majority = np.bincount(task.train.labels).argmax()
    return float((task.validation.labels == majority).mean())


def label_entropy(examples: Examples, num_classes: int) -> float:
    """Entropy of the labels in nats: the loss of a model that predicts the frequency of each label."""
    shares = np.bincount(examples.labels, minlength=num_classes) / len(examples)
    return float(-np.sum(shares * np.log(np.where(shares > 0, shares, 1.0))))
