"""Packed batches against padded ones: the same logits, the same loss, the same gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
    RobertaPreLayerNormConfig,
)

from warmup_lab.models.forward import logits_of, loss_sum
from warmup_lab.models.packed_forward import collate_for
from warmup_lab.tasks.batches import Examples, collate
from warmup_lab.tasks.packing import collate_packed

PAD = 1


RAGGED = (7, 3, 12, 1, 5, 5, 2, 9, 4, 6)


PACKED_CONFIGS = pytest.mark.parametrize("config_class", [BertConfig, RobertaConfig, RobertaPreLayerNormConfig])


def examples_of(lengths: tuple[int, ...], *, seed: int = 0) -> Examples:
    """Random pairs of texts with these lengths. The second half of each example is its second text."""
    rng = np.random.default_rng(seed)
    types = [np.arange(length) >= (length + 1) // 2 for length in lengths]
    return Examples(
        token_ids=rng.integers(2, 50, sum(lengths)).astype(np.int32),
        type_ids=np.concatenate(types).astype(np.int8),
        offsets=np.cumsum([0, *lengths]),
        labels=rng.integers(3, size=len(lengths)),
    )


def classifier(config_class, *, num_layers: int = 2, dropout: float = 0.0, seed: int = 0, **keys) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = config_class(
        vocab_size=50, hidden_size=16, num_hidden_layers=num_layers, num_attention_heads=2, intermediate_size=32,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, max_position_embeddings=32,
        pad_token_id=PAD, num_labels=3, initializer_range=0.3, bos_token_id=None, eos_token_id=None,
        **({"type_vocab_size": 2} | keys),
    )  # fmt: skip
    return AutoModelForSequenceClassification.from_config(config).train()


def loss_and_gradients(model, batches) -> tuple[float, dict[str, torch.Tensor]]:
    """Mean loss over all examples of the batches and its gradients, accumulated as in the training loop."""
    model.zero_grad()
    num_examples = sum(len(batch["labels"]) for batch in batches)
    total = 0.0
    for batch in batches:
        loss = loss_sum(model, batch, "fp32") / num_examples
        loss.backward()
        total += loss.item()
    return total, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same_loss_and_gradients(model, examples, chosen, *, rtol=1e-6):
    padded, rows = ([make(examples, index, PAD) for index in chosen] for make in (collate, collate_packed))
    assert sum(batch["input_ids"].numel() for batch in rows) <= sum(batch["input_ids"].numel() for batch in padded)
    expected_loss, expected = loss_and_gradients(model, padded)
    loss, gradients = loss_and_gradients(model, rows)
    assert loss == pytest.approx(expected_loss, rel=rtol)
    largest = max(gradient.norm().item() for gradient in expected.values())
    for name, gradient in gradients.items():
        # The bias of the keys has gradient 0 up to rounding, because softmax ignores a shift.
        scale = max(expected[name].norm().item(), 1e-3 * largest)
        assert (gradient - expected[name]).norm().item() <= rtol * scale, name


@PACKED_CONFIGS
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("lengths", [RAGGED, (8,), (1,), (6, 6, 6), (2, 16)], ids=str)
def test_loss_and_every_gradient_equal_those_of_the_padded_batch(config_class, num_layers, lengths):
    """The weights are float64, so rounding (of the logits, to float32) stays below the tolerance of 1e-6."""
    model = classifier(config_class, num_layers=num_layers).double()
    examples = examples_of(lengths)
    padded, rows = (make(examples, np.arange(len(lengths)), PAD) for make in (collate, collate_packed))
    logits = model(**{key: value for key, value in padded.items() if key != "labels"}).logits.float()
    torch.testing.assert_close(logits_of(model, rows, "fp32"), logits, rtol=1e-6, atol=1e-6)
    assert_same_loss_and_gradients(model, examples, [np.arange(len(lengths))])


@PACKED_CONFIGS
def test_an_accumulated_update_equals_the_padded_one(config_class):
    chosen = np.array([3, 0, 7, 9]), np.array([2, 8]), np.array([5])
    assert_same_loss_and_gradients(classifier(config_class).double(), examples_of(RAGGED), chosen)


def test_the_two_texts_of_a_pair_are_distinguished():
    model, examples = classifier(BertConfig).eval(), examples_of(RAGGED)
    batch = collate_packed(examples, np.arange(10), PAD)
    blind = batch | {"token_type_ids": torch.zeros_like(batch["token_type_ids"])}
    assert not torch.allclose(logits_of(model, batch, "fp32"), logits_of(model, blind, "fp32"), atol=1e-3)


@PACKED_CONFIGS
def test_logits_do_not_depend_on_the_other_examples_of_the_batch(config_class):
    model, examples = classifier(config_class).eval(), examples_of(RAGGED)
    together = logits_of(model, collate_packed(examples, np.arange(10), PAD), "fp32")
    alone = [logits_of(model, collate_packed(examples, np.array([i]), PAD), "fp32") for i in range(10)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


@PACKED_CONFIGS
def test_in_bf16_packed_and_padded_differ_by_bf16_rounding(config_class):
    model, examples = classifier(config_class), examples_of(RAGGED)
    padded, rows = (make(examples, np.arange(10), PAD) for make in (collate, collate_packed))
    exact = logits_of(model, padded, "fp32")
    errors = [(logits_of(model, batch, "bf16") - exact).norm() / exact.norm() for batch in (padded, rows)]
    assert 0 < errors[1] < 3 * errors[0] + 2**-8  # 2^-8: half a unit in the last place of bfloat16
    assert logits_of(model, rows, "bf16").dtype == torch.float32


@PACKED_CONFIGS
def test_dropout_is_a_function_of_the_seed_and_drops_at_the_padded_rate(config_class):
    """Single draws differ, but over many draws the logits have the same mean and spread as with padding."""
    model, examples = classifier(config_class, dropout=0.2), examples_of(RAGGED)
    padded, rows = (make(examples, np.arange(10), PAD) for make in (collate, collate_packed))

    def draws(batch) -> torch.Tensor:
        with torch.no_grad():
            return torch.stack([seeded(batch, seed) for seed in range(200)])  # (draws, B, C)

    def seeded(batch, seed) -> torch.Tensor:
        torch.manual_seed(seed)
        return logits_of(model, batch, "fp32")

    assert torch.equal(seeded(rows, 7), seeded(rows, 7))
    assert not torch.equal(seeded(rows, 7), seeded(rows, 8))
    ours, theirs = draws(rows), draws(padded)
    standard_error = (ours.var(0) / 200 + theirs.var(0) / 200).sqrt()
    z = (ours.mean(0) - theirs.mean(0)) / standard_error
    assert z.abs().max() < 4.5  # 30 logits
    assert (ours.std(0) / theirs.std(0)).log().mean().abs() < 0.08


@PACKED_CONFIGS
def test_these_architectures_are_packed(config_class):
    assert collate_for(classifier(config_class)) is collate_packed


@pytest.mark.parametrize("config_class", [DistilBertConfig, ElectraConfig])
def test_other_architectures_are_padded(config_class):
    model = AutoModelForSequenceClassification.from_config(config_class(vocab_size=50, num_hidden_layers=1))
    assert collate_for(model) is collate


def test_a_decoder_is_padded():
    """Its first token attends only to itself, so it does not describe the example."""
    assert collate_for(classifier(BertConfig, is_decoder=True)) is collate
