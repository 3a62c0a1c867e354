"""The five schedules against transformers' functions, its published test vectors, and hand-made numbers."""

import pickle

import pytest
import torch
import transformers

from warmup_lab.config import ceil_share, num_steps_per_epoch
from warmup_lab.schedules import SCHEDULES, make_schedule
from warmup_lab.schema import ConfigError

TOTALS = (1, 2, 100, 3600)
WITH_WARMUP = [name for name in SCHEDULES if name not in ("constantlr", "exponentialramp")]


def learning_rates(make_scheduler, *, num_steps: int, peak: float = 1.0) -> list[float]:
    """The rate each update would use under a torch scheduler, driven as users drive it."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def reference(name: str, warmup_steps: int, total_steps: int, **options) -> list[float]:
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


def multipliers(name: str, *, warmup_steps: int, total_steps: int, **options) -> list[float]:
    schedule = make_schedule(name, options, warmup_steps=warmup_steps, total_steps=total_steps)
    return [schedule(step) for step in range(total_steps)]


def warmups(total_steps: int) -> list[int]:
    return sorted({w for w in (0, 1, 7, ceil_share(0.1, total_steps), total_steps) if w <= total_steps})


@pytest.mark.parametrize("total_steps", TOTALS)
@pytest.mark.parametrize("name", WITH_WARMUP)
def test_equals_transformers_at_every_update(name, total_steps):
    for warmup_steps in warmups(total_steps):
        ours = multipliers(name, warmup_steps=warmup_steps, total_steps=total_steps)
        assert ours == pytest.approx(reference(name, warmup_steps, total_steps), abs=1e-12, rel=0)


@pytest.mark.parametrize("total_steps", TOTALS)
def test_constantlr_equals_transformers(total_steps):
    ours = multipliers("constantlr", warmup_steps=0, total_steps=total_steps)
    assert ours == reference("constantlr", 0, total_steps)


@pytest.mark.parametrize("num_cycles", [1, 2, 5])
def test_hard_restarts_equal_transformers(num_cycles):
    name = "warmupcosinewithhardrestarts"
    ours = multipliers(name, warmup_steps=10, total_steps=100, num_cycles=num_cycles)
    assert ours == pytest.approx(reference(name, 10, 100, num_cycles=num_cycles), abs=1e-12, rel=0)


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


def test_the_classic_example():
    total_steps = 30 * num_steps_per_epoch(3821, 32)
    assert total_steps == 3600
    assert ceil_share(0.1, total_steps) == 360
    schedule = make_schedule("warmuplinear", warmup_steps=360, total_steps=total_steps)
    assert [schedule(step) for step in (0, 180, 360, 1980, 3599)] == [0.0, 0.5, 1.0, 0.5, pytest.approx(1 / 3240)]


@pytest.mark.parametrize(
    ("share", "total", "expected"), [(0.1, 70, 7), (0.1, 71, 8), (0.07, 100, 7), (0, 9, 0), (1, 9, 9), (0.001, 9, 1)]
)
def test_a_share_of_updates_is_rounded_up_but_blind_to_float_noise(share, total, expected):
    assert ceil_share(share, total) == expected


def test_grad_accumulation_rounds_up_within_each_epoch():
    assert num_steps_per_epoch(3821, 32, 4) == 30
    assert num_steps_per_epoch(97, 32, 4) == 1
    assert num_steps_per_epoch(129, 32, 4) == 2


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_a_multiplier_can_be_pickled_and_is_found_in_any_case(name):
    schedule = make_schedule(name.upper(), warmup_steps=0, total_steps=20)
    again = pickle.loads(pickle.dumps(schedule))
    assert [again(step) for step in range(20)] == [schedule(step) for step in range(20)]


@pytest.mark.parametrize(
    ("name", "options", "warmup_steps", "message"),
    [
        ("warmupcosin", {}, 0, "unknown scheduler 'warmupcosin'; did you mean 'warmupcosine'?"),
        ("warmupcosine", {"num_cycles": 2}, 0, "unknown key scheduler.num_cycles"),
        ("warmupcosinewithhardrestarts", {"num_cycles": 0}, 0, "scheduler.num_cycles=0: must be at least 1"),
        ("warmupcosinewithhardrestarts", {"num_cycles": "two"}, 0, "scheduler.num_cycles=two: must be of type int"),
        ("constantlr", {}, 5, "use warmupconstant"),
        ("warmuplinear", {}, 11, "warmup_steps=11: must lie between 0 and total_steps=10"),
        ("warmuplinear", {}, -1, "warmup_steps=-1: must lie between 0 and total_steps=10"),
    ],
)
def test_wrong_requests_are_refused_in_words(name, options, warmup_steps, message):
    with pytest.raises(ConfigError) as error:
        make_schedule(name, options, warmup_steps=warmup_steps, total_steps=10)
    assert message in str(error.value)
