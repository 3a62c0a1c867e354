"""Classifiers with random weights: published sizes, seeds, padding, and the configuration files."""

from __future__ import annotations

import random
from dataclasses import fields

import numpy as np
import pytest
import torch
from classifiers import build, same_weights, tiny
from conf_options import option_names, option_values

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import MODEL_KINDS, PretrainedModel, RandomModel


@pytest.mark.parametrize(
    ("option", "encoder", "hidden_size"),
    [
        ("bert_base", 109_482_240, 768),  # Devlin et al. 2019: 110M
        ("bert_small", 28_763_648, 512),  # Turc et al. 2019: 28.8M, 11.2M, 4.4M
        ("bert_mini", 11_170_560, 256),
        ("bert_tiny", 4_385_920, 128),
    ],
)
def test_sizes_are_the_published_ones(option, encoder, hidden_size):
    with torch.device("meta"):
        model = build(RandomModel(**option_values("model", option)), vocab_size=30522)
    classifier = 2 * hidden_size + 2
    assert sum(parameter.numel() for parameter in model.parameters()) == encoder + classifier


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_weights_depend_on_the_seed_only(kind):
    first = build(tiny(kind), seed=1)
    torch.manual_seed(99)
    assert same_weights(first, build(tiny(kind), seed=1))
    other = build(tiny(kind), seed=2)
    matrices = [name for name, weight in first.named_parameters() if weight.ndim == 2]
    assert not any(torch.equal(first.get_parameter(name), other.get_parameter(name)) for name in matrices)


def test_weights_have_the_distribution_of_bert():
    weights = dict(build(RandomModel("bert", hidden_size=128), vocab_size=1000).named_parameters())
    matrix = weights["bert.encoder.layer.1.intermediate.dense.weight"]
    assert matrix.shape == (512, 128)
    assert (matrix.mean().item(), matrix.std().item()) == (pytest.approx(0, abs=1e-3), pytest.approx(0.02, rel=0.02))
    assert torch.all(weights["bert.encoder.layer.0.output.LayerNorm.weight"] == 1)
    assert torch.all(weights["classifier.bias"] == 0)


def test_the_global_random_states_are_unchanged(bert_folder):
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    for config in (tiny(), tiny("preln"), PretrainedModel("pretrained", path=str(bert_folder))):
        build(config, seed=5)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_mode_dtype_dropout_attention_and_labels(kind):
    model = build(tiny(kind, dropout=0.3), label_names=("a", "b", "c"))
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}
    config = model.config
    assert config.attention_probs_dropout_prob == 0.3  # SDPA reads it from the configuration
    assert config._attn_implementation == "sdpa"
    assert (config.id2label, config.label2id) == ({0: "a", 1: "b", 2: "c"}, {"a": 0, "b": 1, "c": 2})
    assert config.problem_type == "single_label_classification"


@pytest.mark.parametrize("pad_id", [0, 3])
@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_padding_does_not_change_the_logits(kind, pad_id):
    model = build(tiny(kind), pad_id=pad_id).eval()
    tokens = torch.tensor([[5, 6, 7, 8]])  # (B, S)
    padded = torch.nn.functional.pad(tokens, (0, 5), value=pad_id)
    plain = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    torch.testing.assert_close(model(input_ids=padded, attention_mask=padded.ne(pad_id).long()).logits, plain)


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_both_segments_and_the_longest_input_fit(kind):
    model = build(tiny(kind), pad_id=3, max_length=600).eval()
    tokens = torch.full((1, 600), 7)
    segments = torch.arange(600).ge(300).long()[None]
    both = model(input_ids=tokens, token_type_ids=segments).logits
    assert both.shape == (1, 2)
    assert not torch.equal(both, model(input_ids=tokens, token_type_ids=torch.zeros_like(segments)).logits)


def test_preln_normalizes_before_each_block_and_once_at_the_end():
    names = [name for name, _ in build(tiny("preln")).named_parameters() if name.endswith("LayerNorm.weight")]
    assert names == [
        "roberta_prelayernorm.embeddings.LayerNorm.weight",
        "roberta_prelayernorm.encoder.layer.0.attention.LayerNorm.weight",
        "roberta_prelayernorm.encoder.layer.0.intermediate.LayerNorm.weight",
        "roberta_prelayernorm.LayerNorm.weight",
    ]


def test_one_label_is_refused():
    with pytest.raises(ConfigError, match=r"1 label\(s\), \['only'\]: a classifier needs two or more"):
        build(tiny(), label_names=["only"])


# ---------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize("name", option_names("model"))
def test_every_option_has_exactly_the_keys_of_its_schema(name):
    values = option_values("model", name)
    schema = MODEL_KINDS[values["kind"]]
    assert list(values) == [item.name for item in fields(schema)]
    if schema is RandomModel:
        assert schema(**values).title == name
    else:
        assert schema(**{**values, "path": "owner/name"}).title == "name"
        with pytest.raises(ConfigError, match=r"needs model\.path="):
            schema(**values)


def test_the_options_of_the_group():
    assert set(option_names("model")) == {
        "bert_tiny", "bert_mini", "bert_small", "bert_base", "preln_tiny", "preln_mini", "pretrained"
    }  # fmt: skip
