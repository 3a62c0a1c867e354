"""What the probes measure, against dense Hessians, closed forms and hand formulas."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_runs import in_the_loop, small_plan
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig, ProbeConfig
from warmup_lab.optimizers.registry import build_optimizer
from warmup_lab.probes.base import Setting, Update, probe_batch
from warmup_lab.probes.critical_lr import CriticalLrProbe, critical_rate, direction_of
from warmup_lab.probes.layers import layers_of, linear_cka, outputs_of
from warmup_lab.probes.sharpness import SharpnessProbe, hessian, inverse_root_preconditioner, top_eigenpair

# ------------------------------------------------------------------------------------------------- sharpness


@pytest.mark.parametrize("spectrum", [(-9.0, 3.0), (-5.0, -0.5), (0.1, 40.0)])
def test_the_top_eigenvalue_is_the_largest_not_the_largest_in_size(spectrum):
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64))
    values = torch.linspace(*spectrum, 60, dtype=torch.float64)
    matrix = basis @ torch.diag(values) @ basis.T
    start = torch.randn(60, generator=generator, dtype=torch.float64)
    value, vector = top_eigenpair(lambda v: matrix @ v, start, tolerance=1e-7, max_products=200)
    assert value == pytest.approx(spectrum[1], rel=1e-9)
    assert abs(float(vector @ basis[:, -1])) == pytest.approx(1, abs=1e-6)


def test_the_search_keeps_to_its_cap_and_starts_warm():
    matrix = torch.diag(torch.linspace(0, 1, 400))
    calls = []

    def product(vector):
        calls.append(1)
        return matrix @ vector

    value, vector = top_eigenpair(product, torch.ones(400), tolerance=0, max_products=12)
    assert len(calls) == 12
    assert 0.9 < value <= 1 + 1e-6
    calls.clear()
    better, _ = top_eigenpair(product, vector, tolerance=0, max_products=12)
    assert value < better <= 1 + 1e-6
    assert math.isnan(top_eigenpair(lambda v: v * math.nan, torch.ones(4))[0])


def test_sharpness_equals_the_top_of_the_dense_hessian():
    """Of a model with few weights, after two updates of AdamW, plain and preconditioned."""
    plan = small_plan(probe=ProbeConfig(sharpness_every=1, batch_size=6))
    task, _, _, _ = in_the_loop(plan)
    tiny = small_bert()
    model, batch = tiny, {key: value % 12 if key == "input_ids" else value for key, value in
                          probe_batch(task, 6, seed=0, device="cpu").items()}  # fmt: skip
    optimizer = build_optimizer(OptimizerConfig("adamw", 1e-2), model)
    for _ in range(2):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    setting = Setting(plan, model, optimizer, batch)
    probe = SharpnessProbe(setting)
    for _ in range(3):  # each search goes on from the last
        probe.before_update(Update(0, [batch], 1.0))
    found = probe.after_update()
    model.eval()
    with hessian(setting) as product:
        tight, _ = top_eigenpair(product, setting.memory["sharpness"], tolerance=1e-3, max_products=100)

    model.eval()
    matrix = dense_hessian(model, batch)
    assert tight == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-4)
    assert found["sharpness"] == pytest.approx(tight, rel=0.02)

    beta2, eps = 0.999, 1e-8
    root = []
    for name, weight in model.named_parameters():
        second = optimizer.state[weight]["exp_avg_sq"].numpy().astype(np.float64).ravel() / (1 - beta2**2)
        held = name.endswith("_embeddings.weight")
        root.append(np.where((second > 0) & (not held), 1 / np.sqrt(np.sqrt(second) + eps), 0))
    scale = np.concatenate(root)
    expected = np.linalg.eigvalsh(scale[:, None] * matrix * scale)[-1]
    assert found["preconditioned_sharpness"] == pytest.approx(expected, rel=0.02)


def small_bert(seed: int = 0) -> nn.Module:
    """About 700 weights."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    shape = BertConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=64, type_vocab_size=2,
    )  # fmt: skip
    return BertForSequenceClassification(shape)


def dense_hessian(model: nn.Module, batch) -> np.ndarray:
    """The Hessian by `torch.autograd.functional.hessian`, in double precision."""
    model.double()
    names, shapes = zip(*((name, weight.shape) for name, weight in model.named_parameters()), strict=True)
    flat = torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])

    def loss(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(model, weights, kwargs=dict(batch)).loss

    with sdpa_kernel(SDPBackend.MATH):
        matrix = torch.autograd.functional.hessian(loss, flat, vectorize=True).numpy()
    model.float()
    return matrix


@pytest.mark.parametrize(("bias_correction", "expected"), [(True, 1e-2), (False, 1e-2 * math.sqrt(0.001))])
def test_the_preconditioner_is_corrected_where_the_optimizer_corrects(bias_correction, expected):
    """One update with the gradient 0.01: v_hat is its square, v without the correction a thousandth of that."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = build_optimizer(OptimizerConfig("adamw", 1e-3, {"bias_correction": bias_correction}), model)
    before = inverse_root_preconditioner(optimizer, model)
    model.weight.grad = torch.full((1, 2), 1e-2)
    optimizer.step()
    scale = inverse_root_preconditioner(optimizer, model)
    torch.testing.assert_close(scale**-2, torch.full((2,), expected), rtol=1e-4, atol=0)
    assert before is None


# ----------------------------------------------------------------------------------------------- critical lr


class Quadratic(nn.Module):
    """The loss g'w + w'Hw / 2 as the cross-entropy of two logits, which rises with it: both cross at one rate."""

    def __init__(self, hessian: torch.Tensor, slope: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros_like(slope))
        self.hessian, self.slope = hessian, slope

    def value(self) -> torch.Tensor:
        return self.slope @ self.weight + self.weight @ self.hessian @ self.weight / 2

    def forward(self) -> SimpleNamespace:
        return SimpleNamespace(logits=torch.stack((-self.value(), torch.zeros(())))[None])


def quadratic(name: str = "sgd", **options):
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(5, 5, generator=generator)
    model = Quadratic(root @ root.T + torch.eye(5), torch.randn(5, generator=generator))
    plan = small_plan()
    plan = replace(plan, config=replace(plan.config, optimizer=OptimizerConfig(name, 0.1, options)))
    optimizer = build_optimizer(plan.config.optimizer, model)
    return model, Setting(plan, model, optimizer, {"labels": torch.zeros(1, dtype=torch.int64)})


@pytest.mark.parametrize(
    ("name", "options"),
    [("sgd", {"momentum": 0.0}), ("sgd", {}), ("adam", {}), ("adamw", {"bias_correction": False}), ("adafactor", {})],
)
@pytest.mark.parametrize("lr", [0.0, 1e-3])
def test_the_critical_rate_of_a_quadratic_is_known(name, options, lr):
    """The loss rises if and only if lr > -2 g'd / d'Hd, with d what the optimizer does at the rate 1."""
    model, setting = quadratic(name, **options)
    direction = {
        "sgd": lambda g: -g,
        "adam": lambda g: -g / (g.abs() + 1e-8),
        "adamw": lambda g: -0.1 * g / (g.abs() * math.sqrt(0.001) + 1e-8),
        # Relative to the weights' RMS, at least 1e-3; of a vector's first update, the sign alone is left.
        "adafactor": lambda g: -1e-3 * g.sign(),
    }[name](model.slope)
    setting.optimizer.zero_grad()
    model.value().backward()
    for group in setting.optimizer.param_groups:
        group["lr"] = lr
    state = copy.deepcopy(setting.optimizer.state_dict())
    probe = CriticalLrProbe(setting)
    probe.before_update(Update(0, [], 1.0))
    found = probe.after_update()
    expected = float(-2 * model.slope @ direction / (direction @ model.hessian @ direction))
    assert found["critical_lr"] == pytest.approx(expected, rel=1 / 30)
    assert found["critical_lr_degenerate"] == 0
    assert not model.weight.any()
    assert setting.optimizer.param_groups[0]["lr"] == lr
    after = setting.optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    torch.testing.assert_close(after["state"], state["state"], rtol=0, atol=0)


def test_degenerate_directions_have_no_critical_rate():
    def at(rate, slope, curvature):
        return 1.0 + slope * rate + curvature * rate**2

    assert critical_rate(lambda rate: at(rate, -1, 1), 1e-3) == pytest.approx(1.0, rel=1 / 30)
    assert critical_rate(lambda rate: at(rate, -1, 1), 1e3) == pytest.approx(1.0, rel=1 / 30)
    assert critical_rate(lambda rate: at(rate, 1, 1), 1e-3) is None, "the direction leads up"
    assert critical_rate(lambda rate: at(rate, -1, 0), 1e-3) is None, "it falls for ever"
    assert critical_rate(lambda _: math.nan, 1e-3) is None
    assert critical_rate(lambda rate: math.nan if rate > 0.4 else 1 - rate, 1e-3) == pytest.approx(0.4, rel=1 / 30)
    _, setting = quadratic()
    setting.weights[0].grad = torch.zeros(5)
    probe = CriticalLrProbe(setting)
    probe.before_update(Update(0, [], 0.0))
    assert probe.after_update() == {"critical_lr": None, "critical_lr_degenerate": 1.0}


def test_the_direction_of_adamw_includes_its_weight_decay():
    model = nn.Linear(3, 2, bias=False)
    optimizer = build_optimizer(OptimizerConfig("adamw", 1e-3, {"weight_decay": 0.5}), model)
    model.weight.grad = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    weight = model.weight.detach().clone()
    (direction,) = direction_of(optimizer, [model.weight])
    expected = -model.weight.grad.sign() - 0.5 * weight
    torch.testing.assert_close(direction, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(model.weight, weight)


# ---------------------------------------------------------------------------------------------------- layers


def test_cka_is_that_of_the_gram_matrices():
    """Kornblith et al.'s other form: HSIC of the centred Gram matrices, which are (n, n)."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(30, 7, generator=generator) + 2, torch.randn(30, 4, generator=generator)
    centre = np.eye(30) - 1 / 30
    k, m = (centre @ (x @ x.T).double().numpy() @ centre for x in (one, other))
    expected = np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(one, other) == pytest.approx(expected, rel=1e-5)
    rotation, _ = torch.linalg.qr(torch.randn(7, 7, generator=generator))
    assert linear_cka(one, 3 * one @ rotation + 1) == pytest.approx(1, abs=1e-5)
    assert math.isnan(linear_cka(one, torch.ones(30, 2)))


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_layers_share_out_all_weights_and_outputs_are_the_models_own(kind):
    plan = small_plan()
    plan = replace(plan, config=replace(plan.config, model=RandomModel(kind, num_layers=3, hidden_size=32)))
    task, model, optimizer, _ = in_the_loop(plan)
    layers = layers_of(model)
    assert list(layers) == ["embeddings", "encoder.0", "encoder.1", "encoder.2", "head"]
    assert sorted(id(weight) for weights in layers.values() for weight in weights) == sorted(
        map(id, model.parameters())
    )
    assert len({tuple(map(len, layers[f"encoder.{i}"])) for i in range(3)}) == 1
    batch = probe_batch(task, 8, seed=0, device="cpu")
    outputs = outputs_of(Setting(plan, model, optimizer, batch))
    model.eval()
    with torch.no_grad():
        whole = model(**batch, output_hidden_states=True)
    there = batch["attention_mask"].bool()
    names = ["embeddings", "encoder.0", "encoder.1"]  # transformers gives the last one after the final LayerNorm
    for name, hidden in zip(names, whole.hidden_states[:3], strict=True):
        torch.testing.assert_close(outputs[name], hidden[there])
    torch.testing.assert_close(outputs["head"], whole.logits)
    assert len(outputs["encoder.2"]) == int(there.sum()) < there.numel()


def test_layer_norms_and_ratios_are_those_of_the_update():
    plan = small_plan(probe=ProbeConfig(layers_every=1, batch_size=8))
    task, model, optimizer, probes = in_the_loop(plan)
    batch = probe_batch(task, 32, seed=5, device="cpu")
    model(**batch).loss.backward()
    named = dict(model.named_parameters())
    head = [name for name in named if name.startswith(("classifier", "bert.pooler"))]
    expected_norm = math.sqrt(sum(float(named[name].grad.pow(2).sum()) for name in head))
    whole = float(nn.utils.clip_grad_norm_(model.parameters(), 0.01))
    before = {name: weight.detach().clone() for name, weight in named.items()}
    probes.before_update(0, [batch], whole)
    optimizer.step()
    row = probes.after_update()
    moved = math.sqrt(sum(float((named[name].detach() - before[name]).pow(2).sum()) for name in head))
    size = math.sqrt(sum(float(before[name].pow(2).sum()) for name in head))
    assert row["grad_norm/head"] == pytest.approx(expected_norm, rel=1e-4)
    assert row["update_ratio/head"] == pytest.approx(moved / size, rel=1e-4)
    assert math.hypot(*(row[f"grad_norm/{layer}"] for layer in layers_of(model))) == pytest.approx(whole, rel=1e-5)
    assert row["cka/encoder.0"] == pytest.approx(1)
