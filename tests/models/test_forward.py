"""Logits, loss and precision of a padded batch."""

from __future__ import annotations

import math

import pytest
import torch
from classifiers import build, tiny

from warmup_lab.models.forward import logits_of, loss_sum, to_device

BATCH = {
    "input_ids": torch.tensor([[5, 6, 7], [8, 9, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
    "token_type_ids": torch.zeros(2, 3, dtype=torch.int64),
    "labels": torch.tensor([1, 0]),
}


@pytest.fixture
def model() -> torch.nn.Module:
    return build(tiny(dropout=0.0))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_logits_are_float32_in_every_precision(model: torch.nn.Module, precision: str) -> None:
    logits = logits_of(model, BATCH, precision)
    assert logits.shape == (2, 2)
    assert logits.dtype == torch.float32


def test_loss_is_the_summed_cross_entropy(model: torch.nn.Module) -> None:
    (a, b), (c, d) = logits_of(model, BATCH, "fp32").tolist()
    expected = math.log(math.exp(a) + math.exp(b)) - b + math.log(math.exp(c) + math.exp(d)) - c
    assert loss_sum(model, BATCH, "fp32").item() == pytest.approx(expected, rel=1e-5)


def test_to_device_moves_every_tensor() -> None:
    moved = to_device(BATCH, "meta")
    assert moved.keys() == BATCH.keys()
    assert {tensor.device.type for tensor in moved.values()} == {"meta"}
