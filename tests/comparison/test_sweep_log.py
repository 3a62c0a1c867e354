"""The log of a sweep's folder: what was stated first, what changed, and what reports had shown by then."""

import json

from fake_sweep import make_sweep

from warmup_lab.comparison.sweep_log import FILE_NAME, read_log, record_report, record_start

FIRST = {"metric": "eval_loss", "margin": 0.02, "reference": None, "failure_margin": 0.2, "looks": None}


def finish(folder, *run_ids):
    for run_id in run_ids:
        (folder / run_id).mkdir()
        (folder / run_id / "result.json").touch()


def test_a_change_is_kept_with_the_results_there_were(tmp_path):
    record_start(tmp_path, "first", FIRST)
    finish(tmp_path, "a", "b", "c")
    record_report(tmp_path, ["a", "b"])
    record_start(tmp_path, "same", FIRST | {"budget_minutes": 5})
    record_start(tmp_path, "second", FIRST | {"margin": 0.1})
    starts = read_log(tmp_path).starts
    assert [one.stated["margin"] for one in starts] == [0.02, 0.1]
    assert [(one.finished, one.shown) for one in starts] == [(0, 0), (3, 2)]


def test_the_sweep_json_of_an_older_version_is_what_was_stated_first(tmp_path):
    make_sweep(tmp_path, seeds=1, ratios=(0.1,), compare={"margin": 0.03})
    record_start(tmp_path, "now", FIRST | {"margin": 0.1})
    starts = read_log(tmp_path).starts
    assert [one.stated["margin"] for one in starts] == [0.03, 0.1]
    assert starts[1].finished == 4


def test_runs_are_noted_once(tmp_path):
    record_report(tmp_path, ["a", "b"], judged=["a", "b"], decided=False)
    record_report(tmp_path, ["a", "b"], judged=["a", "b"], decided=True)
    record_report(tmp_path, ["a", "b", "c"], judged=["a", "b", "c"], decided=True)
    log = read_log(tmp_path)
    assert log.shown == {"a", "b", "c"}
    assert [(batch.run_ids, batch.decided) for batch in log.judged] == [(("a", "b"), False), (("c",), True)]
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == 2


def test_an_incomplete_line_costs_no_other_line(tmp_path):
    record_start(tmp_path, "first", FIRST)
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write(json.dumps({"event": "report", "shown": ["a"]})[:20])
    record_start(tmp_path, "second", FIRST | {"metric": "eval_accuracy"})
    log = read_log(tmp_path)
    assert [one.stated["metric"] for one in log.starts] == ["eval_loss", "eval_accuracy"]
    assert log.num_unreadable == 1
