"""What `comparison.json` says about a search, from `search.json`."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from warmup_lab.comparison.search import search_section

BEST = {"number": 7, "run_id": "a", "value": 0.123456, "params": {"optimizer.lr": 0.00123456, "model": "bert_tiny"}}


def section(folder, *, num_trials=20, command="python train.py -m", guess_loss=0.69, **values):
    found = {
        "command": "python train.py -m", "objective": "eval_loss", "num_planned": 20, "trials": [{}] * num_trials,
        "best": BEST, "importance": {"optimizer.lr": 0.934, "model": 0.066}, "importance_note": None,
    } | values  # fmt: skip
    (folder / "search.json").write_text(json.dumps(found))
    runs = pd.DataFrame({"guess_loss": [guess_loss, guess_loss]})
    return search_section(SimpleNamespace(directory=folder, command=command, runs=runs))


def test_the_best_trial_and_the_importance_of_the_parameters(tmp_path):
    found = section(tmp_path)
    assert found["headline"] == (
        "Best of 20 trials: optimizer.lr=0.001235, model=bert_tiny, final evaluation loss 0.1235 (trial 7)."
    )
    assert found["cautions"] == ["This value is the one that chose the trial, so expect a worse one at other seeds."]
    assert found["sentences"] == ["Importance of the parameters: optimizer.lr 93 %, model 7 %."]
    assert found["best"] == BEST


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"importance_note": "rough: only 20 completed trials"},
         "Importance of the parameters: optimizer.lr 93 %, model 7 % (rough: only 20 completed trials)."),
        ({"importance": None, "importance_note": "9 completed trials are too few, 15 are needed"},
         "The importance of the parameters is not known: 9 completed trials are too few, 15 are needed."),
    ],
)  # fmt: skip
def test_how_far_an_importance_can_be_trusted(tmp_path, values, sentence):
    assert section(tmp_path, **values)["sentences"] == [sentence]


def test_an_unfinished_search_says_how_many_trials_it_has(tmp_path):
    assert section(tmp_path, num_trials=3)["headline"].startswith("Best of 3 of 20 trials: ")
    assert section(tmp_path, num_trials=1, num_planned=1)["headline"].startswith("Best of 1 trial: ")


def test_a_best_trial_that_only_guesses_is_named_as_such(tmp_path):
    first, *_ = section(tmp_path, guess_loss=0.12)["cautions"]
    assert first == "This is no better than guessing (0.12): train longer, or search other values."


def test_a_search_in_which_no_run_learned(tmp_path):
    found = section(tmp_path, best=None, importance=None, importance_note="0 completed trials are too few")
    assert (found["headline"], found["cautions"], found["sentences"]) == ("None of 20 trials learned.", [], [])


def test_the_file_of_an_earlier_search_in_the_folder_is_ignored(tmp_path):
    assert section(tmp_path, command="python train.py -m seed=0,1") is None
    (tmp_path / "search.json").unlink()
    assert search_section(SimpleNamespace(directory=tmp_path, command="", runs=None)) is None
