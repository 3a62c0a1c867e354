"""The registry: names and options of transformers, composition with a warmup, and refused configurations."""

import inspect
import pickle

import pytest
import transformers
from reference_schedules import composed, transformers_multipliers, warmup_lengths
from transformers.trainer_utils import SchedulerType

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import SchedulerConfig
from warmup_lab.config.steps import ceil_share
from warmup_lab.schedules.registry import SCHEDULES, STATEFUL_SCHEDULERS, has_warmup, make_schedule
from warmup_lab.schedules.shapes import WARMUPS
from warmup_lab.schedules.warmups import AUTOMATIC_WARMUPS

WITH_WARMUP = [name for name in SCHEDULES if has_warmup(name)]


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedule_is_picklable_and_its_name_is_case_insensitive(name):
    schedule = make_schedule(name.upper(), warmup_steps=0, total_steps=20)
    again = pickle.loads(pickle.dumps(schedule))
    assert [again(step) for step in range(20)] == [schedule(step) for step in range(20)]


@pytest.mark.parametrize(
    ("name", "options", "warmup_steps", "message"),
    [
        ("warmupcosin", {}, 0, "unknown scheduler 'warmupcosin'; did you mean 'warmupcosine'?"),
        ("warmupcosine", {"num_cycles": 2}, 0, "unknown key scheduler.num_cycles"),
        ("warmupcosinewithhardrestarts", {"num_cycles": 0}, 0, "scheduler.num_cycles=0: must be at least 1"),
        ("warmupcosinewithhardrestarts", {"num_cycles": "two"}, 0, "scheduler.num_cycles=two: must be a whole number"),
        ("constantlr", {}, 5, "use warmupconstant"),
        ("warmuplinear", {}, 11, "warmup_steps=11: must be between 0 and total_steps=10"),
        ("warmuplinear", {}, -1, "warmup_steps=-1: must be between 0 and total_steps=10"),
    ],
)
def test_invalid_schedules_are_refused(name, options, warmup_steps, message):
    with pytest.raises(ConfigError) as error:
        make_schedule(name, options, warmup_steps=warmup_steps, total_steps=10)
    assert message in str(error.value)


TRANSFORMERS_OPTIONS = {
    "linear": [{}],
    "cosine": [{}, {"num_cycles": 0.5}, {"num_cycles": 1.5}],
    "cosine_with_restarts": [{}, {"num_cycles": 3}],
    "polynomial": [{}, {"lr_end": 1e-4, "power": 2.0}, {"lr_end": 0.0, "power": 0.5}],
    "constant": [{}],
    "constant_with_warmup": [{}],
    "inverse_sqrt": [{}, {"timescale": 50}],
    "cosine_with_min_lr": [{"min_lr_rate": 0.1}, {"min_lr": 2e-4, "num_cycles": 1.0}],
    "cosine_warmup_with_min_lr": [{"min_lr_rate": 0.1}, {"min_lr": 2e-4, "warmup_lr_rate": 0.25, "num_cycles": 1.0}],
    "warmup_stable_decay": [
        {"num_decay_steps": 0},
        {"num_decay_steps": None, "decay_type": "linear"},
        {"num_decay_steps": None, "decay_type": "1-sqrt", "warmup_type": "1-sqrt", "min_lr_ratio": 0.1},
        {"num_decay_steps": None, "warmup_type": "cosine", "num_stable_steps": 0, "min_lr_ratio": 0.3},
    ],
}


@pytest.mark.parametrize(
    ("name", "options"), [(name, o) for name, several in TRANSFORMERS_OPTIONS.items() for o in several]
)
def test_transformers_names_equal_transformers_at_every_update(name, options):
    peak = 1e-3
    for total_steps in (1, 2, 97, 360):
        for warmup_steps in [0] if name == "constant" else warmup_lengths(total_steps):
            given = dict(options)
            if given.get("num_decay_steps", 0) is None:  # required in transformers; 20 % by default here
                given["num_decay_steps"] = min(total_steps - warmup_steps, ceil_share(0.2, total_steps))
            schedule = make_schedule(name, options, warmup_steps=warmup_steps, total_steps=total_steps, peak_lr=peak)
            theirs = transformers_multipliers(name, warmup_steps, total_steps, peak, **given)
            ours = [schedule(step) for step in range(total_steps)]
            assert ours == pytest.approx(theirs, abs=1e-12, rel=0), (warmup_steps, total_steps)


def test_every_transformers_name_is_known_or_refused_with_a_reason():
    names = {kind.value for kind in SchedulerType}
    assert names == set(TRANSFORMERS_OPTIONS) | set(STATEFUL_SCHEDULERS)
    for name in STATEFUL_SCHEDULERS:
        with pytest.raises(ConfigError, match="is not a function of the update: it "):
            make_schedule(name, warmup_steps=0, total_steps=10)


@pytest.mark.parametrize("name", [name for name in TRANSFORMERS_OPTIONS if name != "constant"])
def test_option_defaults_equal_those_of_transformers(name):
    function = transformers.optimization.TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]
    theirs = inspect.signature(function).parameters
    ours = inspect.signature(SCHEDULES[name]).parameters.values()
    for option in (one for one in ours if one.default is not inspect.Parameter.empty):
        if option.name != "num_decay_steps":  # required in transformers
            assert option.default == theirs[option.name].default, option.name


def test_default_warmup_keeps_every_schedule_unchanged():
    for name in SCHEDULES:
        for warmup_steps in warmup_lengths(100) if has_warmup(name) else [0]:
            plain = make_schedule(name, warmup_steps=warmup_steps, total_steps=100)
            again = composed(name, warmup_steps=warmup_steps, total_steps=100)
            assert [plain(step) for step in range(100)] == [again(step) for step in range(100)]


@pytest.mark.parametrize("warmup", [*WARMUPS, *AUTOMATIC_WARMUPS])
@pytest.mark.parametrize("name", WITH_WARMUP)
def test_every_warmup_composes_with_every_schedule(name, warmup):
    """Values are in [0, 1], the warmup never falls, and pickling changes nothing; also for lengths 0, 1 and all."""
    for total_steps in (1, 2, 50):
        for warmup_steps in warmup_lengths(total_steps):
            schedule = composed(
                name, warmup_steps=warmup_steps, total_steps=total_steps, warmup=warmup, beta2=0.9, optimizer="adamw"
            )
            values = [schedule(step) for step in range(total_steps)]
            assert all(0.0 <= value <= 1.0 for value in values)
            factors = [schedule.warmup_factor(step) for step in range(total_steps)]
            assert factors == sorted(factors)
            again = pickle.loads(pickle.dumps(schedule))
            assert [again(step) for step in range(total_steps)] == values


def test_invalid_warmups_are_refused():
    with pytest.raises(ConfigError, match=r"unknown scheduler.warmup 'cosin'; did you mean 'cosine'\?"):
        composed(warmup="cosin")
    for keys, message in (
        ({"start_factor": 1.0}, "scheduler.start_factor=1.0: must "),
        ({"warmup_level": -0.1}, "scheduler.warmup_level=-0.1: must "),
        ({"warmup_power": 0.0}, "scheduler.warmup_power=0.0: must be above 0"),
        ({"warmup_rate": 0.0}, "scheduler.warmup_rate=0.0: must be .*not 0"),
        ({"match": "area"}, "unknown scheduler.match 'area'"),
    ):
        with pytest.raises(ConfigError, match=message):
            SchedulerConfig("warmuplinear", **keys)
