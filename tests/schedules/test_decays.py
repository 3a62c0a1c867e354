"""Decays: compared with transformers, with published test vectors, and with numbers calculated by hand."""

import pytest
import transformers
from reference_schedules import learning_rates, multipliers, warmup_lengths

from warmup_lab.config.steps import ceil_share, num_steps_per_epoch
from warmup_lab.schedules.registry import make_schedule

TOTALS = (1, 2, 100, 3600)
WITH_WARMUP = ("warmupconstant", "warmuplinear", "warmupcosine", "warmupcosinewithhardrestarts")


def transformers_learning_rates(name: str, warmup_steps: int, total_steps: int, **options) -> list[float]:
    """The learning rate of each update, with a peak of 1, under the transformers function that `name` equals."""
    functions = {
        "constantlr": lambda o: transformers.get_constant_schedule(o),
        "warmupconstant": lambda o: transformers.get_constant_schedule_with_warmup(o, warmup_steps),
        "warmuplinear": lambda o: transformers.get_linear_schedule_with_warmup(o, warmup_steps, total_steps),
        "warmupcosine": lambda o: transformers.get_cosine_schedule_with_warmup(o, warmup_steps, total_steps),
        "warmupcosinewithhardrestarts": lambda o: transformers.get_cosine_with_hard_restarts_schedule_with_warmup(
            o, warmup_steps, total_steps, **options
        ),
    }
    return learning_rates(functions[name], num_steps=total_steps)


@pytest.mark.parametrize("total_steps", TOTALS)
@pytest.mark.parametrize("name", WITH_WARMUP)
def test_equals_transformers_at_every_update(name, total_steps):
    for warmup_steps in warmup_lengths(total_steps):
        ours = multipliers(name, warmup_steps=warmup_steps, total_steps=total_steps)
        assert ours == pytest.approx(transformers_learning_rates(name, warmup_steps, total_steps), abs=1e-12, rel=0)


@pytest.mark.parametrize("total_steps", TOTALS)
def test_constantlr_equals_transformers(total_steps):
    ours = multipliers("constantlr", warmup_steps=0, total_steps=total_steps)
    assert ours == transformers_learning_rates("constantlr", 0, total_steps)


@pytest.mark.parametrize("num_cycles", [1, 2, 5])
def test_hard_restarts_equal_transformers(num_cycles):
    name = "warmupcosinewithhardrestarts"
    ours = multipliers(name, warmup_steps=10, total_steps=100, num_cycles=num_cycles)
    assert ours == pytest.approx(transformers_learning_rates(name, 10, 100, num_cycles=num_cycles), abs=1e-12, rel=0)


# huggingface/transformers, tests/optimization/test_optimization.py: peak 10, 10 updates, rounded to two places.
PUBLISHED = [
    ("constantlr", 0, {}, [10.0] * 10),
    ("warmupconstant", 4, {}, [0.0, 2.5, 5.0, 7.5, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]),
    ("warmuplinear", 2, {}, [0.0, 5.0, 10.0, 8.75, 7.5, 6.25, 5.0, 3.75, 2.5, 1.25]),
    ("warmupcosine", 2, {}, [0.0, 5.0, 10.0, 9.61, 8.53, 6.91, 5.0, 3.08, 1.46, 0.38]),
    (
        "warmupcosinewithhardrestarts",
        2,
        {"num_cycles": 2},
        [0.0, 5.0, 10.0, 8.53, 5.0, 1.46, 10.0, 8.53, 5.0, 1.46],
    ),
]


@pytest.mark.parametrize(("name", "warmup_steps", "options", "expected"), PUBLISHED)
def test_published_test_vectors(name, warmup_steps, options, expected):
    ours = multipliers(name, warmup_steps=warmup_steps, total_steps=10, **options)
    assert [10 * value for value in ours] == pytest.approx(expected, abs=1e-2)


def test_warmuplinear_of_3600_updates_by_hand():
    total_steps = 30 * num_steps_per_epoch(3821, 32)
    assert total_steps == 3600
    assert ceil_share(0.1, total_steps) == 360
    schedule = make_schedule("warmuplinear", warmup_steps=360, total_steps=total_steps)
    assert [schedule(step) for step in (0, 180, 360, 1980, 3599)] == [0.0, 0.5, 1.0, 0.5, pytest.approx(1 / 3240)]


def test_bertlinear_equals_the_decay_of_bert():
    """google-research/bert, optimization.py: polynomial_decay (power 1) over all steps; a warmup replaces the start."""
    schedule = make_schedule("bertlinear", warmup_steps=4, total_steps=10)
    expected = [0.0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert [schedule(step) for step in range(10)] == pytest.approx(expected)
    unshifted = [make_schedule("bertlinear", warmup_steps=0, total_steps=10)(step) for step in range(10)]
    assert unshifted == pytest.approx(transformers_learning_rates("warmuplinear", 0, 10))


def test_exponentialramp_by_hand():
    schedule = make_schedule("exponentialramp", {"ramp_start": 1e-4}, warmup_steps=0, total_steps=5)
    assert [schedule(step) for step in range(5)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert make_schedule("exponentialramp", warmup_steps=0, total_steps=1)(0) == 1.0
