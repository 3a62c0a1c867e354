"""Builds the classifier of a run: a transformers class with random weights, or on a pretrained encoder.

Initial weights depend on the seed and on the pretrained folder only, so all strategies with one seed start from the
same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import BertConfig, PreTrainedConfig, RobertaPreLayerNormConfig

from warmup_lab.config import ModelConfig, PretrainedModel, RandomModel, require
from warmup_lab.models.pretrained import check_fit, load_pretrained, new_classifier
from warmup_lab.system import initial_weights


def build_model(
    config: ModelConfig,
    *,
    vocab_size: int,
    pad_id: int,
    label_names: Sequence[str],
    max_length: int,
    seed: int,
) -> nn.Module:
    """A float32 classifier on the CPU, in training mode. The global random state is unchanged afterwards.

    Args:
        config: architecture and sizes, or the pretrained folder.
        vocab_size: number of tokens of the tokenizer.
        pad_id: the tokenizer's padding token.
        label_names: the classes, in the order of their indices.
        max_length: tokens of the longest input.
        seed: seed of all weights that do not come from a pretrained folder.

    Raises:
        ConfigError: the pretrained model is missing or damaged, or does not fit the tokenizer or `max_length`.
    """
    require(len(label_names) >= 2, f"{len(label_names)} label(s), {list(label_names)}: a classifier needs two or more")
    labels = {
        "id2label": dict(enumerate(label_names)),
        "label2id": {name: index for index, name in enumerate(label_names)},
        "problem_type": "single_label_classification",
    }
    if isinstance(config, PretrainedModel):
        model = load_pretrained(config, labels, seed)
        check_fit(config, model, vocab_size=vocab_size, pad_id=pad_id, max_length=max_length)
        return model
    require(isinstance(config, RandomModel), f"unknown model.kind {config.kind!r}. Known: bert, preln, pretrained")
    architecture = _architecture(config, vocab_size, pad_id, max_length)  # type: ignore[arg-type]
    architecture.update(labels)
    with initial_weights(seed):
        return new_classifier(architecture, attn_implementation="sdpa")


def _architecture(config: RandomModel, vocab_size: int, pad_id: int, max_length: int) -> PreTrainedConfig:
    """BERT's proportions: feed-forward layers 4 times as wide, and 512 positions, or more if an input is longer."""
    num_positions = max(512, max_length)
    shape: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": 4 * config.hidden_size,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "type_vocab_size": 2,
        "pad_token_id": pad_id,
    }
    if config.kind == "bert":
        return BertConfig(**shape, max_position_embeddings=num_positions)
    # As in RoBERTa, padding has position pad_id, and the first token has position pad_id + 1.
    return RobertaPreLayerNormConfig(
        **shape, max_position_embeddings=num_positions + pad_id + 1, bos_token_id=None, eos_token_id=None
    )
