"""The section of the page on the trials of a search."""

import re

import pytest

from warmup_lab.report.page import page_environment

TRIALS = [
    {"number": 0, "run_id": "aa", "state": "completed", "value": 0.5, "params": {"lr": 0.1, "model": "<bert>"}},
    {"number": 1, "run_id": None, "state": "error", "value": None, "params": {"lr": 0.01, "model": "b"}},
    {"number": 2, "run_id": "cc", "state": "failed", "value": None, "params": {"lr": 0.012346, "model": "b"}},
]
BEST = {"number": 0, "command": "python train.py lr=0.1 'model=<bert>'"}


def section(**values):
    search = {"objective": "eval_loss", "trials": TRIALS, "best": BEST, "importance": None, "importance_note": "few"}
    return page_environment().get_template("search.html.jinja").render(c={"search": search | values})


def test_every_trial_has_a_row():
    rows = re.findall("<tr>(.*?)</tr>", section())
    cells = [[re.sub("<[^>]+>", "", cell) for cell in re.findall("<t[dh].*?</t[dh]>", row)] for row in rows]
    assert cells == [
        ["trial", "eval_loss", "result", "lr", "model", "run"],
        ["0 (best)", "0.5", "learned", "0.1", "&lt;bert&gt;", "aa"],
        ["1", "", "error", "0.01", "b", ""],
        ["2", "", "failed to learn", "0.01235", "b", "cc"],
    ]


def test_the_command_of_the_best_trial_can_be_copied():
    assert "<code>python train.py lr=0.1 &#39;model=&lt;bert&gt;&#39;</code></pre><button" in section()
    assert "To train" not in section(best=None)


@pytest.mark.parametrize(
    ("note", "end"), [(None, "4 %."), ("rough: only 15 completed trials", "4 %; rough: only 15 completed trials.")]
)
def test_importance_is_shown_where_it_is_known(note, end):
    page = section(importance={"lr": 0.96, "model": 0.04}, importance_note=note)
    assert f"<code>lr</code> 96 %, <code>model</code> {end}</p>" in page
    assert "Importance" not in section()
