"""A task ready to train on: tokenised examples, cached on disk by content, and their batches.

Texts are tokenised once: token ids lie in one flat array a split, and a batch is cut from it and padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Examples:
    """Tokenised examples; example i has the tokens `token_ids[offsets[i]:offsets[i + 1]]`, special ones included."""

    token_ids: NDArray[np.int32]
    """`(num_tokens,)`."""
    type_ids: NDArray[np.int8]
    """`(num_tokens,)`: 0 in the first text, 1 in the second of a pair."""
    offsets: NDArray[np.int64]
    """`(num_examples + 1,)`."""
    labels: NDArray[np.int64]
    """`(num_examples,)`: index of each label in the task's `label_names`."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`(num_examples,)`: tokens of each example."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class Task:
    """What a model is trained and evaluated on."""

    train: Examples
    validation: Examples
    label_names: tuple[str, ...]
    vocab_size: int
    """Tokens of the tokenizer: every token id is below it."""
    pad_id: int
    """Token id that pads short examples."""
    digest: str
    """Digest of the corpus."""
    tokenizer_dir: Path
    """Folder from which `AutoTokenizer` loads the tokenizer."""


# ------------------------------------------------------------------------------------------------------ batches

Batch = Mapping[str, torch.Tensor]
"""What a `Collate` made, on any device."""
Collate = Callable[[Examples, NDArray[np.int64], int], Batch]
"""`(examples, indices, pad_id) -> batch`: `collate` here, or `rows.collate_rows`."""


def batch_indices(num_examples: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The examples of each batch of an epoch, in random order; the last batch may be short.

    A pure function of its arguments, so that a resumed run needs no state to go on where it was.
    """
    # (1, ...): no stream of `corpora`, or with equal seeds an epoch would begin with all flipped labels.
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, epoch))).permutation(num_examples)
    return [order[start : start + batch_size] for start in range(0, num_examples, batch_size)]


def collate(examples: Examples, indices: NDArray[np.int64], pad_id: int) -> dict[str, torch.Tensor]:
    """The batch of these examples, padded to the longest of them.

    Returns `input_ids`, `attention_mask` and `token_type_ids` of shape `(B, S)`, and `labels` `(B,)`, all int64.
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


def iterate_batches(examples: Examples, batch_size: int, pad_id: int, collate: Collate = collate) -> Iterator[Batch]:
    """Batches of all examples, for evaluation: by length, which saves padding, so not in the order of the file."""
    order = np.argsort(examples.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield collate(examples, order[start : start + batch_size], pad_id)


def label_entropy(examples: Examples, num_classes: int) -> float:
    """Entropy of the labels in nats: the loss of a model that knows no more than how frequent each label is."""
    shares = np.bincount(examples.labels, minlength=num_classes) / len(examples)
    return float(-np.sum(shares * np.log(np.where(shares > 0, shares, 1.0))))
