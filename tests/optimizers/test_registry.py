"""The registry: what holds for every optimizer, refused options, config files, and evaluation weights."""

import contextlib
import inspect
import math
import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from optimizer_cases import CASES, PEAK, case_config, multiplier, tiny_bert, update, weights

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.registry import OPTIMIZERS, build_optimizer, check_options, evaluating

CONF = Path(__file__).resolve().parents[2] / "conf" / "optimizer"


@pytest.mark.parametrize("case", CASES)
def test_an_update_with_a_rate_of_0_moves_nothing(case):
    model = tiny_bert()
    start = weights(model)
    optimizer = build_optimizer(case_config(case), model)
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
    optimizer = build_optimizer(case_config(case), model)
    for step in range(7):
        update(model, optimizer, step)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    for step in range(7, 14):
        update(model, optimizer, step)

    resumed = tiny_bert()
    other = build_optimizer(case_config(case), resumed)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed.load_state_dict(state["model"])
    other.load_state_dict(state["optimizer"])
    for step in range(7, 14):
        update(resumed, other, step)
    assert all(torch.equal(one, two) for one, two in zip(weights(model), weights(resumed), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_without_gradient_does_not_move(case):
    model = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    optimizer = build_optimizer(case_config(case), model)
    before = weights(model)
    model[0](torch.ones(1, 2)).sum().backward()
    optimizer.step()
    moved = [not torch.equal(one, other) for one, other in zip(weights(model), before, strict=True)]
    assert moved == [True, True, False, False]


def test_evaluating_restores_the_training_weights_after_an_error():
    model = tiny_bert()
    optimizer = build_optimizer(case_config("schedulefree"), model)
    for step in range(4):
        update(model, optimizer, step)
    trained = weights(model)
    with contextlib.suppress(ZeroDivisionError), evaluating(optimizer):
        assert not torch.equal(weights(model)[0], trained[0])
        raise ZeroDivisionError
    assert all(torch.equal(one, other) for one, other in zip(weights(model), trained, strict=True))
    update(model, optimizer, 4)  # the library refuses an update in its evaluation mode


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_evaluating_changes_nothing_for_other_optimizers(name):
    model = tiny_bert()
    optimizer = build_optimizer(OptimizerConfig(name, PEAK), model)
    update(model, optimizer, 3)
    before = weights(model)
    with evaluating(optimizer):
        assert all(torch.equal(one, other) for one, other in zip(weights(model), before, strict=True))


def test_defaults_of_our_own_optimizers():
    """LAMB has the eps and weight decay of BERT's LAMB. GI-Adam and Muon's AdamW have those of torch's AdamW."""
    adamw = check_options(OptimizerConfig("adamw", PEAK))
    del adamw["bias_correction"]
    assert check_options(OptimizerConfig("giadam", PEAK)) == adamw
    defaults = torch.optim.Muon([torch.nn.Parameter(torch.zeros(1, 1))]).defaults
    muon = {key: defaults[key] for key in ("momentum", "nesterov", "ns_steps")}
    assert check_options(OptimizerConfig("muon", PEAK)) == adamw | muon
    lamb = {"eps": 1e-6, "weight_decay": 0.01, "max_weight_norm": None, "adapt_vectors": False}
    assert check_options(OptimizerConfig("lamb", PEAK)) == adamw | lamb


def test_names_are_case_insensitive():
    assert isinstance(build_optimizer(OptimizerConfig("AdamW", PEAK), tiny_bert()), torch.optim.AdamW)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamww", {}, "unknown optimizer 'adamww'; did you mean 'adamw'? Known: adafactor, adam,"),
        ("adam", {"bias_correction": False}, "unknown key optimizer.bias_correction. Known: betas, eps, weight_decay"),
        ("sgd", {"momentun": 0.9}, "unknown key optimizer.momentun; did you mean 'momentum'?"),
        ("adamw", {"betas": [0.9, 1.0]}, "optimizer.betas=(0.9, 1.0): each must be in [0, 1)"),
        ("adamw", {"betas": [0.9]}, "optimizer.betas=[0.9]: must be a list of 2"),
        ("lion", {"betas": [-0.1, 0.9]}, "optimizer.betas=(-0.1, 0.9): each must be in [0, 1)"),
        ("adam", {"eps": 0.0}, "optimizer.eps=0.0: must be above 0"),
        ("radam", {"weight_decay": -1}, "optimizer.weight_decay=-1.0: must be 0 or above"),
        ("nadam", {"weight_decay": math.nan}, "optimizer.weight_decay=nan: must be 0 or above"),
        ("nadam", {"momentum_decay": -0.1}, "optimizer.momentum_decay=-0.1: must be 0 or above"),
        ("sgd", {"momentum": 1.0}, "optimizer.momentum=1.0: must be in [0, 1)"),
        ("sgd", {"momentum": 0.0, "nesterov": True}, "optimizer.nesterov=true needs optimizer.momentum above 0"),
        ("adafactor", {"eps": [0.0, 1e-3]}, "optimizer.eps=(0.0, 0.001): must be above 0"),
        ("adafactor", {"beta2_decay": 0.5}, "optimizer.beta2_decay=0.5: must be below 0"),
        ("lamb", {"max_weight_norm": 0.0}, "optimizer.max_weight_norm=0.0: must be above 0, or null for no bound"),
        ("muon", {"ns_steps": 0}, "optimizer.ns_steps=0: must be in 1 .. 99"),
        ("muon", {"momentum": 1.0}, "optimizer.momentum=1.0: must be in [0, 1)"),
        ("muon", {"momentum": 0.0}, "optimizer.nesterov=true needs optimizer.momentum above 0"),
        ("schedulefree", {"r": -1.0}, "optimizer.r=-1.0: must be 0 or above"),
        ("schedulefree", {"weight_lr_power": -1}, "optimizer.weight_lr_power=-1.0: must be 0 or above"),
        ("ScheduleFree", {"betas": [0.0, 0.9]}, "optimizer.betas=(0.0, 0.9): the first must be above 0"),
        ("adafactor", {"d": 0.5}, "optimizer.d=0.5: must be at least 1"),
    ],
)
def test_invalid_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_options(OptimizerConfig(name, PEAK, options))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_config_files_have_the_defaults_of_the_factories(name):
    values = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert values.pop("name") == name
    config = OptimizerConfig(name, values.pop("lr"), values)
    keys = inspect.signature(OPTIMIZERS[name]).parameters
    assert ["groups", "lr", *values] == list(keys)
    assert check_options(config) == check_options(OptimizerConfig(name, config.lr))


def test_each_optimizer_has_a_config_file():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(OPTIMIZERS)
