"""Packing of examples into rows, and packed batches, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from warmup_lab.tasks.batches import Examples
from warmup_lab.tasks.packing import collate_packed, pack


@pytest.mark.parametrize(
    ("lengths", "starts", "num_rows"),
    [
        ([4], [0], 1),
        ([3, 5, 2], [5, 0, 8], 2),
        ([2, 2, 2], [0, 2, 4], 3),  # equal lengths keep their order
        ([6, 1, 4, 2, 3, 2], [0, 17, 6, 10, 12, 15], 3),  # 6 | 4 2 | 3 2 1
        ([5, 5, 3, 2, 2, 1, 1, 1], [0, 5, 10, 13, 15, 17, 18, 19], 4),  # 5 | 5 | 3 2 | 2 1 1 1
    ],
)
def test_packing_by_hand(lengths, starts, num_rows):
    found, rows = pack(np.array(lengths))
    assert (found.tolist(), rows) == (starts, num_rows)


def test_packing_places_every_token_once_in_few_rows():
    rng = np.random.default_rng(0)
    for num in (1, 2, 32, 100):
        lengths = np.minimum(rng.geometric(0.08, num) + 2, 64)
        starts, num_rows = pack(lengths)
        taken = np.concatenate(
            [np.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        )
        assert len(set(taken.tolist())) == lengths.sum()
        assert taken.min() == 0
        assert taken.max() < num_rows * lengths.max()
        assert (starts // lengths.max() == (starts + lengths - 1) // lengths.max()).all(), "no example spans two rows"
        assert num_rows <= 11 / 9 * np.ceil(lengths.sum() / lengths.max()) + 1


def test_collate_packed_by_hand():
    three = Examples(
        token_ids=np.array([2, 10, 3, 2, 11, 3, 12, 3, 2, 3], dtype=np.int32),
        type_ids=np.array([0, 0, 0, 0, 0, 0, 1, 1, 0, 0], dtype=np.int8),
        offsets=np.array([0, 3, 8, 10]),
        labels=np.array([1, 0, 2]),
    )
    batch = {name: tensor.tolist() for name, tensor in collate_packed(three, np.array([2, 1]), pad_id=9).items()}
    assert batch == {
        "input_ids": [[2, 11, 3, 12, 3], [2, 3, 9, 9, 9]],
        "token_type_ids": [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]],
        "position_ids": [[0, 1, 2, 3, 4], [0, 1, 0, 0, 0]],
        "segments": [[1, 1, 1, 1, 1], [0, 0, -1, -1, -1]],
        "starts": [5, 0],
        "labels": [2, 0],
    }
    assert collate_packed(three, np.array([0, 2]), 9)["position_ids"].tolist() == [[0, 1, 2], [0, 1, 0]]
    assert all(tensor.dtype == torch.int64 for tensor in collate_packed(three, np.array([0]), 9).values())
