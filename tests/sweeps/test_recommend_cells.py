"""The cells of each stage, composed by hand or by Hydra; nothing is trained."""

from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.comparison.recommend.record import Stage
from warmup_lab.config.model_schema import PretrainedModel, RandomModel
from warmup_lab.config.schema import OptimizerConfig, SchedulerConfig
from warmup_lab.config.task_schema import FilesTask, SyntheticTask
from warmup_lab.sweeps.recommend_cells import Base, RecommendCells

GRID = Stage("grid", (0, 1), (1e-3, 0.0021), 120)


def cells_of(*words, scheduler="linear", model=None, lr=1e-3, examples=1000, task=None):
    """`scheduler` is the shape of the warmup."""
    base = Base.read(OverridesParser.create().parse_overrides(list(words)))
    config = SimpleNamespace(
        scheduler=SchedulerConfig("warmuplinear", warmup=scheduler), optimizer=OptimizerConfig("adamw", lr),
        model=model or RandomModel(), batch_size=32, grad_accumulation=2, task=task,
    )  # fmt: skip
    corpus = SimpleNamespace(train=range(examples), validation=range(192))
    return RecommendCells(
        base, lambda _: SimpleNamespace(total_steps=120, warmup_steps=12, config=config, corpus=corpus)
    )


def test_a_split_off_validation_set_is_named():
    """1,000 training examples beside 192 that were split off."""
    (note,) = cells_of(task=FilesTask(train_file="a.csv")).notes
    assert note == "no task.validation_file: 192 of 1,192 examples are set apart to evaluate on"
    assert cells_of(task=FilesTask(train_file="a.csv", validation_file="b.csv")).notes == []
    assert cells_of(task=SyntheticTask()).notes == []


def test_every_rate_is_trained_without_and_with_the_warmup_at_the_same_seeds():
    cells = cells_of("batch_size=16", "warmup_ratio=0.2", "scheduler=warmupcosine", "epochs=2").of(GRID)
    assert len(cells) == 2 * 2 * 2
    without, with_ = cells[0], cells[2]
    assert without == [
        "batch_size=16",
        "epochs=2",
        "scheduler=warmupcosine",
        "warmup_steps=0",
        "optimizer.lr=0.001",
        "seed=0",
    ]
    assert [text if text != "warmup_ratio=0.2" else "warmup_steps=0" for text in with_] == without
    assert cells[-1][-2:] == ["optimizer.lr=0.0021", "seed=1"]


def test_a_warmup_without_a_length_is_replaced_where_there_is_none():
    without, _, with_, _ = cells_of("scheduler.warmup=radam", scheduler="radam").of(Stage("grid", (0, 1), (1e-3,), 120))
    assert without[:2] == ["scheduler.warmup=linear", "warmup_steps=0"]
    assert with_[0] == "scheduler.warmup=radam"


def test_ramps_leave_out_the_schedule_the_length_and_the_warmup_of_the_command():
    words = ("scheduler=warmupcosine", "scheduler.warmup=sqrt", "epochs=2", "warmup_steps=5", "task=trec", "seed=7")
    (ramp,) = cells_of(*words).of(Stage("ramp", (7,), (0.1,), 200))
    assert ramp == [
        "task=trec", "task.limit=256", "probe.overshoot_every=null", "max_steps=200", "scheduler=exponentialramp",
        "scheduler.ramp_start=0.001", "optimizer.lr=0.1", "seed=7",
    ]  # fmt: skip


def test_a_ramp_uses_no_more_examples_than_there_are():
    (ramp,) = cells_of("task.limit=40", examples=40).of(Stage("ramp", (0,), (0.1,), 60))
    assert [text for text in ramp if "limit" in text] == ["task.limit=40"]


@pytest.mark.parametrize(
    ("words", "options", "lrs"),
    [
        ((), {}, (1e-4, 0.1)),
        ((), {"lr": 0.1}, (0.01, 10.0)),  # sgd
        ((), {"model": PretrainedModel(path="somewhere")}, (1e-6, 1e-2)),
        (("optimizer.lr=1e-4",), {}, (1e-5, 0.1)),
        (("optimizer.lr=0.5",), {}, (1e-4, 5.0)),
    ],
)
def test_the_ramp_covers_the_usual_lr_and_the_given_one(words, options, lrs):
    assert cells_of(*words, **options).ramp_lrs == pytest.approx(lrs)


def test_an_evaluation_is_a_third_of_the_updates_of_its_examples():
    """192 examples are 3 updates of 64, and a forward pass is a third of an update."""
    assert cells_of().eval_updates == pytest.approx(1.0)
