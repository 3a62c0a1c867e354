"""Padded batches, the order of the examples, and the entropy of the labels."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from task_files import BERT, SMALL, TEXTS, corpus_of

from warmup_lab.system import seeding
from warmup_lab.tasks.batches import (
    Examples,
    batch_indices,
    collate,
    iterate_batches,
    label_entropy,
)
from warmup_lab.tasks.sources import load_corpus
from warmup_lab.tasks.tokenizing import tokenize


@pytest.fixture
def three() -> Examples:
    """Three examples with 3, 5 and 2 tokens."""
    return Examples(
        token_ids=np.array([2, 10, 3, 2, 11, 3, 12, 3, 2, 3], dtype=np.int32),
        type_ids=np.array([0, 0, 0, 0, 0, 0, 1, 1, 0, 0], dtype=np.int8),
        offsets=np.array([0, 3, 8, 10]),
        labels=np.array([1, 0, 1]),
    )


def test_collate_by_hand(three):
    batch = collate(three, np.array([2, 0]), pad_id=9)
    assert batch["input_ids"].tolist() == [[2, 3, 9], [2, 10, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert batch["labels"].tolist() == [1, 1]
    assert collate(three, np.array([1]), 9)["token_type_ids"].tolist() == [[0, 0, 0, 1, 1]]


def test_collate_equals_the_collator_of_transformers():
    from transformers import AutoTokenizer, DataCollatorWithPadding

    some = [text for (text,) in TEXTS if text]
    texts = list(zip(some, some[1:] + some[:1], strict=True))
    task = tokenize(corpus_of(*texts), SMALL, BERT)
    tokenizer = AutoTokenizer.from_pretrained(task.tokenizer_dir)
    indices = np.array([3, 0, 1])
    features = [
        {**tokenizer(*texts[i], truncation=True, max_length=64), "label": int(task.train.labels[i])} for i in indices
    ]
    with pytest.MonkeyPatch.context() as patch:  # hides the advice to pad while tokenizing
        patch.setitem(tokenizer.deprecation_warnings, "Asking-to-pad-a-fast-tokenizer", True)
        expected = DataCollatorWithPadding(tokenizer)(features)
    batch = collate(task.train, indices, task.pad_id)
    assert set(batch) == set(expected)
    for name, tensor in batch.items():
        assert tensor.dtype == torch.int64
        assert torch.equal(tensor, expected[name]), name


def test_collate_is_fast():
    task = tokenize(load_corpus(SMALL), SMALL, BERT)
    indices = np.arange(32)
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        collate(task.train, indices, 0)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.4e-3


def test_evaluation_batches_have_every_example_once_and_little_padding(three):
    batches = list(iterate_batches(three, 2, 9))
    assert [batch["labels"].tolist() for batch in batches] == [[1, 1], [0]]
    assert [tuple(batch["input_ids"].shape) for batch in batches] == [(2, 3), (1, 5)]
    task = tokenize(load_corpus(SMALL), SMALL, BERT)
    batches = list(iterate_batches(task.validation, 16, 0))
    assert [len(batch["labels"]) for batch in batches] == [16, 16, 16, 2]
    assert sum(int(batch["attention_mask"].sum()) for batch in batches) == len(task.validation.token_ids)


def test_the_order_depends_on_seed_and_epoch_only(monkeypatch):
    monkeypatch.setattr(seeding, "RUN_SEED_OFFSET", 0)
    order = [np.concatenate(batch_indices(100, 32, seed, epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(indices) == list(range(100)) for indices in order)
    assert len(set(map(tuple, order))) == 4
    assert np.concatenate(batch_indices(100, 7, 1, 1)).tolist() == order[3]  # for every batch size
    assert [len(batch) for batch in batch_indices(100, 32, 0, 0)] == [32, 32, 32, 4]
    assert [batch.tolist() for batch in batch_indices(8, 3, 5, 2)] == [[6, 7, 0], [4, 2, 3], [1, 5]]


def test_label_entropy():
    def entropy(labels: list[int], num_classes: int) -> float:
        empty = np.zeros(0)
        return label_entropy(Examples(empty, empty, np.zeros(len(labels) + 1), np.array(labels)), num_classes)

    assert entropy([0, 1, 2, 3], 4) == pytest.approx(math.log(4))
    assert entropy([0, 0, 0, 1], 2) == pytest.approx(0.5623351446188083)  # -(3/4 ln 3/4 + 1/4 ln 1/4)
    assert entropy([1, 1], 3) == 0.0
