"""The plan of a run: its identity, its name, its warmup, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from program import ROOT
from small_runs import small_plan

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.parse import resolve
from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.plan import Plan, make_plan
from warmup_lab.schedules.warmups import WARMUPS


def plan_with(*overrides: str, multirun: bool = False) -> Plan:
    """The plan of a run of 100 updates."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra.compose("config", ["task.num_train=320", "epochs=10", *overrides])
    return make_plan(resolve(config, multirun=multirun), multirun=multirun)


# ---------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize(
    ("keys", "run_id", "arm_id"),
    [
        ({}, "d25620d47a2f", "ac820d2e82c2"),
        ({"scheduler": "warmupcosine", "warmup_ratio": None, "seed": 3}, "0c2888303290", "15e0f586b658"),
        ({"scheduler": "constantlr", "warmup_ratio": None, "grad_accumulation": 2}, "566fed224b78", "7a643aa4fab5"),
    ],
)
def test_run_ids_are_those_of_earlier_versions(keys: dict[str, Any], run_id: str, arm_id: str) -> None:
    """A new id would train every finished run again. These were computed by the code of commit d283564."""
    plan = small_plan(device="cpu", precision="fp32", **keys)
    assert (plan.run_id, plan.arm_id) == (run_id, arm_id)


def test_the_run_id_depends_on_what_is_trained_and_not_on_how_it_is_recorded() -> None:
    plan = small_plan()
    same = [replace(plan.config, study="other", force=True, checkpoint_every=3, warmup_ratio=None, warmup_steps=4)]
    same += [replace(plan.config, epochs=1, max_steps=20)]
    assert {make_plan(config).run_id for config in same} == {plan.run_id}
    changes: list[dict[str, Any]] = [
        {"seed": 1}, {"warmup_ratio": 0.25}, {"batch_size": 16}, {"num_threads": 2}, {"epochs": 5},
        {"optimizer": OptimizerConfig("adamw", 2e-3)}, {"task": replace(plan.config.task, data_seed=1)},
    ]  # fmt: skip
    different = [make_plan(replace(plan.config, **change)) for change in changes]
    assert len({other.run_id for other in different} | {plan.run_id}) == 8
    assert [other.arm_id == plan.arm_id for other in different] == [True] + 6 * [False]


def test_settings_without_an_effect_do_not_change_the_run_id() -> None:
    plain = plan_with()
    assert plan_with("scheduler.match=t_eff").run_id == plain.run_id
    assert plan_with("scheduler.warmup_power=3").run_id == plain.run_id, "the warmup is not polynomial"
    assert plan_with("scheduler.warmup=sqrt").run_id != plain.run_id
    without_warmup = {plan_with("warmup_ratio=0", f"scheduler.warmup={name}").run_id for name in WARMUPS}
    assert len(without_warmup) == 1


# ------------------------------------------------------------------------------------------------------ warmup


def test_name_and_strategy_record_shape_and_t_eff() -> None:
    plan = plan_with("scheduler.warmup=Polynomial", "scheduler.match=t_eff")
    assert plan.name == "warmuplinear-polynomial(power=2)-w8-lr0.001-s0"
    assert plan.strategy()["warmup"] == "polynomial(power=2)"
    # 5.81 is nearest to the 5.5 of the linear warmup; 7 updates have 5.14.
    assert plan.strategy()["t_eff"] == pytest.approx(8 - 140 / 64)
    assert plan_with().strategy()["t_eff"] == pytest.approx(5.5)
    assert plan_with().name == "warmuplinear-w10-lr0.001-s0"


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "10 %"),
        (["warmup_ratio=0.025"], "2.5 %"),
        (["warmup_epochs=2"], "2 epochs"),
        (["warmup_steps=7"], None),
        (["scheduler=constantlr"], None),
        (["scheduler.warmup=radam"], None),
    ],
)
def test_requested_warmup_is_the_share_or_the_epochs(overrides: list[str], text: str | None) -> None:
    assert plan_with(*overrides).requested_warmup == text


def test_a_warmup_longer_than_the_run_is_described_with_the_lr_it_reaches() -> None:
    plan = plan_with("scheduler.warmup=untuned_linear", "scheduler=warmupconstant")
    assert plan.warmup_steps == plan.total_steps == 100
    assert plan.describe_warmup() == (
        "untuned_linear warmup of 2000 updates in a run of 100: the lr never reaches its peak "
        "(the warmup reaches 5 % of it, and the lr with its decay at most 5 %)"
    )
    assert plan_with("scheduler.warmup=sqrt").describe_warmup() == "10 of 100 updates of sqrt warmup"
    assert plan_with().describe_warmup() == "10 of 100 updates of warmup"


# ---------------------------------------------------------------------------------------------------- refusals


def test_a_length_for_an_automatic_warmup_is_refused_except_in_a_multirun() -> None:
    message = r"scheduler\.warmup=radam takes its length from beta2, and warmup_ratio=0\.1 sets another"
    with pytest.raises(ConfigError, match=message):
        plan_with("scheduler.warmup=radam", "warmup_ratio=0.1")
    ids = {
        plan_with("scheduler.warmup=radam", f"warmup_ratio={ratio}", multirun=True).run_id for ratio in (0, 0.1, 0.5)
    }
    assert len(ids) == 1


def test_a_warmup_for_constantlr_is_refused_except_in_a_multirun() -> None:
    for override in ("scheduler.warmup=sqrt", "warmup_ratio=0.1"):
        with pytest.raises(ConfigError, match="scheduler=constantlr has no warmup: use scheduler=warmupconstant"):
            plan_with("scheduler=constantlr", override)
    plans = [plan_with("scheduler=constantlr", f"warmup_ratio={ratio}", multirun=True) for ratio in (0, 0.1)]
    assert [plan.warmup_steps for plan in plans] == [0, 0]
    assert plans[0].run_id == plans[1].run_id


# ---------------------------------------------------------------------------------- metrics and warnings


@pytest.mark.parametrize(
    "overrides",
    [
        ["objective=late/roughness", "compare.metric=excess"],
        ["objective=eval_f1", "compare.metric=eval_f1", "task.metric=f1"],
        ["objective=overshoot_rate", "probe=overshoot"],
    ],
)
def test_metrics_that_the_run_will_have_pass(overrides: list[str]) -> None:
    plan_with(*overrides)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective=nothing", "objective=nothing: no such metric. Known: train_loss, eval_loss, eval_accuracy"),
        ("objective=excess", "objective=excess: no such metric"),
        ("objective=eval_f1", "objective=eval_f1: no such metric"),
        ("objective=whole/overshoot_rate", "objective=whole/overshoot_rate needs probe=overshoot"),
        ("compare.metric=roughnes", "compare.metric=roughnes: no such metric; did you mean 'roughness'? Known: "),
    ],
)
def test_a_metric_that_the_run_will_not_have_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan_with(override)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [
        (["batch_size=320"], ""),
        (["batch_size=321"], "batch_size=321 is more than the 320 training examples"),
        (["batch_size=160", "grad_accumulation=2"], ""),
        (["batch_size=160", "grad_accumulation=3"], "batch_size=160 x grad_accumulation=3 is more than the 320"),
    ],
)
def test_a_batch_larger_than_the_data_is_a_warning(overrides: list[str], warned: str) -> None:
    warnings = plan_with(*overrides).warnings
    assert [text[: len(warned)] for text in warnings] == [warned] * bool(warned)
