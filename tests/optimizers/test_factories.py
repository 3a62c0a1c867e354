"""Optimizers of torch and other packages, compared with the classes themselves and with published rules."""

import re
import sys
from collections.abc import Callable

import lion_pytorch
import numpy as np
import pytest
import schedulefree
import torch
from optimizer_cases import (
    CASES,
    PEAK,
    adamw_rule,
    case_config,
    excluded_by_bert,
    gradients,
    multiplier,
    tiny_bert,
    update,
    updated_by_rule,
    weights,
)

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.registry import build_optimizer, check_options, evaluating


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_adamw_equals_the_published_rule(dtype, tolerance):
    model = tiny_bert().to(dtype)
    expected = updated_by_rule(model, adamw_rule, num_steps=20)
    optimizer = build_optimizer(case_config("adamw"), model)
    for step in range(20):
        update(model, optimizer, step)
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance)


LIBRARY_CLASSES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda groups, **options: torch.optim.AdamW(groups, PEAK, **options, foreach=False),
    "adam": lambda groups, **options: torch.optim.Adam(groups, PEAK, **options, foreach=False),
    "sgd": lambda groups, **options: torch.optim.SGD(groups, PEAK, **options, foreach=False),
    "radam": lambda groups, **options: torch.optim.RAdam(groups, PEAK, **options, foreach=False),
    "nadam": lambda groups, **options: torch.optim.NAdam(groups, PEAK, **options, foreach=False),
    "adafactor": lambda groups, **options: torch.optim.Adafactor(groups, PEAK, **options, foreach=False),
    "lion": lambda groups, **options: lion_pytorch.Lion(groups, PEAK, **options),
    "schedulefree": lambda groups, **options: in_training_mode(
        schedulefree.AdamWScheduleFree(groups, PEAK, **options, foreach=False)
    ),
}


def in_training_mode(optimizer: schedulefree.AdamWScheduleFree) -> schedulefree.AdamWScheduleFree:
    optimizer.train()
    return optimizer


def groups_by_name(model: torch.nn.Module, weight_decay: float) -> list[dict]:
    named = list(model.named_parameters())
    return [
        {"params": [param for name, param in named if not excluded_by_bert(name)], "weight_decay": weight_decay},
        {"params": [param for name, param in named if excluded_by_bert(name)], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize("case", [case for case in CASES if case.split()[0] in LIBRARY_CLASSES and "bias" not in case])
def test_equals_the_class_of_the_library_at_every_update(case):
    """The fused and foreach versions equal the plain loops."""
    options = dict(CASES[case])
    ours, theirs = tiny_bert(), tiny_bert()
    optimizer = build_optimizer(case_config(case), ours)
    reference = LIBRARY_CLASSES[case.split()[0]](groups_by_name(theirs, options.pop("weight_decay", 0.0)), **options)
    for step in range(20):
        update(ours, optimizer, step)
        update(theirs, reference, step)
        for one, other in zip(weights(ours), weights(theirs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LIBRARY_CLASSES)
def test_defaults_equal_those_of_the_library(name):
    """The exception is SGD's momentum, which is 0 in torch."""
    defaults = LIBRARY_CLASSES[name]([torch.nn.Parameter(torch.zeros(1))]).defaults
    options = check_options(OptimizerConfig(name, PEAK))
    options.pop("bias_correction", None)
    assert options == {key: defaults[key] for key in options} | ({"momentum": 0.9} if name == "sgd" else {})


def schedule_free_reference(
    start: np.ndarray, all_grads, rates, *, decay: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(y, x) after each update, by the equations of Defazio et al. 2024; betas 0.8 and 0.95, r 0.5."""
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


def test_schedulefree_equals_the_equations_of_the_paper():
    model = tiny_bert().double()
    names = [name for name, _ in model.named_parameters()]
    all_grads = zip(*(list(gradients(model, step)) for step in range(20)), strict=True)
    rates = [PEAK * multiplier(step) for step in range(20)]
    expected = [
        schedule_free_reference(
            weight.numpy(), [one.numpy() for one in grads], rates, decay=0.0 if excluded_by_bert(name) else 0.1
        )
        for name, weight, grads in zip(names, weights(model), all_grads, strict=True)
    ]
    optimizer = build_optimizer(case_config("schedulefree"), model)
    for step in range(20):
        update(model, optimizer, step)
        trained = weights(model)
        with evaluating(optimizer):
            evaluated = weights(model)
        assert all(torch.equal(one, other) for one, other in zip(weights(model), trained, strict=True))
        for i in range(len(names)):
            np.testing.assert_allclose(trained[i].numpy(), expected[i][step][0], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(evaluated[i].numpy(), expected[i][step][1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "module"), [("lion", "lion_pytorch"), ("schedulefree", "schedulefree")])
def test_a_missing_package_is_named_in_the_error(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message = f"optimizer={name} needs the package {module}: pip install 'warmup-lab[optimizers]'"
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_optimizer(OptimizerConfig(name, PEAK), tiny_bert())
