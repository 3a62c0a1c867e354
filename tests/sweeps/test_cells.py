"""The cells of a grid and of Optuna's search."""

import itertools

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.config.errors import ConfigError
from warmup_lab.sweeps.cells import Grid, OptunaSearch

OPTIONS = {"num_trials": 5, "batch_size": 2, "direction": "minimize", "seed": 0, "objective": "eval_loss"}


def parse(*words):
    return OverridesParser.create().parse_overrides(list(words))


def test_a_grid_is_one_batch_of_all_combinations_in_the_given_order():
    grid = Grid(parse("a=1,2", "b=x", "seed=range(2)"))
    assert grid.ask() == [
        ["a=1", "b=x", "seed=0"],
        ["a=1", "b=x", "seed=1"],
        ["a=2", "b=x", "seed=0"],
        ["a=2", "b=x", "seed=1"],
    ]
    assert grid.ask() == []


def test_a_grid_refuses_an_interval():
    with pytest.raises(ConfigError, match=r"optimizer.lr=interval.* a grid needs values, such as optimizer.lr=1,2"):
        Grid(parse("optimizer.lr=interval(1e-4, 1e-2)"))


def search(*words, **options):
    pytest.importorskip("optuna")
    return OptunaSearch(parse(*words), **{**OPTIONS, **options})


def result(**values):
    return {"status": "completed", "failed_to_learn": False, "metrics": {"eval_loss": 0.5}, **values}


def test_a_search_asks_in_batches_up_to_the_number_of_trials():
    found = search(
        "seed=3",
        "lr=tag(log, interval(1e-4, 1e-2))",
        "width=choice(32,64)",
        "layers=range(1,3)",
        "n=int(interval(1,4))",
    )
    batches = []
    while batch := found.ask():
        batches.append(batch)
        found.tell([result()] * len(batch))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    for cell in itertools.chain(*batches):
        values = dict(override.split("=") for override in cell)
        assert values["seed"] == "3"
        assert 1e-4 <= float(values["lr"]) <= 1e-2
        assert values["width"] in ("32", "64")
        assert values["layers"] in ("1", "2")
        assert values["n"] in ("1", "2", "3", "4")


def test_the_same_sampler_seed_gives_the_same_cells():
    assert search("lr=interval(0, 1)").ask() == search("lr=interval(0, 1)").ask()
    assert search("lr=interval(0, 1)").ask() != search("lr=interval(0, 1)", seed=1).ask()


def test_states_reported_to_optuna():
    """Runs that diverged or failed to learn are pruned; errors and missing results are failed trials."""
    found = search("lr=interval(0, 1)", num_trials=5, batch_size=5)
    found.ask()
    diverged = result(status="diverged", failed_to_learn=True, metrics={"eval_loss": None})
    found.tell([result(), result(failed_to_learn=True), diverged, result(status="error", metrics={}), None])
    trials = found._study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "PRUNED", "FAIL", "FAIL"]
    assert trials[0].value == 0.5


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["seed=3"], {}, "nothing to search"),
        (["lr=interval(0, 1)"], {"direction": "up"}, "hydra.sweeper.direction=up: minimize or maximize"),
    ],
)
def test_a_search_refuses(words, options, message):
    with pytest.raises(ConfigError, match=message):
        search(*words, **options)
