"""Small classifiers for tests of `warmup_lab.models`."""

from __future__ import annotations

from typing import Any

import torch

from warmup_lab.config import ModelConfig, RandomModel
from warmup_lab.models import build_model

TINY_BERT = {
    "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50
}  # fmt: skip
"""Keys of transformers' `BertConfig`."""


def build(config: ModelConfig, *, seed: int = 0, **changes: Any) -> torch.nn.Module:
    arguments = {"vocab_size": 50, "pad_id": 0, "label_names": ("bad", "good"), "max_length": 16}
    return build_model(config, seed=seed, **{**arguments, **changes})


def tiny(kind: str = "bert", **keys: Any) -> RandomModel:
    return RandomModel(kind, **{"num_layers": 1, "hidden_size": 8, "num_heads": 2, **keys})


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    weights, others = one.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights)
