"""Optuna's search: what it asks, how it continues a study, and what it writes. Nothing is trained."""

import itertools
import json

import pytest
from fake_plans import write_result
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.config.errors import ConfigError
from warmup_lab.sweeps.optuna_search import OptunaSearch, SearchSettings

pytest.importorskip("optuna")
SETTINGS = {"n_trials": 5, "batch_size": 2, "direction": "minimize", "seed": 0, "objective": "eval_loss"}


def search(folder, *words, **settings):
    overrides = OverridesParser.create().parse_overrides(list(words))
    return OptunaSearch(overrides, folder, SearchSettings(**{**SETTINGS, **settings}))


def result(run_id="a", loss=0.5, **values):
    return {
        "run_id": run_id, "status": "completed", "failed_to_learn": False, "metrics": {"eval_loss": loss}, **values
    }  # fmt: skip


def lr_of(cell):
    (text,) = (override for override in cell if override.startswith("lr="))
    return float(text.removeprefix("lr="))


def train(found, folder, max_batches=99):
    """Answers each batch with (lr - 0.3)^2 as the loss, in runs named by their lr; returns the cells."""
    cells = []
    for _ in range(max_batches):
        batch = found.ask()
        if not batch:
            break
        results = []
        for cell in batch:
            run_id, loss = f"{lr_of(cell):.6f}", (lr_of(cell) - 0.3) ** 2
            write_result(folder / run_id, metrics={"eval_loss": loss})
            results.append(result(run_id, loss))
        found.tell(results)
        cells += batch
    return cells


def written(folder):
    return json.loads((folder / "search.json").read_text())


# ------------------------------------------------------------------------------------------------ one process


def test_a_search_asks_in_batches_up_to_the_number_of_trials(tmp_path):
    found = search(tmp_path, "seed=3", "lr=tag(log, interval(1e-4, 1e-2))", "width=choice(32,64)", "layers=range(1,3)",
                   "n=int(interval(1,4))")  # fmt: skip
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


def test_without_a_storage_the_same_seed_gives_the_same_cells(tmp_path):
    first = train(search(tmp_path, "lr=interval(0, 1)"), tmp_path)
    assert train(search(tmp_path, "lr=interval(0, 1)"), tmp_path) == first
    assert search(tmp_path, "lr=interval(0, 1)", seed=1).ask() != first[:2]


def test_states_reported_to_optuna_and_to_the_terminal(tmp_path, capsys):
    """Runs that diverged or failed to learn are pruned; errors and missing results are failed trials."""
    found = search(tmp_path, "lr=interval(0, 1)", batch_size=5)
    found.ask()
    diverged = result("c", None, status="diverged", failed_to_learn=True)
    found.tell([result("a", 0.5), result("b", failed_to_learn=True), diverged, result("d", status="error"), None])
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", lr=")[0] for line in lines] == [
        "trial 0: eval_loss 0.5", "trial 1: failed to learn", "trial 2: failed to learn", "trial 3: ended in an error",
        "trial 4: ended in an error",
    ]  # fmt: skip
    assert all(line.endswith("; best 0.5 (trial 0)") for line in lines)
    trials = written(tmp_path)["trials"]
    assert [trial["state"] for trial in trials] == ["completed", "failed", "failed", "error", "error"]
    assert [trial["run_id"] for trial in trials] == ["a", "b", "c", "d", None]
    assert [trial["value"] for trial in trials] == [0.5, None, None, None, None]


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 0)])
def test_the_best_trial_has_a_command(tmp_path, monkeypatch, direction, best):
    monkeypatch.setattr("sys.argv", ["train.py", "-m", "lr=interval(0, 1)"])
    found = search(tmp_path, "task=x y", "lr=interval(0, 1)", "other=a,b", direction=direction, objective="roughness")
    cells = found.ask()
    rough = [{"oscillation": {"whole": {"roughness": value}}} for value in (0.5, 0.2)]
    found.tell([result("a", metrics=rough[0]), result("b", metrics=rough[1])])
    told = written(tmp_path)["best"]
    assert (told["number"], told["run_id"]) == (best, "ab"[best])
    assert told["command"].endswith(f"train.py 'task=x\\ y' {cells[best][1]} {cells[best][2]}")
    assert list(told["params"]) == ["lr", "other"]


@pytest.mark.parametrize(
    ("num_trials", "words", "note"),
    [
        (14, ["lr=interval(0, 1)", "b=interval(0, 1)"], "14 completed trials are too few, 15 are needed"),
        (15, ["lr=interval(0, 1)", "b=interval(0, 1)"], "rough: only 15 completed trials"),
        (30, ["lr=interval(0, 1)", "b=interval(0, 1)"], None),
        (15, ["lr=interval(0, 1)"], "only one parameter was searched"),
    ],
)
def test_importance_needs_enough_trials_and_several_parameters(tmp_path, num_trials, words, note):
    train(search(tmp_path, *words, n_trials=num_trials, batch_size=num_trials), tmp_path)
    told = written(tmp_path)
    assert told["importance_note"] == note
    if note and "rough" not in note:
        assert told["importance"] is None
    else:
        assert sum(told["importance"].values()) == pytest.approx(1)
    if num_trials == 30:
        assert told["importance"]["lr"] > 0.5, "the loss depends on lr alone"


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (["seed=3"], {}, "nothing to search"),
        (["lr=interval(0, 1)"], {"direction": "up"}, "hydra.sweeper.direction=up: type minimize or maximize"),
        (["lr=interval(0, 1)"], {"storage": "nowhere"}, "hydra.sweeper.storage=nowhere: "),
    ],
)
def test_a_search_refuses(tmp_path, words, settings, message):
    with pytest.raises(ConfigError, match=message):
        search(tmp_path, *words, **settings)


# ------------------------------------------------------------------------------------------------ a study that is kept


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


def test_with_a_storage_the_study_continues_with_new_trials(tmp_path, storage, capsys):
    first = train(search(tmp_path, "lr=interval(0, 1)", storage=storage, n_trials=3), tmp_path)
    capsys.readouterr()
    found = search(tmp_path, "lr=interval(0, 1)", storage=storage, n_trials=5)
    assert found.ask() == first, "the runs of the folder stay in the report"
    found.tell([result()] * 3)
    assert capsys.readouterr().err == f"3 of 5 trials are in {storage}\n", "finished trials are not told twice"
    more = train(found, tmp_path)
    assert len(more) == 2
    assert not {lr_of(cell) for cell in more} & {lr_of(cell) for cell in first}, "the sampler does not start again"
    assert [trial["number"] for trial in written(tmp_path)["trials"]] == [0, 1, 2, 3, 4]
    assert search(tmp_path, "lr=interval(0, 1)", storage=storage, n_trials=5).ask() == first + more


def test_in_another_folder_only_the_new_trials_are_trained(tmp_path, storage):
    train(search(tmp_path / "a", "lr=interval(0, 1)", storage=storage, n_trials=3), tmp_path / "a")
    other = tmp_path / "b"
    assert len(train(search(other, "lr=interval(0, 1)", storage=storage, n_trials=5), other)) == 2
    with pytest.raises(ConfigError, match=r"has the 3 trials of the study sweep; .* raise hydra.sweeper.n_trials"):
        search(tmp_path / "c", "lr=interval(0, 1)", storage=storage, n_trials=3)


def test_interrupted_and_failed_trials_come_first_and_only_once(tmp_path, storage):
    found = search(tmp_path, "lr=interval(0, 1)", storage=storage, batch_size=1)
    (failed,) = found.ask()
    found.tell([None])
    (interrupted,) = found.ask()
    for _ in range(2):  # the second process is interrupted before it asks
        found = search(tmp_path, "lr=interval(0, 1)", storage=storage, batch_size=2)
    assert found.ask() == [failed, interrupted]
    found.tell([result("a"), result("b")])
    assert len(train(found, tmp_path)) == 3


def test_a_search_ends_even_if_every_run_ends_in_an_error(tmp_path, storage):
    found = search(tmp_path, "lr=interval(0, 1)", storage=storage)
    sizes = []
    while batch := found.ask():
        sizes.append(len(batch))
        found.tell([None] * len(batch))
    assert sizes == [2, 2, 1]
    assert written(tmp_path)["best"] is None


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (["task=b", "lr=interval(0, 1)"], {}, "has another configuration: task=a instead of task=b"),
        (["task=a", "lr=interval(0, 1)"], {"objective": "train_loss"}, "has another objective: eval_loss instead of "),
        (["task=a", "lr=interval(0, 1)"], {"objective": "eval_accuracy", "direction": "maximize"}, "another direction"),
        (["task=a", "lr=interval(0, 1)", "tracking=none"], {}, None),
    ],
)
def test_a_study_of_another_question_is_refused(tmp_path, storage, words, settings, message):
    search(tmp_path, "task=a", "lr=interval(0, 1)", storage=storage)
    if message is None:
        search(tmp_path, *words, storage=storage, **settings)
    else:
        with pytest.raises(ConfigError, match=message):
            search(tmp_path, *words, storage=storage, **settings)
    search(tmp_path, *words, storage=storage, study_name="other", **settings)


def test_other_values_of_a_choice_are_refused(tmp_path, storage):
    search(tmp_path, "width=32,64", storage=storage).ask()
    with pytest.raises(ConfigError, match=r"study.db: .*; choose another hydra.sweeper.study_name"):
        search(tmp_path, "width=32,128", storage=storage).ask()
