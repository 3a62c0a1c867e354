"""Optimizers against the published rules in numpy and against the libraries' own classes, update by update."""

import contextlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lion_pytorch
import numpy as np
import pytest
import schedulefree
import torch
from omegaconf import OmegaConf

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.models.build import build_model
from warmup_lab.optimizers.groups import parameter_groups
from warmup_lab.optimizers.muon import orthogonal
from warmup_lab.optimizers.registry import OPTIMIZERS, build_optimizer, check_options, evaluating

CONF = Path(__file__).resolve().parents[2] / "conf" / "optimizer"
PEAK = 0.01
CASES = {
    "adamw": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "adamw without bias correction": {"eps": 1e-6, "weight_decay": 0.1, "bias_correction": False},
    "adam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "sgd": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    "sgd without momentum": {"momentum": 0.0},
    "radam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "decoupled_weight_decay": True},
    "nadam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "momentum_decay": 0.01},
    "adafactor": {"beta2_decay": -0.7, "eps": (1e-5, 1e-2), "d": 1.5, "weight_decay": 0.1},
    "lion": {"betas": (0.8, 0.95), "weight_decay": 0.1},
    "lamb": {"betas": (0.8, 0.95), "weight_decay": 0.1, "max_weight_norm": 0.1},
    "giadam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "muon": {"momentum": 0.9, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "schedulefree": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "r": 0.5},
}


def config_of(case: str) -> OptimizerConfig:
    return OptimizerConfig(case.split()[0], PEAK, CASES[case])


def tiny_bert() -> torch.nn.Module:
    return build_model(
        RandomModel("bert", num_layers=1, hidden_size=8, num_heads=2),
        vocab_size=20, pad_id=0, label_names=("bad", "good"), max_length=8, seed=0,
    )  # fmt: skip


def multiplier(step: int) -> float:
    """Warmup of 5 updates from 0, then a slow descent."""
    return step / 5 if step < 5 else 1 - step / 100


def gradients(model: torch.nn.Module, step: int) -> Iterator[torch.Tensor]:
    """The same at every call: noise of a few sizes, and zeros in the last row of every parameter."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 10.0 ** (-step % 3)
        gradient[-1] = 0
        yield gradient.to(parameter.dtype)


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """As the training loop does it: the learning rate is set before each update."""
    for group in optimizer.param_groups:
        group["lr"] = PEAK * multiplier(step)
    for parameter, gradient in zip(model.parameters(), gradients(model, step), strict=True):
        parameter.grad = gradient
    optimizer.step()


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


# ---------------------------------------------------------------------------------------- published rules


def excluded_by_bert(name: str) -> bool:
    """`_do_use_weight_decay` of google-research/bert, with the `exclude_from_weight_decay` of `create_optimizer`."""
    return any(re.search(pattern, name) for pattern in ("LayerNorm", "layer_norm", "bias"))


def by_hand(model: torch.nn.Module, rule: Callable[..., tuple], num_steps: int) -> list[np.ndarray]:
    """`num_steps` updates of every parameter by a `rule` on numpy arrays."""
    names = [name for name, _ in model.named_parameters()]
    params = [weight.numpy() for weight in weights(model)]
    moments = [(np.zeros_like(param), np.zeros_like(param)) for param in params]
    for step in range(num_steps):
        for i, gradient in enumerate(gradients(model, step)):
            decay = 0.0 if excluded_by_bert(names[i]) else 0.1
            params[i], *moments[i] = rule(
                params[i], gradient.numpy(), *moments[i], PEAK * multiplier(step), decay, step
            )
    return params


def bert_rule(param, grad, m, v, learning_rate, weight_decay_rate, _step):
    """`AdamWeightDecayOptimizer.apply_gradients` of google-research/bert, optimization.py, line by line."""
    next_m = 0.9 * m + (1.0 - 0.9) * grad
    next_v = 0.999 * v + (1.0 - 0.999) * np.square(grad)
    update = next_m / (np.sqrt(next_v) + 1e-6)
    update += weight_decay_rate * param
    update_with_lr = learning_rate * update
    return param - update_with_lr, next_m, next_v


def adamw_rule(param, grad, m, v, learning_rate, weight_decay, step):
    """Algorithm 2 of Loshchilov & Hutter 2019, with the rate in both terms as PyTorch has it."""
    m = 0.8 * m + (1 - 0.8) * grad
    v = 0.95 * v + (1 - 0.95) * grad**2
    m_hat, v_hat = m / (1 - 0.8 ** (step + 1)), v / (1 - 0.95 ** (step + 1))
    return param - learning_rate * (m_hat / (np.sqrt(v_hat) + 1e-6) + weight_decay * param), m, v


def gi_rule(param, grad, m, v, learning_rate, weight_decay, step):
    """Adam with v_0 the first squared gradient and both corrections (Kalra & Barkeshli 2024), AdamW's weight decay."""
    return adamw_rule(param, grad, m, grad**2 if step == 0 else v, learning_rate, weight_decay, step)


def lamb_rule(param, grad, m, v, learning_rate, weight_decay, step):
    """Algorithm 2 of You et al. 2020, phi(z) = min(z, 0.1); vectors without the ratio, as BERT's LAMB has them."""
    m = 0.8 * m + (1 - 0.8) * grad
    v = 0.95 * v + (1 - 0.95) * grad**2
    r = (m / (1 - 0.8 ** (step + 1))) / (np.sqrt(v / (1 - 0.95 ** (step + 1))) + 1e-6)
    update = r + weight_decay * param
    ratio = min(np.linalg.norm(param), 0.1) / np.linalg.norm(update) if param.ndim == 2 else 1.0
    return param - learning_rate * ratio * update, m, v


RULES = {
    "adamw without bias correction": bert_rule,
    "adamw": adamw_rule,
    "giadam": gi_rule,
    "lamb": lamb_rule,
}


@pytest.mark.parametrize(("case", "rule"), RULES.items(), ids=["BERT", "AdamW", "GI-Adam", "LAMB"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_equals_the_published_rule(case, rule, dtype, tolerance):
    model = tiny_bert().to(dtype)
    expected = by_hand(model, rule, num_steps=20)
    optimizer = build_optimizer(config_of(case), model)
    for step in range(20):
        update(model, optimizer, step)
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance)


def test_without_bias_correction_the_first_update_is_3_16_times_as_large():
    moved = []
    for bias_correction in (True, False):
        layer = torch.nn.Linear(3, 2)
        before = layer.weight.detach().clone()
        options = {"weight_decay": 0.0, "bias_correction": bias_correction}
        optimizer = build_optimizer(OptimizerConfig("adamw", PEAK, options), layer)
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        moved.append((layer.weight - before).abs().mean().item())
    assert moved == [pytest.approx(PEAK, rel=1e-4), pytest.approx(PEAK * 0.1 / math.sqrt(0.001), rel=1e-4)]


def test_gi_adam_is_adam_with_a_warmup_by_the_square_root_of_1_minus_beta2_to_the_t():
    """Exactly so where the gradient never changes: v stays g^2, and the corrected one is g^2 / (1 - beta2^t)."""
    weight = torch.nn.Parameter(torch.zeros(2, 1, dtype=torch.float64))
    optimizer = build_optimizer(OptimizerConfig("giadam", 1.0, {"weight_decay": 0.0}), torch.nn.ParameterList([weight]))
    moved = []
    for _ in range(100):
        before = weight.detach().clone()
        weight.grad = torch.tensor([[3.0], [-0.5]], dtype=torch.float64)
        optimizer.step()
        moved.append((before - weight.detach()).flatten().tolist())
    expected = [[math.sqrt(1 - 0.999**t), -math.sqrt(1 - 0.999**t)] for t in range(1, 101)]
    np.testing.assert_allclose(moved, expected, rtol=1e-6)


def test_lamb_changes_a_matrix_by_the_share_lr_of_its_norm_and_a_zero_bias_as_adam():
    layer = torch.nn.Linear(5, 4)
    torch.nn.init.zeros_(layer.bias)
    before = layer.weight.detach().clone()
    optimizer = build_optimizer(OptimizerConfig("lamb", 0.02), layer)
    layer(torch.ones(3, 5)).square().sum().backward()
    optimizer.step()
    assert ((layer.weight - before).norm() / before.norm()).item() == pytest.approx(0.02, rel=1e-5)
    np.testing.assert_allclose(layer.bias.detach().abs(), 0.02, rtol=1e-4)


# ------------------------------------------------------------------------------------------------ schedule-free


def schedule_free_by_hand(start: np.ndarray, all_grads, rates, *, decay: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """(y, x) after each update, by the equations of Defazio et al. 2024 with z, x, y apart; betas 0.8, 0.95, r 0.5."""
    z, x, y, v, total, highest = start.copy(), start.copy(), start.copy(), np.zeros_like(start), 0.0, 0.0
    path = []
    for t, (grad, rate) in enumerate(zip(all_grads, rates, strict=True), start=1):
        v = 0.95 * v + 0.05 * grad**2
        z = z - rate * (grad / (np.sqrt(v / (1 - 0.95**t)) + 1e-6) + decay * y)
        highest = max(highest, rate)
        weight = t**0.5 * highest**2
        total += weight
        c = weight / total if total else 0.0
        x = (1 - c) * x + c * z
        y = 0.2 * z + 0.8 * x
        path.append((y, x))
    return path


def test_schedulefree_trains_y_and_evaluates_x_of_the_paper_with_a_warmup_from_0():
    model = tiny_bert().double()
    names = [name for name, _ in model.named_parameters()]
    all_grads = zip(*(list(gradients(model, step)) for step in range(20)), strict=True)
    rates = [PEAK * multiplier(step) for step in range(20)]
    expected = [
        schedule_free_by_hand(
            weight.numpy(), [one.numpy() for one in grads], rates, decay=0.0 if excluded_by_bert(name) else 0.1
        )
        for name, weight, grads in zip(names, weights(model), all_grads, strict=True)
    ]
    optimizer = build_optimizer(config_of("schedulefree"), model)
    for step in range(20):
        update(model, optimizer, step)
        trained = weights(model)
        with evaluating(optimizer):
            evaluated = weights(model)
        assert all(torch.equal(one, other) for one, other in zip(weights(model), trained, strict=True))
        for i in range(len(names)):
            np.testing.assert_allclose(trained[i].numpy(), expected[i][step][0], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(evaluated[i].numpy(), expected[i][step][1], rtol=1e-9, atol=1e-12)


def test_an_error_inside_an_evaluation_leaves_the_weights_of_training():
    model = tiny_bert()
    optimizer = build_optimizer(config_of("schedulefree"), model)
    for step in range(4):
        update(model, optimizer, step)
    trained = weights(model)
    with contextlib.suppress(ZeroDivisionError), evaluating(optimizer):
        assert not torch.equal(weights(model)[0], trained[0])
        raise ZeroDivisionError
    assert all(torch.equal(one, other) for one, other in zip(weights(model), trained, strict=True))
    update(model, optimizer, 4)  # the library refuses this in its own evaluation mode


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_evaluating_is_nothing_to_the_others(name):
    model = tiny_bert()
    optimizer = build_optimizer(OptimizerConfig(name, PEAK), model)
    update(model, optimizer, 3)
    before = weights(model)
    with evaluating(optimizer):
        assert all(torch.equal(one, other) for one, other in zip(weights(model), before, strict=True))


# --------------------------------------------------------------------------------------------------------- muon


def in_the_encoder(name: str, parameter: torch.Tensor) -> bool:
    return ".encoder.layer." in name and parameter.ndim == 2


def test_muon_equals_torchs_muon_and_adamw_side_by_side():
    """torch's Muon iterates in bfloat16, 8 bits: its updates, of an RMS of about 0.2 lr, are off by some percent."""
    ours, theirs = tiny_bert(), tiny_bert()
    options = CASES["muon"]
    optimizer = build_optimizer(config_of("muon"), ours)
    named = list(theirs.named_parameters())
    rest = [(name, param) for name, param in named if not in_the_encoder(name, param)]
    muon = torch.optim.Muon(
        [param for name, param in named if in_the_encoder(name, param)], PEAK, weight_decay=0.1, momentum=0.9,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    adamw = torch.optim.AdamW(
        [
            {"params": [param for name, param in rest if not excluded_by_bert(name)], "weight_decay": 0.1},
            {"params": [param for name, param in rest if excluded_by_bert(name)], "weight_decay": 0.0},
        ],
        PEAK, betas=options["betas"], eps=options["eps"], foreach=False,
    )  # fmt: skip
    for step in range(10):
        before = weights(ours)
        for other, param in zip(before, theirs.parameters(), strict=True):
            param.data.copy_(other)  # each update by itself, so that the errors of bfloat16 do not add up
        update(ours, optimizer, step)
        update(theirs, muon, step)
        for group in adamw.param_groups:
            group["lr"] = PEAK * multiplier(step)
        adamw.step()
        for (name, param), one, other in zip(named, weights(ours), weights(theirs), strict=True):
            if in_the_encoder(name, param):
                difference, size = (one - other).norm(), PEAK * multiplier(step) * 0.2 * math.sqrt(one.numel())
                assert difference <= 0.05 * size, name
            else:
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_muons_update_is_the_published_one_of_a_momentum_with_nesterov():
    """In float64, for a tall matrix and a wide one, against the singular values mapped one by one."""
    model = torch.nn.ModuleList([torch.nn.Linear(3, 6, bias=False), torch.nn.Linear(6, 4, bias=False)]).double()
    config = OptimizerConfig("muon", PEAK, {"momentum": 0.9, "weight_decay": 0.1})
    optimizer = build_optimizer(config, model)
    expected = [weight.numpy().copy() for weight in weights(model)]
    buffers = [np.zeros_like(weight) for weight in expected]
    for step in range(8):
        lr = PEAK * multiplier(step)
        for i, gradient in enumerate(gradients(model, step)):
            buffers[i] = 0.9 * buffers[i] + 0.1 * gradient.numpy()
            left, values, right = np.linalg.svd(0.1 * gradient.numpy() + 0.9 * buffers[i], full_matrices=False)
            values = values / np.linalg.norm(values)
            for _ in range(5):
                values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
            scale = 0.2 * math.sqrt(max(expected[i].shape))
            expected[i] = expected[i] * (1 - 0.1 * lr) - lr * scale * (left * values) @ right
        update(model, optimizer, step)
        for ours, theirs in zip(weights(model), expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10, atol=1e-12)


def test_orthogonal_brings_singular_values_to_about_1_and_keeps_a_zero_matrix():
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix, 5))
    assert 0.6 < values.min() < values.max() < 1.3
    assert torch.equal(orthogonal(torch.zeros(3, 2), 5), torch.zeros(3, 2))


# ------------------------------------------------------------------------------------- the libraries' own


THEIRS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda groups, **options: torch.optim.AdamW(groups, PEAK, **options, foreach=False),
    "adam": lambda groups, **options: torch.optim.Adam(groups, PEAK, **options, foreach=False),
    "sgd": lambda groups, **options: torch.optim.SGD(groups, PEAK, **options, foreach=False),
    "radam": lambda groups, **options: torch.optim.RAdam(groups, PEAK, **options, foreach=False),
    "nadam": lambda groups, **options: torch.optim.NAdam(groups, PEAK, **options, foreach=False),
    "adafactor": lambda groups, **options: torch.optim.Adafactor(groups, PEAK, **options, foreach=False),
    "lion": lambda groups, **options: lion_pytorch.Lion(groups, PEAK, **options),
    "schedulefree": lambda groups, **options: training(
        schedulefree.AdamWScheduleFree(groups, PEAK, **options, foreach=False)
    ),
}


def training(optimizer: schedulefree.AdamWScheduleFree) -> schedulefree.AdamWScheduleFree:
    optimizer.train()
    return optimizer


def groups_by_name(model: torch.nn.Module, weight_decay: float) -> list[dict]:
    named = list(model.named_parameters())
    return [
        {"params": [param for name, param in named if not excluded_by_bert(name)], "weight_decay": weight_decay},
        {"params": [param for name, param in named if excluded_by_bert(name)], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize("case", [case for case in CASES if case.split()[0] in THEIRS and "bias" not in case])
def test_equals_the_librarys_own_class_at_every_update(case):
    """The fused and foreach forms against the plain loops."""
    options = dict(CASES[case])
    ours, theirs = tiny_bert(), tiny_bert()
    optimizer = build_optimizer(config_of(case), ours)
    reference = THEIRS[case.split()[0]](groups_by_name(theirs, options.pop("weight_decay", 0.0)), **options)
    for step in range(20):
        update(ours, optimizer, step)
        update(theirs, reference, step)
        for one, other in zip(weights(ours), weights(theirs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", THEIRS)
def test_the_defaults_are_the_librarys(name):
    """But for SGD's momentum, which is 0 there."""
    defaults = THEIRS[name]([torch.nn.Parameter(torch.zeros(1))]).defaults
    options = check_options(OptimizerConfig(name, PEAK))
    options.pop("bias_correction", None)
    assert options == {key: defaults[key] for key in options} | ({"momentum": 0.9} if name == "sgd" else {})


def test_the_defaults_of_those_without_a_library_are_those_of_paper_and_torch():
    """LAMB's eps and weight decay are those of BERT's; GI-Adam and Muon's AdamW have torch's for AdamW."""
    adamw = check_options(OptimizerConfig("adamw", PEAK))
    del adamw["bias_correction"]
    assert check_options(OptimizerConfig("giadam", PEAK)) == adamw
    defaults = torch.optim.Muon([torch.nn.Parameter(torch.zeros(1, 1))]).defaults
    muon = {key: defaults[key] for key in ("momentum", "nesterov", "ns_steps")}
    assert check_options(OptimizerConfig("muon", PEAK)) == adamw | muon
    lamb = {"eps": 1e-6, "weight_decay": 0.01, "max_weight_norm": None, "adapt_vectors": False}
    assert check_options(OptimizerConfig("lamb", PEAK)) == adamw | lamb


# ------------------------------------------------------------------------------------------ in a training run


@pytest.mark.parametrize("case", CASES)
def test_a_rate_of_0_moves_nothing_and_spoils_nothing(case):
    model = tiny_bert()
    start = weights(model)
    optimizer = build_optimizer(config_of(case), model)
    update(model, optimizer, 0)
    assert multiplier(0) == 0
    assert all(torch.equal(one, other) for one, other in zip(weights(model), start, strict=True))
    update(model, optimizer, 1)
    after = weights(model)
    assert all(torch.isfinite(one).all() for one in after)
    assert not any(torch.equal(one, other) for one, other in zip(after, start, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_optimizer_continues_bit_for_bit(case, tmp_path):
    model = tiny_bert()
    optimizer = build_optimizer(config_of(case), model)
    for step in range(7):
        update(model, optimizer, step)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    for step in range(7, 14):
        update(model, optimizer, step)

    resumed = tiny_bert()
    other = build_optimizer(config_of(case), resumed)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed.load_state_dict(state["model"])
    other.load_state_dict(state["optimizer"])
    for step in range(7, 14):
        update(resumed, other, step)
    assert all(torch.equal(one, two) for one, two in zip(weights(model), weights(resumed), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_without_gradient_is_left_alone(case):
    model = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    optimizer = build_optimizer(config_of(case), model)
    before = weights(model)
    model[0](torch.ones(1, 2)).sum().backward()
    optimizer.step()
    moved = [not torch.equal(one, other) for one, other in zip(weights(model), before, strict=True)]
    assert moved == [True, True, False, False]


# --------------------------------------------------------------------------------------- groups and options


def test_weight_decay_is_for_these_of_bert():
    model = tiny_bert()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        {names[id(parameter)] for parameter in group["params"]} | {str(group["weight_decay"])}
        for group in parameter_groups(model, 0.3)
    ]
    block = "bert.encoder.layer.0."
    matrices = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                "intermediate.dense", "output.dense")  # fmt: skip
    norms = ("bert.embeddings.LayerNorm", f"{block}attention.output.LayerNorm", f"{block}output.LayerNorm")
    linear = {*(f"{block}{name}" for name in matrices), "bert.pooler.dense", "classifier"}
    embeddings = {f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
    assert groups == [
        {"0.3", *embeddings, *(f"{name}.weight" for name in linear)},
        {"0.0", *(f"{name}.bias" for name in (*linear, *norms)), *(f"{name}.weight" for name in norms)},
    ]  # fmt: skip


def test_hidden_matrices_are_those_of_the_encoders_layers():
    for kind in ("bert", "preln"):
        model = build_model(
            RandomModel(kind, num_layers=2, hidden_size=8, num_heads=2),
            vocab_size=20, pad_id=0, label_names=("bad", "good"), max_length=8, seed=0,
        )  # fmt: skip
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        groups = parameter_groups(model, 0.3, hidden_apart=True)
        assert [group["role"] for group in groups] == ["hidden", "matrices", "vectors"]
        assert [group["weight_decay"] for group in groups] == [0.3, 0.3, 0.0]
        hidden, matrices, _ = ({names[id(parameter)] for parameter in group["params"]} for group in groups)
        assert hidden == {name for name, parameter in model.named_parameters() if in_the_encoder(name, parameter)}
        assert len(hidden) == 2 * 6
        assert len(matrices) == 3 + 2, "the embeddings; pooler and classifier, or the two layers of RoBERTa's head"
        assert sum(len(group["params"]) for group in groups) == len(names)


def test_frozen_parameters_are_in_no_group():
    model = tiny_bert()
    for parameter in model.bert.parameters():
        parameter.requires_grad_(False)
    assert [len(group["params"]) for group in parameter_groups(model, 0.1)] == [1, 1]


def test_names_are_case_insensitive():
    assert isinstance(build_optimizer(OptimizerConfig("AdamW", PEAK), tiny_bert()), torch.optim.AdamW)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamww", {}, "unknown optimizer 'adamww'; did you mean 'adamw'? Known: adafactor, adam,"),
        ("adam", {"bias_correction": False}, "unknown key optimizer.bias_correction. Known: betas, eps, weight_decay"),
        ("sgd", {"momentun": 0.9}, "unknown key optimizer.momentun; did you mean 'momentum'?"),
        ("adamw", {"betas": [0.9, 1.0]}, "optimizer.betas=(0.9, 1.0): each must lie in [0, 1)"),
        ("adamw", {"betas": [0.9]}, "optimizer.betas=[0.9]: must be a list of 2"),
        ("lion", {"betas": [-0.1, 0.9]}, "optimizer.betas=(-0.1, 0.9): each must lie in [0, 1)"),
        ("adam", {"eps": 0.0}, "optimizer.eps=0.0: must be above 0"),
        ("radam", {"weight_decay": -1}, "optimizer.weight_decay=-1.0: must be 0 or above"),
        ("nadam", {"weight_decay": math.nan}, "optimizer.weight_decay=nan: must be 0 or above"),
        ("nadam", {"momentum_decay": -0.1}, "optimizer.momentum_decay=-0.1: must be 0 or above"),
        ("sgd", {"momentum": 1.0}, "optimizer.momentum=1.0: must lie in [0, 1)"),
        ("sgd", {"momentum": 0.0, "nesterov": True}, "optimizer.nesterov=true needs optimizer.momentum above 0"),
        ("adafactor", {"eps": [0.0, 1e-3]}, "optimizer.eps=(0.0, 0.001): must be above 0"),
        ("adafactor", {"beta2_decay": 0.5}, "optimizer.beta2_decay=0.5: must be below 0"),
        ("lamb", {"max_weight_norm": 0.0}, "optimizer.max_weight_norm=0.0: must be above 0, or null for no bound"),
        ("muon", {"ns_steps": 0}, "optimizer.ns_steps=0: must lie in 1 .. 99"),
        ("muon", {"momentum": 1.0}, "optimizer.momentum=1.0: must lie in [0, 1)"),
        ("muon", {"momentum": 0.0}, "optimizer.nesterov=true needs optimizer.momentum above 0"),
        ("schedulefree", {"r": -1.0}, "optimizer.r=-1.0: must be 0 or above"),
        ("schedulefree", {"weight_lr_power": -1}, "optimizer.weight_lr_power=-1.0: must be 0 or above"),
        ("ScheduleFree", {"betas": [0.0, 0.9]}, "optimizer.betas: schedulefree needs the first above 0"),
        ("adafactor", {"d": 0.5}, "optimizer.d=0.5: must be at least 1"),
    ],
)
def test_wrong_options_are_refused_in_plain_words(name, options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_options(OptimizerConfig(name, PEAK, options))


@pytest.mark.parametrize(("name", "module"), [("lion", "lion_pytorch"), ("schedulefree", "schedulefree")])
def test_without_its_package_an_optimizer_says_what_to_install(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message = f"optimizer={name} needs a package more: pip install 'warmup-lab[optimizers]'"
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_optimizer(OptimizerConfig(name, PEAK), tiny_bert())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_file_of_each_optimizer_holds_the_defaults_of_its_factory(name):
    values = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert values.pop("name") == name
    config = OptimizerConfig(name, values.pop("lr"), values)
    keys = inspect.signature(OPTIMIZERS[name]).parameters
    assert ["groups", "lr", *values] == list(keys)
    assert check_options(config) == check_options(OptimizerConfig(name, config.lr))


def test_there_is_one_file_an_optimizer():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(OPTIMIZERS)
