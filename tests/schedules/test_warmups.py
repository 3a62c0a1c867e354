"""Automatic warmups, T_eff, and warmups of equal T_eff."""

import math

import pytest
import torch
from reference_schedules import WARMUP_CASES, composed

from warmup_lab.config.errors import ConfigError
from warmup_lab.optimizers.adam_variants import GradientInitialisedAdamW
from warmup_lab.schedules.registry import make_schedule
from warmup_lab.schedules.warmups import giadam, matched_steps, radam, t_eff


def test_untuned_warmups_equal_those_of_ma_and_yarats():
    """min(1, (1 - beta2) t / 2) and 1 - exp(-(1 - beta2) t), t = 1, 2, ...; both have a T_eff of 1 / (1 - beta2)."""
    linear = composed(warmup="untuned_linear", beta2=0.999, total_steps=5000, optimizer="adam")
    exponential = composed(warmup="untuned_exponential", beta2=0.999, total_steps=20_000, optimizer="adam")
    assert [linear(t - 1) for t in (1, 2, 1000, 2000, 2001)] == pytest.approx([0.0005, 0.001, 0.5, 1.0, 1.0])
    assert [exponential(t - 1) for t in (1, 1000)] == pytest.approx([1 - math.exp(-0.001), 1 - math.exp(-1)])
    assert t_eff(linear, 5000) == pytest.approx(sum(1 - t / 2000 for t in range(1, 2000))) == pytest.approx(999.5)
    assert t_eff(exponential, 20_000) == pytest.approx(1 / math.expm1(0.001)) == pytest.approx(999.5, abs=1e-3)
    assert linear.warmup.warmup_steps == exponential.warmup.warmup_steps == 2000


@pytest.mark.parametrize("beta2", [0.9, 0.99, 0.999])
def test_radam_equals_the_rectification_of_torch(beta2):
    """With a constant gradient of 1, Adam's update is -lr, and RAdam's is -lr r while rho > 5. That shows r."""
    weight = torch.zeros(1, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.RAdam([weight], lr=1.0, betas=(0.9, beta2), eps=1e-300)
    for update in range(200):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        factor, count = radam(update, beta2), update + 1
        rho = 2 / (1 - beta2) - 1 - 2 * count * beta2**count / (1 - beta2**count)
        assert factor == pytest.approx(before - weight.item() if rho > 5 else 0.0, abs=1e-9)


def test_radam_is_zero_for_the_first_five_updates():
    assert [radam(t, 0.999) > 0 for t in range(8)] == [False] * 5 + [True] * 3


@pytest.mark.parametrize("beta2", [0.9, 0.999])
def test_giadam_equals_the_update_of_the_optimizer(beta2):
    """With a constant gradient of 1, Adam's update is -lr, so GI-Adam's shows its built-in warmup."""
    weight = torch.zeros(1, requires_grad=True, dtype=torch.float64)
    optimizer = GradientInitialisedAdamW([weight], lr=1.0, betas=(0.9, beta2), eps=1e-300, weight_decay=0.0)
    for update in range(100):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert giadam(update, beta2) == pytest.approx(before - weight.item(), abs=1e-6)  # torch's step is float32


def test_length_of_the_linear_warmup_with_the_t_eff_of_giadam():
    schedule = composed(warmup="giadam", beta2=0.999, total_steps=20_000, optimizer="adam")
    assert schedule.warmup.warmup_steps == pytest.approx(2 * t_eff(schedule, 20_000), abs=2)


def test_automatic_warmup_multiplies_the_decay_of_the_whole_run():
    schedule = composed("warmuplinear", warmup="untuned_linear", beta2=0.9, total_steps=10, optimizer="adam")
    expected = [0.05 * (t + 1) * (1 - t / 10) for t in range(10)]
    assert [schedule(step) for step in range(10)] == pytest.approx(expected)


def test_automatic_warmup_without_a_valid_beta2_is_refused():
    with pytest.raises(ConfigError, match="optimizer=sgd has no betas: use another optimizer, or one of linear, cosi"):
        composed(warmup="untuned_linear", optimizer="sgd")
    with pytest.raises(ConfigError, match=r"needs beta2 above 2/3, but optimizer\.betas has 0\.5"):
        composed(warmup="radam", beta2=0.5, optimizer="adam")
    with pytest.raises(ConfigError, match=r"set scheduler\.skip_zero=false"):
        composed(warmup="radam", beta2=0.99, optimizer="adam", skip_zero=True)


def test_t_eff_by_hand():
    assert t_eff(composed(warmup_steps=4), 20) == pytest.approx(1 + 0.75 + 0.5 + 0.25)
    assert t_eff(composed("warmuplinear", warmup_steps=4), 20) == pytest.approx(2.5), "the decay must not count"
    assert t_eff(composed(warmup="polynomial", warmup_steps=4), 20) == pytest.approx(1 + 15 / 16 + 3 / 4 + 7 / 16)
    assert t_eff(composed(warmup="step", warmup_steps=10), 20) == pytest.approx(9)
    assert t_eff(composed(warmup_steps=0), 20) == 0
    assert t_eff(make_schedule("exponentialramp", warmup_steps=0, total_steps=20), 20) == 0


@pytest.mark.parametrize("keys", [keys for keys, _ in WARMUP_CASES])
def test_matched_length_has_the_closest_t_eff(keys):
    """Compared with trying every length."""
    for asked in (0, 1, 5, 20, 36):
        schedule = composed(warmup_steps=asked, total_steps=360, match="t_eff", **keys)
        wanted = asked + 1 if asked else 0  # twice the T_eff of the linear warmup, the sum of 1 - t / W
        tried = [abs(2 * t_eff(composed(warmup_steps=w, total_steps=360, **keys), 360) - wanted) for w in range(200)]
        reached = abs(2 * t_eff(schedule, 360) - wanted)
        assert reached == pytest.approx(min(tried))
        if keys == {"warmup": "linear"}:
            assert schedule.warmup.warmup_steps == asked


def test_matched_length_beyond_the_run_is_refused():
    ramp = composed(warmup="exponential", warmup_steps=50, total_steps=100).warmup
    with pytest.raises(
        ConfigError, match=r"linear warmup of 50 updates has a T_eff of 25.* exponential.* within 100 updates"
    ):
        matched_steps(ramp, 100)
    assert matched_steps(composed(warmup="sqrt", warmup_steps=100, total_steps=100).warmup, 100) == 75
