"""Dropout masks of stacked runs: the function, its statistics, and that only the run decides them."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.models.build import build_model
from warmup_lab.system import seeding
from warmup_lab.training.stacked import dropout
from warmup_lab.training.stacked import model as stacked_model
from warmup_lab.training.stacked.dropout import (
    DropoutCall,
    HashedDropout,
    NotedDropout,
    example_keys,
    hashed_masks,
    keep_mask,
)
from warmup_lab.training.stacked.model import Stack

SPLITMIX = [
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821
]  # fmt: skip
"""First numbers of SplitMix64 from the state 1234567, as Rosetta Code's page on it lists them."""


def splitmix(state: int, place: int) -> int:
    """Number `place` of the generator, written after Vigna's C code."""
    z = (state + (place + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def signed(numbers: list[int]) -> list[int]:
    return [number - 2**64 if number >= 2**63 else number for number in numbers]


def test_numbers_are_those_of_splitmix64():
    assert [splitmix(1234567, place) for place in range(5)] == SPLITMIX
    assert dropout._numbers(torch.tensor(1234567), torch.arange(5)).tolist() == signed(SPLITMIX)


def test_a_mask_is_the_stated_function_of_its_coordinates():
    """Two numbers of 32 bits in each of 64, the lower half first; kept if at or above the rate."""
    keys = example_keys(torch.tensor([-5, 7]), torch.tensor([[0, 3], [2, 9]]))
    mask = keep_mask(keys, (2, 5), 0.25)
    for run, seed in enumerate((-5, 7)):
        for place, example in enumerate([[0, 3], [2, 9]][run]):
            for row, column in itertools.product(range(2), range(5)):
                bits = splitmix(splitmix(splitmix(seed, example), row), column // 2) >> 32 * (column % 2) & (2**32 - 1)
                kept = (bits ^ 2**31) >= 2**30  # read as signed: the highest bit counts the other way round
                assert mask[run, place, row, column] == kept


@pytest.mark.parametrize("at_once", [1, 7, 2**16])
def test_a_smaller_shape_is_the_corner_of_a_larger_one(monkeypatch, at_once):
    """Padding, and how many numbers are made at once, change nothing."""
    keys = torch.arange(6).view(2, 3) * 12345
    large = keep_mask(keys, (2, 12, 13), 0.5)
    monkeypatch.setattr(dropout, "_NUMBERS_AT_ONCE_CPU", at_once)
    for shape in ((2, 12, 13), (2, 9, 9), (1, 1, 1), (2, 3, 8)):
        assert torch.equal(keep_mask(keys, shape, 0.5), large[:, :, : shape[0], : shape[1], : shape[2]])
    assert torch.equal(keep_mask(keys[1, 2], (2, 12, 13), 0.5), large[1, 2])
    assert keep_mask(keys, (3, 0), 0.5).shape == (2, 3, 3, 0)


# ---------------------------------------------------------------------------------------------------- statistics


@functools.cache
def masks(p: float) -> NDArray[np.bool_]:
    """Masks of 4 seeds x 6 updates x 5 calls x 8 examples x 16 positions x 64 features: 2 million elements."""
    seeds = torch.tensor(
        [[seeding.stacked_dropout_seed(seed - seeding.RUN_SEED_OFFSET, step) for step in range(6)] for seed in range(4)]
    )
    keys = example_keys(seeds.flatten(), torch.arange(8).expand(24, 8)).view(4, 6, 1, 8)
    calls = [DropoutCall(number, (16, 64), p) for number in range(5)]
    return torch.cat(hashed_masks(keys, calls), 2).numpy()


@pytest.mark.parametrize("p", [1e-4, 0.1, 0.5, 0.9])
def test_the_share_that_is_kept_is_binomial(p):
    """In all, and in each of 3,840 examples: their counts have the spread of a binomial distribution."""
    kept = masks(p)
    assert scipy.stats.binomtest(int(kept.sum()), kept.size, 1 - p).pvalue > 1e-3
    for axis in range(kept.ndim):  # no seed, update, call, example, position or feature is kept more often than others
        counts = np.moveaxis(kept, axis, 0).reshape(kept.shape[axis], -1).sum(1)
        size = kept.size // kept.shape[axis]
        statistic = ((counts - size * (1 - p)) ** 2 / (size * p * (1 - p))).sum()
        assert scipy.stats.chi2.sf(statistic, len(counts)) > 1e-3, axis
    counts, size = kept.reshape(-1, 1024).sum(1), 1024
    if p >= 0.1:
        statistic = ((counts - size * (1 - p)) ** 2 / (size * p * (1 - p))).sum()
        assert 1e-3 < scipy.stats.chi2.cdf(statistic, len(counts)) < 1 - 1e-3


AXES = ("seed", "update", "call", "example", "position", "feature")


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("axis", range(6), ids=AXES)
def test_neighbours_are_independent(axis, p):
    """Neighbours along each axis, at distance 1, 2 and 3, are uncorrelated: products with mean 0, variance (pq)^2."""
    kept = masks(p)
    for distance in (1, 2, 3):
        one, other = (
            np.take(kept, range(start, start + kept.shape[axis] - distance), axis).ravel() for start in (0, distance)
        )
        product = ((one - (1 - p)) * (other - (1 - p))).sum()
        assert 2 * scipy.stats.norm.sf(abs(product) / (p * (1 - p) * one.size**0.5)) > 1e-3, distance


@pytest.mark.parametrize("axis", range(6), ids=AXES)
def test_patterns_of_eight_are_uniform(axis):
    """8 elements along an axis (and the one before it, if it is shorter) have 256 equally likely patterns at p=0.5."""
    bits = np.moveaxis(masks(0.5), axis, -1)
    bits = bits.reshape(-1)[: bits.size // 8 * 8].reshape(-1, 8)
    counts = np.bincount(np.packbits(bits, axis=1).ravel(), minlength=256)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_no_two_masks_are_equal():
    kept = np.packbits(masks(0.5).reshape(-1, 64), axis=1)
    assert len(np.unique(kept, axis=0)) == len(kept) == 4 * 6 * 5 * 8 * 16


# ------------------------------------------------------------------------------------------- in a forward pass


def pass_with_dropout(values: torch.Tensor) -> list[torch.Tensor]:
    """Six calls, of which the first, fifth and sixth drop something."""
    return [
        F.dropout(values, 0.4),
        F.dropout(values, 0.4, training=False),
        F.dropout(values, 0.0),
        torch.nn.Dropout(0.3).eval()(values),
        torch.nn.Dropout(0.4)(values),
        F.dropout(values[:, 0], 1.0),
    ]


def test_values_are_scaled_and_gradients_pass_where_they_are_kept():
    values = torch.randn(4, 3, 10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with NotedDropout(num_examples=4) as noted:
        assert torch.equal(pass_with_dropout(values)[0], values)
    assert noted.calls == [DropoutCall(0, (3, 10), 0.4), DropoutCall(4, (3, 10), 0.4), DropoutCall(5, (10,), 1.0)]
    keys = torch.arange(4)
    keep = hashed_masks(keys, noted.calls)
    for mask, number in zip(keep, (0, 4), strict=False):
        assert torch.equal(mask, keep_mask(dropout._numbers(keys, torch.tensor(number)), (3, 10), 0.4))
    with HashedDropout(noted.calls, keep):
        first, *unchanged, fifth, all_dropped = pass_with_dropout(values)
    torch.testing.assert_close(first, values * keep[0] / 0.6)
    torch.testing.assert_close(fifth, values * keep[1] / 0.6)
    assert all(one is values for one in unchanged)
    assert not all_dropped.any()
    first.sum().backward()
    torch.testing.assert_close(values.grad, keep[0] / 0.6)


@pytest.mark.parametrize(
    "random",
    [lambda x: F.dropout(x.T, 0.1), lambda x: F.dropout(x, 0.1, inplace=True), lambda x: F.dropout(x[:, 0], 0.1)],
)
def test_dropout_that_does_not_tell_the_examples_is_refused(random):
    with NotedDropout(num_examples=4), pytest.raises(ValueError, match="stacked runs need a copy"):
        random(torch.ones(4, 3))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda x: F.dropout(x, 0.1), r"number=0.*number=1"),
        (lambda x: F.dropout(F.dropout(x, 0.0), 0.2), r"p=0\.2.*p=0\.1"),
        (lambda x: F.dropout(F.dropout(x, 0.0), 0.1).T, "is missing"),
        (lambda x: F.dropout(F.dropout(F.dropout(x, 0.0), 0.1)[:, :2], 0.1), r"shape=\(2,\).*shape=\(3,\)"),
        (lambda x: F.dropout(noted_pass(x), 0.1), "number=3.*had None"),
    ],
    ids=["number", "rate", "fewer", "shape", "more"],
)
def test_a_pass_with_other_calls_than_were_noted_is_refused(other, message):
    """Its masks would be those of other calls, or would be scaled by another rate."""
    with NotedDropout(num_examples=4) as noted:
        noted_pass(torch.ones(4, 3))
    masks = hashed_masks(torch.arange(4), noted.calls)
    with pytest.raises(ValueError, match=message), HashedDropout(noted.calls, masks):
        other(torch.ones(4, 3))


def noted_pass(values: torch.Tensor) -> torch.Tensor:
    return F.dropout(F.dropout(F.dropout(values, 0.0), 0.1), 0.1)


def test_calls_are_noted_once_for_each_shape():
    """Two passes at a new shape, of one run and of all runs; one at a shape that was there before."""
    net, shapes = model("bert"), []
    net.register_forward_pre_hook(lambda _, __, inputs: shapes.append(inputs["input_ids"].shape), with_kwargs=True)
    stack = Stack(net, 2, "cpu")
    for width in (9, 12, 9):
        stack.loss_and_gradient([batch_of([[0, 1], [2, 3]], width)], "fp32", torch.tensor([1, 2]))
    assert shapes == [(2, 9), (2, 9), (2, 12), (2, 12), (2, 9)]


def model(kind: str, p: float = 0.2) -> torch.nn.Module:
    shape = RandomModel(kind, num_layers=2, hidden_size=16, num_heads=2, dropout=p)
    return build_model(shape, vocab_size=50, pad_id=1, label_names=("a", "b", "c"), max_length=16, seed=0)


def batch_of(examples: list[list[int]], width: int) -> dict[str, torch.Tensor]:
    """Texts of 4 to 9 tokens, a function of the example alone, padded to `width`."""
    chosen = torch.tensor(examples)
    mask = (torch.arange(width) < (4 + chosen % 6)[..., None]).long()
    tokens = 2 + (chosen[..., None] * 7 + torch.arange(width) * 5) % 48
    return {"input_ids": torch.where(mask.bool(), tokens, 1), "attention_mask": mask, "token_type_ids": mask * 0,
            "labels": chosen % 3, "examples": chosen}  # fmt: skip


def recorded(monkeypatch, kind: str, batches: list[dict], seeds: list[int]) -> tuple[list, torch.Tensor, torch.Tensor]:
    """The masks of every call in every micro-batch, the losses and the gradients."""
    found, net = [], model(kind)
    stack = Stack(net, len(seeds), "cpu")
    for run in range(len(seeds)):
        stack.load(run, net)
    with monkeypatch.context() as patched:
        patched.setattr(
            stacked_model, "hashed_masks", lambda *args: found.extend(masks := hashed_masks(*args)) or masks
        )
        losses, gradient = stack.loss_and_gradient(batches, "fp32", torch.tensor(seeds))
    return found, losses, gradient


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_masks_depend_on_the_run_alone(monkeypatch, kind):
    """A run among three at width 9, against it alone at widths 13 and 12, in two micro-batches in another order."""
    seeds, examples = [11, -12, 13], [[0, 1, 2, 3, 4, 5], [11, 5, 8, 3, 7, 6], [5, 4, 3, 2, 1, 0]]
    whole, losses, gradient = recorded(monkeypatch, kind, [batch_of(examples, 9)], seeds)
    parts = [batch_of([[7, 11]], 13), batch_of([[3, 6, 5, 8]], 12)]
    alone, loss, own = recorded(monkeypatch, kind, parts, seeds[1:2])
    assert len(alone) == 2 * len(whole)
    for number, mask in enumerate(whole):
        for part, place, calls in ((0, 1, alone[: len(whole)]), (1, 3, alone[len(whole) :])):
            example = parts[part]["examples"][0, place]
            row = examples[1].index(int(example))
            other = calls[number][0, place]
            corner = tuple(slice(0, size) for size in mask.shape[2:])
            assert torch.equal(other[corner], mask[1, row])
    torch.testing.assert_close(loss, losses[1:2], rtol=1e-6, atol=0)
    torch.testing.assert_close(own, gradient[1:2], rtol=1e-4, atol=1e-7)
    assert sum(mask.ndim == 5 and mask.shape[-2:] == (9, 9) for mask in whole) == 2, "attention of both layers"


def test_a_random_operation_other_than_dropout_is_an_error():
    """It would draw from a generator that all runs of the group share."""
    net = model("bert")
    net.dropout.forward = lambda values: F.alpha_dropout(values, 0.1, training=True)
    stack = Stack(net, 2, "cpu")
    with pytest.raises(RuntimeError, match="randomness"):
        stack.loss_and_gradient([batch_of([[0, 1], [2, 3]], 9)], "fp32", torch.tensor([1, 2]))
