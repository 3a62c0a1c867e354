"""Every schedule against transformers' and torch's, published test vectors, papers' formulas, hand-made numbers."""

import inspect
import math
import pickle

import hydra
import pytest
import torch
import transformers
from transformers.trainer_utils import SchedulerType

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import SchedulerConfig
from warmup_lab.config.steps import ceil_share, num_steps_per_epoch
from warmup_lab.schedules.registry import (
    NO_FUNCTION_OF_THE_UPDATE,
    SCHEDULES,
    compose_schedule,
    has_warmup,
    make_schedule,
)
from warmup_lab.schedules.shapes import WARMUPS
from warmup_lab.schedules.warmups import AUTOMATIC, matched_steps, radam, t_eff

TOTALS = (1, 2, 100, 3600)
FIVE = ("warmupconstant", "warmuplinear", "warmupcosine", "warmupcosinewithhardrestarts")
WITH_WARMUP = [name for name in SCHEDULES if has_warmup(name)]


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
@pytest.mark.parametrize("name", FIVE)
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


# ------------------------------------------------------------------------- transformers' names, and torch's


def under_transformers(name, warmup_steps: int, total_steps: int, peak: float, **options) -> list[float]:
    """Multipliers of `transformers.get_scheduler` at every update."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    total = None if "num_stable_steps" in options else total_steps  # it warns of both
    scheduler = transformers.get_scheduler(name, optimizer, warmup_steps, total, options or None)
    return [scheduler.lr_lambdas[0](step) for step in range(total_steps)]


OPTIONS = {
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


@pytest.mark.parametrize(("name", "options"), [(name, o) for name, several in OPTIONS.items() for o in several])
def test_a_name_of_transformers_means_what_it_means_there(name, options):
    peak = 1e-3
    for total_steps in (1, 2, 97, 360):
        for warmup_steps in [0] if name == "constant" else warmups(total_steps):
            given = dict(options)
            if given.get("num_decay_steps", 0) is None:  # transformers wants a number, ours is 20 % by default
                given["num_decay_steps"] = min(total_steps - warmup_steps, ceil_share(0.2, total_steps))
            schedule = make_schedule(name, options, warmup_steps=warmup_steps, total_steps=total_steps, peak_lr=peak)
            theirs = under_transformers(name, warmup_steps, total_steps, peak, **given)
            ours = [schedule(step) for step in range(total_steps)]
            assert ours == pytest.approx(theirs, abs=1e-12, rel=0), (warmup_steps, total_steps)


def test_every_name_of_transformers_is_known_or_refused_with_its_reason():
    names = {kind.value for kind in SchedulerType}
    assert names == set(OPTIONS) | set(NO_FUNCTION_OF_THE_UPDATE)
    for name in NO_FUNCTION_OF_THE_UPDATE:
        with pytest.raises(ConfigError, match="is no function of the update: it "):
            make_schedule(name, warmup_steps=0, total_steps=10)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "constant"])
def test_options_have_the_defaults_of_transformers(name):
    function = transformers.optimization.TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]
    theirs = inspect.signature(function).parameters
    ours = inspect.signature(SCHEDULES[name]).parameters.values()
    for option in (one for one in ours if one.default is not inspect.Parameter.empty):
        if option.name != "num_decay_steps":  # required there
            assert option.default == theirs[option.name].default, option.name


@pytest.mark.parametrize("total_steps", [4, 10, 97, 360])
@pytest.mark.parametrize(
    "options",
    [{}, {"anneal_strategy": "linear", "div_factor": 10.0}, {"three_phase": True, "final_div_factor": 100.0}],
)
def test_onecycle_equals_torch(options, total_steps):
    for warmup_steps in sorted({2, ceil_share(0.3, total_steps), total_steps // 2, total_steps - 1}):
        if options.get("three_phase") and warmup_steps > total_steps / 2:
            continue
        schedule = make_schedule("onecycle", options, warmup_steps=warmup_steps, total_steps=total_steps)
        theirs = learning_rates(
            lambda o, w=warmup_steps: torch.optim.lr_scheduler.OneCycleLR(
                o, max_lr=1.0, total_steps=total_steps, pct_start=w / total_steps, cycle_momentum=False, **options
            ),
            num_steps=total_steps - 1,  # torch refuses to be stepped once more
        )
        assert [schedule(step) for step in range(total_steps - 1)] == pytest.approx(theirs, abs=1e-12, rel=0)
        lowest = 1 / options.get("div_factor", 25.0) / options.get("final_div_factor", 1e4)
        assert schedule(total_steps - 1) == pytest.approx(lowest, abs=1e-12)


def test_linear_with_min_lr_equals_torch_behind_the_warmup():
    schedule = make_schedule("linear_with_min_lr", {"min_lr_rate": 0.25}, warmup_steps=7, total_steps=57)
    theirs = learning_rates(
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.25, total_iters=50), num_steps=50
    )
    assert [schedule(step) for step in range(7, 57)] == pytest.approx(theirs, abs=1e-12)


def test_bertlinear_is_the_decay_of_bert_itself():
    """google-research/bert, optimization.py: polynomial_decay of power 1 to 0 over all steps; a warmup replaces it."""
    schedule = make_schedule("bertlinear", warmup_steps=4, total_steps=10)
    expected = [0.0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert [schedule(step) for step in range(10)] == pytest.approx(expected)
    unshifted = [make_schedule("bertlinear", warmup_steps=0, total_steps=10)(step) for step in range(10)]
    assert unshifted == pytest.approx(reference("warmuplinear", 0, 10))


def test_exponentialramp_by_hand():
    schedule = make_schedule("exponentialramp", {"ramp_start": 1e-4}, warmup_steps=0, total_steps=5)
    assert [schedule(step) for step in range(5)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert make_schedule("exponentialramp", warmup_steps=0, total_steps=1)(0) == 1.0


# --------------------------------------------------------------------------------------------- warmup shapes


def composed(name: str = "warmupconstant", *, warmup_steps=8, total_steps=20, beta2=None, optimizer="", **keys):
    config = SchedulerConfig(name, **keys)
    return compose_schedule(
        config, warmup_steps=warmup_steps, total_steps=total_steps, beta2=beta2, optimizer=optimizer
    )


SHAPES = [
    ({"warmup": "linear"}, [0, 0.25, 0.5, 0.75]),
    ({"warmup": "cosine"}, [0, (1 - 2**-0.5) / 2, 0.5, (1 + 2**-0.5) / 2]),
    ({"warmup": "polynomial"}, [0, 1 / 16, 1 / 4, 9 / 16]),
    ({"warmup": "polynomial", "warmup_power": 0.5}, [0, 0.5, 0.5**0.5, 0.75**0.5]),
    ({"warmup": "exponential", "warmup_rate": 4 * math.log(2)}, [0, 8 / 15, 12 / 15, 14 / 15]),
    ({"warmup": "exponential", "warmup_rate": -4 * math.log(2)}, [0, 1 / 15, 3 / 15, 7 / 15]),
    ({"warmup": "sqrt"}, [0, 1 - 0.75**0.5, 1 - 0.5**0.5, 0.5]),
    ({"warmup": "step"}, [0.1] * 4),
    ({"warmup": "step", "warmup_level": 0.5, "start_factor": 0.5}, [0.75] * 4),
    ({"start_factor": 0.2}, [0.2, 0.4, 0.6, 0.8]),
    ({"skip_zero": True}, [0.2, 0.4, 0.6, 0.8]),
    ({"warmup": "polynomial", "start_factor": 0.5}, [0.5, 0.53125, 0.625, 0.78125]),
]


@pytest.mark.parametrize(("keys", "expected"), SHAPES)
@pytest.mark.parametrize("name", ["warmupconstant", "warmuplinear", "bertlinear", "inverse_sqrt", "onecycle"])
def test_warmup_shapes_by_hand_before_any_decay(name, keys, expected):
    if name == "onecycle" and keys == {"warmup": "linear"}:
        pytest.skip("its own warmup")
    schedule = composed(name, warmup_steps=4, total_steps=12, **keys)
    assert [schedule(step) for step in range(4)] == pytest.approx(expected)
    plain = make_schedule(name, warmup_steps=4, total_steps=12)
    assert [schedule(step) for step in range(4, 12)] == [plain(step) for step in range(4, 12)], "the decay is its own"


def test_shapes_equal_those_that_transformers_has():
    for ours, theirs in (("cosine", "cosine"), ("sqrt", "1-sqrt")):
        schedule = composed("warmup_stable_decay", warmup_steps=30, total_steps=100, warmup=ours)
        expected = under_transformers("warmup_stable_decay", 30, 100, 1.0, num_decay_steps=20, warmup_type=theirs)
        assert [schedule(step) for step in range(100)] == pytest.approx(expected, abs=1e-12)


def test_defaults_leave_every_schedule_as_it_was():
    for name in SCHEDULES:
        for warmup_steps in warmups(100) if has_warmup(name) else [0]:
            plain = make_schedule(name, warmup_steps=warmup_steps, total_steps=100)
            again = composed(name, warmup_steps=warmup_steps, total_steps=100)
            assert [plain(step) for step in range(100)] == [again(step) for step in range(100)]


@pytest.mark.parametrize("warmup", [*WARMUPS, *AUTOMATIC])
@pytest.mark.parametrize("name", WITH_WARMUP)
def test_every_warmup_goes_with_every_schedule(name, warmup):
    """In [0, 1], never NaN, rising during warmup, and the same after pickling; also at lengths 0, 1 and all."""
    for total_steps in (1, 2, 50):
        for warmup_steps in warmups(total_steps):
            schedule = composed(
                name, warmup_steps=warmup_steps, total_steps=total_steps, warmup=warmup, beta2=0.9, optimizer="adamw"
            )
            values = [schedule(step) for step in range(total_steps)]
            assert all(0.0 <= value <= 1.0 for value in values)
            factors = [schedule.warmup_factor(step) for step in range(total_steps)]
            assert factors == sorted(factors)
            again = pickle.loads(pickle.dumps(schedule))
            assert [again(step) for step in range(total_steps)] == values


def test_wrong_warmups_are_refused_in_words():
    with pytest.raises(ConfigError, match=r"unknown scheduler.warmup 'cosin'; did you mean 'cosine'\?"):
        composed(warmup="cosin")
    for keys, message in (
        ({"start_factor": 1.0}, "scheduler.start_factor=1.0: must lie in"),
        ({"warmup_level": -0.1}, "scheduler.warmup_level=-0.1: must lie in"),
        ({"warmup_power": 0.0}, "scheduler.warmup_power=0.0: must be above 0"),
        ({"warmup_rate": 0.0}, "scheduler.warmup_rate=0.0: must not be 0"),
        ({"match": "area"}, "unknown scheduler.match 'area'"),
    ):
        with pytest.raises(ConfigError, match=message):
            SchedulerConfig("warmuplinear", **keys)


# ------------------------------------------------------------------------------------- warmups of beta2


def test_untuned_warmups_are_those_of_ma_and_yarats():
    """min(1, (1 - beta2) t / 2) and 1 - exp(-(1 - beta2) t), t = 1, 2, ...; both hold back 1 / (1 - beta2) updates."""
    linear = composed(warmup="untuned_linear", beta2=0.999, total_steps=5000, optimizer="adam")
    exponential = composed(warmup="untuned_exponential", beta2=0.999, total_steps=20_000, optimizer="adam")
    assert [linear(t - 1) for t in (1, 2, 1000, 2000, 2001)] == pytest.approx([0.0005, 0.001, 0.5, 1.0, 1.0])
    assert [exponential(t - 1) for t in (1, 1000)] == pytest.approx([1 - math.exp(-0.001), 1 - math.exp(-1)])
    assert t_eff(linear, 5000) == pytest.approx(sum(1 - t / 2000 for t in range(1, 2000))) == pytest.approx(999.5)
    assert t_eff(exponential, 20_000) == pytest.approx(1 / math.expm1(0.001)) == pytest.approx(999.5, abs=1e-3)
    assert linear.warmup.warmup_steps == exponential.warmup.warmup_steps == 2000


@pytest.mark.parametrize("beta2", [0.9, 0.99, 0.999])
def test_radam_is_the_rectification_of_torch(beta2):
    """At a constant gradient of 1, RAdam's update is -lr r where rho > 5, and Adam's -lr: r can be read off."""
    weight = torch.zeros(1, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.RAdam([weight], lr=1.0, betas=(0.9, beta2), eps=1e-300)
    for update in range(200):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        factor, count = radam(update, beta2), update + 1
        rho = 2 / (1 - beta2) - 1 - 2 * count * beta2**count / (1 - beta2**count)
        assert factor == pytest.approx(before - weight.item() if rho > 5 else 0.0, abs=1e-9)


def test_radam_rests_for_the_five_updates_in_which_the_paper_has_momentum_alone():
    assert [radam(t, 0.999) > 0 for t in range(8)] == [False] * 5 + [True] * 3


def test_an_automatic_warmup_multiplies_the_decay_of_the_whole_run():
    schedule = composed("warmuplinear", warmup="untuned_linear", beta2=0.9, total_steps=10, optimizer="adam")
    expected = [0.05 * (t + 1) * (1 - t / 10) for t in range(10)]
    assert [schedule(step) for step in range(10)] == pytest.approx(expected)


def test_automatic_warmups_need_a_beta2_that_fits():
    with pytest.raises(ConfigError, match="optimizer=sgd has no betas: use another optimizer, or one of linear, cosi"):
        composed(warmup="untuned_linear", optimizer="sgd")
    with pytest.raises(ConfigError, match=r"needs beta2 above 2/3, and optimizer\.betas has 0\.5"):
        composed(warmup="radam", beta2=0.5, optimizer="adam")
    with pytest.raises(ConfigError, match=r"leave scheduler\.skip_zero=false"):
        composed(warmup="radam", beta2=0.99, optimizer="adam", skip_zero=True)


# -------------------------------------------------------------------------------------------- equal T_eff


def test_t_eff_by_hand():
    assert t_eff(composed(warmup_steps=4), 20) == pytest.approx(1 + 0.75 + 0.5 + 0.25)
    assert t_eff(composed("warmuplinear", warmup_steps=4), 20) == pytest.approx(2.5), "the decay does not count"
    assert t_eff(composed(warmup="polynomial", warmup_steps=4), 20) == pytest.approx(1 + 15 / 16 + 3 / 4 + 7 / 16)
    assert t_eff(composed(warmup="step", warmup_steps=10), 20) == pytest.approx(9)
    assert t_eff(composed(warmup_steps=0), 20) == 0
    assert t_eff(make_schedule("exponentialramp", warmup_steps=0, total_steps=20), 20) == 0


@pytest.mark.parametrize("keys", [keys for keys, _ in SHAPES])
def test_matching_finds_the_length_of_the_nearest_t_eff(keys):
    """Against trying every length."""
    for asked in (0, 1, 5, 20, 36):
        schedule = composed(warmup_steps=asked, total_steps=360, match="t_eff", **keys)
        wanted = asked + 1 if asked else 0  # twice the T_eff of the linear warmup: the sum of 1 - t / W
        tried = [abs(2 * t_eff(composed(warmup_steps=w, total_steps=360, **keys), 360) - wanted) for w in range(200)]
        reached = abs(2 * t_eff(schedule, 360) - wanted)
        assert reached == pytest.approx(min(tried))
        if keys == {"warmup": "linear"}:
            assert schedule.warmup.warmup_steps == asked


def test_matching_beyond_the_run_is_refused_in_words():
    ramp = composed(warmup="exponential", warmup_steps=50, total_steps=100).warmup
    with pytest.raises(
        ConfigError, match=r"no exponential.* within 100 updates has the T_eff of the linear one of 50, 25"
    ):
        matched_steps(ramp, 100)
    assert matched_steps(composed(warmup="sqrt", warmup_steps=100, total_steps=100).warmup, 100) == 75


# ----------------------------------------------------------------------------------- in a run's plan


def plan_with(*overrides: str, multirun: bool = False):
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from warmup_lab.config.parse import ROOT, resolve
    from warmup_lab.plan import make_plan

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra.compose("config", ["task.num_train=320", "epochs=10", *overrides])
    return make_plan(resolve(config, multirun=multirun), multirun=multirun)


def test_a_plan_records_shape_and_t_eff_and_names_what_is_unusual():
    plan = plan_with("scheduler.warmup=Polynomial", "scheduler.match=t_eff")
    assert plan.name == "warmuplinear-polynomial(power=2)-w8-s0"
    assert plan.strategy()["warmup"] == "polynomial(power=2)"
    assert plan.strategy()["t_eff"] == pytest.approx(8 - 140 / 64)  # 5.81; of 7 updates 5.14, and wanted is 5.5
    assert plan_with().strategy()["t_eff"] == pytest.approx(5.5)
    assert plan_with().name == "warmuplinear-w10-s0"


def test_what_makes_no_difference_makes_no_other_run():
    usual = plan_with()
    assert plan_with("scheduler.match=t_eff").run_id == usual.run_id
    assert plan_with("scheduler.warmup_power=3").run_id == usual.run_id, "no polynomial is asked for"
    assert plan_with("scheduler.warmup=sqrt").run_id != usual.run_id
    without = {plan_with("warmup_ratio=0", f"scheduler.warmup={name}").run_id for name in WARMUPS}
    assert len(without) == 1


def test_an_automatic_warmup_longer_than_the_run_is_said_plainly():
    plan = plan_with("scheduler.warmup=untuned_linear", "scheduler=warmupconstant")
    assert plan.warmup_steps == plan.total_steps == 100
    assert plan.warmup_in_words() == (
        "untuned_linear warmup of 2000 updates in a run of 100, so the peak is never reached "
        "(the warmup comes to 5 % of it, and the lr with its decay to 5 % at most)"
    )
    assert plan_with("scheduler.warmup=sqrt").warmup_in_words() == "10 of 100 updates of sqrt warmup"


def test_a_length_and_an_automatic_warmup_exclude_each_other_but_in_a_grid():
    with pytest.raises(
        ConfigError, match=r"scheduler\.warmup=radam takes its length from beta2, and warmup_ratio=0\.1"
    ):
        plan_with("scheduler.warmup=radam", "warmup_ratio=0.1")
    ids = {
        plan_with("scheduler.warmup=radam", f"warmup_ratio={ratio}", multirun=True).run_id for ratio in (0, 0.1, 0.5)
    }
    assert len(ids) == 1
    with pytest.raises(ConfigError, match="scheduler=constantlr has no warmup"):
        plan_with("scheduler=constantlr", "scheduler.warmup=sqrt")
