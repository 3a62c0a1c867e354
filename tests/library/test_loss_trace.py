import dataclasses
import json

import numpy as np
import pytest
import torch

from warmup_lab import oscillation

BOUNCING = [0.5, 0.7] * 10
"""Second differences of 0.4 everywhere, so roughness is 0.4 / 0.69337 / sqrt(6) nats."""
ROUGHNESS = 0.4 / 0.6933668485418077 / 6**0.5


def test_without_entropy_the_unit_is_nats():
    found = oscillation(BOUNCING)
    assert found.unit == "nats"
    assert found.whole.roughness == pytest.approx(ROUGHNESS)


def test_with_entropy_the_unit_is_h():
    found = oscillation(BOUNCING, entropy=2.0)
    assert found.unit == "H"
    assert found.whole.roughness == pytest.approx(ROUGHNESS / 2)


def test_the_windows_are_those_of_the_reports():
    loss = [*[1.0] * 20, *[0.5] * 30, *[0.5, 0.7] * 25]  # bounces in the last half only
    found = oscillation(loss)
    assert found.early.roughness == 0
    assert found.late.roughness == pytest.approx(ROUGHNESS)


def test_the_learning_rate_of_the_onset():
    loss, lr = [0.5] * 60 + [1.8] * 10, [0.1] * 60 + [0.2] * 10
    assert (oscillation(loss, lr).whole.onset_step, oscillation(loss, lr).whole.onset_lr) == (60, 0.2)
    assert (oscillation(loss).whole.onset_step, oscillation(loss).whole.onset_lr) == (60, None)


@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor])
def test_a_loss_may_be_any_sequence_of_numbers(kind):
    assert oscillation(kind(BOUNCING)).whole.roughness == pytest.approx(ROUGHNESS, rel=1e-6)


def test_a_diverged_run_is_measured_up_to_its_first_nan():
    assert oscillation([*BOUNCING, float("nan"), 5.0]).whole.roughness == pytest.approx(ROUGHNESS)


def test_too_few_updates_give_none():
    assert oscillation([1.0, 0.9, 0.8]).whole.roughness is None


def test_it_is_frozen_and_goes_into_json():
    found = oscillation(BOUNCING)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.unit = "H"
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["late"]["onset_step"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": [[1.0]]}, r"loss has shape \(1, 1\)"),
        ({"loss": [1.0, 2.0], "lr": [0.1]}, "lr has 1 values"),
        ({"loss": [1.0], "entropy": 0.0}, "entropy=0.0: must be above 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        oscillation(**arguments)
