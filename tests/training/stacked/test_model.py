"""Stacked weights against plain models: losses, gradients, clipping, dropout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification, BertConfig, DebertaConfig, ElectraConfig, GPT2Config

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.models.build import build_model
from warmup_lab.training.stacked.model import Stack, check_stackable, clip_gradient


def test_clipping_is_torchs_row_by_row_and_zeroes_what_is_not_finite():
    gradient = torch.randn(4, 1000, generator=torch.Generator().manual_seed(2))
    gradient[3, 17] = math.nan
    alone = [torch.nn.Parameter(torch.zeros(1000)) for _ in range(3)]
    for one, row in zip(alone, gradient[:3], strict=True):
        one.grad = row.clone()
    max_norms = [1.0, 100.0, math.inf]
    expected = [torch.nn.utils.clip_grad_norm_(one, norm) for one, norm in zip(alone, max_norms, strict=True)]
    active = torch.tensor([True, True, True, True])
    norms, clipped = clip_gradient(gradient, torch.tensor([*max_norms, 1.0]), active)
    torch.testing.assert_close(norms[:3], torch.stack(expected))
    torch.testing.assert_close(clipped[:3], torch.stack([one.grad for one in alone]))
    assert norms[3].isnan()
    assert not clipped[3].any()


def models(kind: str, num: int, dropout: float) -> list[torch.nn.Module]:
    shape = RandomModel(kind, num_layers=2, hidden_size=16, num_heads=2, dropout=dropout)
    return [
        build_model(shape, vocab_size=50, pad_id=1, label_names=("a", "b", "c"), max_length=16, seed=seed)
        for seed in range(num)
    ]


def batches(num_runs: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """`(K, 6, 9)`: the rows have 4 to 9 tokens; one text holds the token of padding itself, where it is not masked."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 10, (num_runs, 6, 1), generator=generator)
    mask = (torch.arange(9) < lengths).long()
    ids = torch.where(mask.bool(), torch.randint(2, 50, (num_runs, 6, 9), generator=generator), 1)
    ids[:, 0, 2] = 1
    labels = torch.randint(3, (num_runs, 6), generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": mask * 0, "labels": labels}


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_losses_and_gradients_are_those_of_each_model_alone(kind):
    nets, batch = models(kind, 3, dropout=0.0), batches(3)
    expected = []
    for run, net in enumerate(nets):
        loss = net(**{key: value[run] for key, value in batch.items()}).loss
        loss.backward()
        expected.append((loss.item(), torch.cat([p.grad.flatten() for p in net.parameters() if p.ndim >= 2]), net))
    stack = Stack(models(kind, 1, dropout=0.0)[0], 3, "cpu")
    for run, net in enumerate(nets):
        stack.load(run, net)
    losses, gradient = stack.loss_and_gradient([batch], "fp32")
    for run, (loss, decayed, net) in enumerate(expected):
        assert losses[run].item() == pytest.approx(loss, rel=1e-6)
        torch.testing.assert_close(gradient[run, : stack.num_decayed], decayed, rtol=1e-4, atol=1e-7)
        again = stack.model_of(run).state_dict()
        assert all(torch.equal(value, again[name]) for name, value in net.state_dict().items())


def test_micro_batches_add_up_to_their_batch():
    nets, batch = models("bert", 2, dropout=0.0), batches(2)
    stack = Stack(nets[0], 2, "cpu")
    stack.load(1, nets[1])
    parts = [{key: value[:, rows] for key, value in batch.items()} for rows in (slice(0, 4), slice(4, 6))]
    whole, split = stack.loss_and_gradient([batch], "fp32"), stack.loss_and_gradient(parts, "fp32")
    torch.testing.assert_close(whole[0], split[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(whole[1], split[1], rtol=1e-4, atol=1e-7)


TINY = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize(
    ("config", "fits"),
    [
        (BertConfig(**TINY), True),
        (ElectraConfig(**TINY, embedding_size=16), True),
        (GPT2Config(n_layer=2, n_embd=16, n_head=2, bos_token_id=None, eos_token_id=None), False),  # hides later tokens
        (DebertaConfig(**TINY, relative_attention=True, pos_att_type=["c2p", "p2c"]), False),  # its logits are NaN
    ],
    ids=["bert", "electra", "gpt2", "deberta"],
)
def test_an_architecture_that_needs_its_own_mask_is_refused(config, fits):
    for key, value in {"vocab_size": 50, "pad_token_id": 1, "max_position_embeddings": 16}.items():
        setattr(config, key, value)
    net = AutoModelForSequenceClassification.from_config(config).train()
    batch = {key: value[0] for key, value in batches(1).items()}
    if fits:
        check_stackable(net, batch)
        assert net.training
        assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    else:
        with pytest.raises(ValueError, match=f"{type(net).__name__} cannot be stacked"):
            check_stackable(net, batch)


def test_dropout_draws_a_mask_a_run_with_the_mean_and_spread_that_one_model_has():
    """One update's loss at fixed weights over many masks: 60 runs x 20 draws against 1,200 draws of a model alone.

    The means may differ by 4 standard errors; the standard deviations by 20 %, where 4 standard errors of their ratio,
    1 / sqrt(n), are 12 % for a normal distribution.
    """
    (net,), one = models("bert", 1, dropout=0.3), batches(1)
    stack = Stack(models("bert", 1, dropout=0.3)[0], 60, "cpu")
    for run in range(60):
        stack.load(run, net)
    many = {key: value.expand(60, *value.shape[1:]).contiguous() for key, value in one.items()}
    many["examples"] = torch.arange(6).expand(60, 6)
    torch.manual_seed(0)
    with torch.no_grad():
        seeds = torch.arange(1200).view(20, 60)
        together = torch.cat(
            [_losses(stack.logits(many, "fp32", of_runs), many["labels"]) for of_runs in seeds]
        ).numpy()
        wide = {key: value.expand(200, *value.shape[1:]).flatten(0, 1) for key, value in one.items()}
        labels = wide.pop("labels").view(200, 6)
        alone = torch.cat([_losses(net(**wide).logits.view(200, 6, 3), labels) for _ in range(6)]).numpy()
    assert len(np.unique(together)) > 1150, "float32 has few enough values for chance repeats, and for no more"
    error = math.sqrt(together.var() / 1200 + alone.var() / 1200)
    assert abs(together.mean() - alone.mean()) < 4 * error
    assert together.std() == pytest.approx(alone.std(), rel=0.2)


def _losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return each.view(labels.shape).mean(1)
