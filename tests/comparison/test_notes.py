"""The notes before the headline, from folders in which the question, the seeds, the data or the versions changed."""

import json
import shlex
import shutil

import pytest
import yaml
from fake_sweep import Outcome, make_job, usual, with_digests, write_sweep
from scipy import stats

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.notes import mixed_versions
from warmup_lab.comparison.seed_batches import judged_runs_of
from warmup_lab.comparison.sweep_log import record_report, record_start
from warmup_lab.comparison.table import read_sweep

COMMAND = "python train.py -m optimizer.lr=0.001 scheduler=warmuplinear warmup_ratio=0.0,0.1 '{seeds}'"


def undecided(strategy):
    """The two arms differ in sign from seed to seed."""
    sign = (-1) ** strategy["seed"] * (strategy["warmup_steps"] > 0)
    return Outcome(metrics={"eval_loss": 0.4 + sign * (0.1 + strategy["seed"] / 1000)})


def decided_from(first):
    """Outcomes that decide at this seed and later ones."""
    return lambda strategy: usual(strategy) if strategy["seed"] >= first else undecided(strategy)


def jobs_of(seeds, ratios=(0.0, 0.1)):
    return [make_job("warmuplinear", ratio, 1e-3, seed, 120) for ratio in ratios for seed in seeds]


def start(folder, jobs, seeds, margin=0.02, outcome=undecided):
    """One start of the sweep, as `run_sweep` leaves it."""
    folder.mkdir(exist_ok=True)
    record_start(folder, "command", {"metric": "eval_loss", "margin": margin})
    write_sweep(folder, jobs, outcome, compare={"margin": margin})
    listing = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(listing | {"command": COMMAND.format(seeds=seeds)}))
    for job in jobs:
        (folder / job.run_id / ".hydra").mkdir(exist_ok=True)
        (folder / job.run_id / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(job.overrides))


def report(folder):
    """As `report_sweep` does: the comparison, and a note in the log of what it showed and judged."""
    found = build_comparison(read_sweep(folder))[1]
    judged, decided = judged_runs_of(found)
    record_report(folder, [run["run_id"] for run in found["runs"]], judged=judged, decided=decided)
    return found


def texts(found):
    return [note["text"] for note in found["notes"]]


def test_a_sweep_that_changed_nothing_has_no_note(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    for found in (report(tmp_path), report(tmp_path)):
        assert (found["notes"], found["pooled"], found["stated_in_advance"]) == ([], [], True)
        assert found["coverage"]["others"] == 0


def test_a_margin_that_was_changed_after_a_report(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    report(tmp_path)
    start(tmp_path, jobs_of(range(6)), "seed=range(6)", margin=0.2)
    found = report(tmp_path)
    (note,) = texts(found)
    assert note.startswith("Not stated in advance: compare.margin was first 0.02, then 0.2 from 20")
    assert note.endswith("UTC on, when 12 runs had finished and a report had shown them.")
    assert not found["stated_in_advance"]
    assert "Stated after results were known" in found["summary"][0]
    assert [one["stated"]["margin"] for one in found["statements"]] == [0.02, 0.2]


def test_a_question_that_was_recorded_after_results(tmp_path):
    """As when the log and `sweep.json` of a folder were deleted."""
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    (tmp_path / "sweep_log.jsonl").unlink()
    (tmp_path / "sweep.json").unlink()
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    found = report(tmp_path)
    assert texts(found)[0].startswith("The question was first recorded when 12 runs had finished")
    assert not found["stated_in_advance"]
    assert "Stated in advance" not in found["summary"][0]


def test_a_margin_that_was_changed_before_any_result(tmp_path):
    record_start(tmp_path, "command", {"metric": "eval_loss", "margin": 0.1})
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    found = report(tmp_path)
    assert (texts(found), found["stated_in_advance"], len(found["statements"])) == ([], True, 2)


def test_a_margin_that_was_edited_in_sweep_json(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    report(tmp_path)
    path = tmp_path / "sweep.json"
    listing = json.loads(path.read_text())
    path.write_text(json.dumps(listing | {"compare": listing["compare"] | {"margin": 0.3}}))
    (note,) = texts(report(tmp_path))
    assert "then 0.3 (sweep.json was edited after a report had shown 12 runs)" in note


def test_a_report_of_fewer_runs_than_its_folder_gives_the_command_for_all(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    report(tmp_path)
    start(tmp_path, jobs_of(range(6, 8)), "seed=range(6,8)")
    found = report(tmp_path)
    (note,) = found["notes"]
    assert note["text"] == "This report covers 4 of the 16 finished runs in its folder. To cover all:"
    assert shlex.split(note["command"]) == shlex.split(COMMAND.format(seeds="seed=range(8)"))


def test_a_command_for_all_says_how_many_runs_it_adds(tmp_path):
    start(tmp_path, jobs_of(range(6), (0.5,)), "seed=range(6)")
    start(tmp_path, jobs_of((7,)), "seed=7")
    (note,) = report(tmp_path)["notes"]
    assert "To cover all, which also trains 13 more runs:" in note["text"]  # 3 lengths at 7 seeds, of which 8 are there
    assert "warmup_ratio=0.0,0.1,0.5 seed=0,1,2,3,4,5,7" in note["command"]


def test_no_command_covers_runs_with_other_keys(tmp_path):
    start(tmp_path, [make_job("warmuplinear", 0.1, 1e-3, 0, 120, "batch_size=8")], "seed=0")
    start(tmp_path, jobs_of((0,)), "seed=0")
    (note,) = report(tmp_path)["notes"]
    assert note["command"] is None
    assert note["text"].endswith("No single command covers all, because the runs differ in batch_size.")


def test_seeds_added_to_an_undecided_design_are_judged_alone(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    assert report(tmp_path)["added_seeds"] is None
    start(tmp_path, jobs_of(range(12)), "seed=range(12)", outcome=decided_from(6))
    first, again = report(tmp_path), report(tmp_path)
    assert first["added_seeds"] == again["added_seeds"] | {"decided": False}
    assert (again["added_seeds"]["judged"], again["added_seeds"]["others"]) == (list(range(6, 12)), list(range(6)))
    assert texts(first) == [
        "Seeds were added without planned looks, so the verdicts are of seeds 6 to 11 alone, as seeds 0 to 5 had been "
        "judged before. Each batch is tested at 5 %: where nothing differs, one of 2 batches claims a difference in "
        "10 % of sweeps. All 12 seeds together are exploratory."
    ]
    assert first["counts"]["seeds"] == 6
    pooled = {row["name"]: row["metric"] for row in first["pooled"]}["warmuplinear-w0 (0 %)"]
    losses = read_sweep(tmp_path).runs.pivot(index="seed", columns="arm", values="eval_loss")
    expected = stats.ttest_rel(losses["warmuplinear-w0 (0 %)"], losses["warmuplinear-w12 (10 %)"]).confidence_interval()
    assert pooled["num_pairs_of_all"] == 12
    assert pooled["difference_interval_of_all"] == pytest.approx([expected.low, expected.high])


def test_seeds_that_decided_keep_their_verdicts(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)", outcome=usual)
    before = report(tmp_path)
    start(tmp_path, jobs_of(range(12)), "seed=range(12)", outcome=usual)
    after = report(tmp_path)
    assert after["added_seeds"] == {
        "judged": list(range(6)), "others": list(range(6, 12)), "decided": True, "earlier": [],
    }  # fmt: skip
    assert [arm["verdict"] for arm in after["arms"]] == [arm["verdict"] for arm in before["arms"]]


def test_batches_that_decided_nothing_are_named(tmp_path):
    """1 - 0.95 ** 3 is 14 %."""
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    report(tmp_path)
    start(tmp_path, jobs_of(range(12)), "seed=range(12)")
    report(tmp_path)
    start(tmp_path, jobs_of(range(18)), "seed=range(18)", outcome=decided_from(12))
    first, again = report(tmp_path), report(tmp_path)
    assert again["added_seeds"] | {"decided": False} == first["added_seeds"]
    chance = (
        "Each batch is tested at 5 %: where nothing differs, one of 3 batches claims a difference in 14 % of sweeps."
    )
    assert f"as seeds 0 to 11 had been judged before. {chance}" in texts(first)[0]
    assert f"which decided. Before, seeds 0 to 5 and seeds 6 to 11 decided nothing. {chance}" in texts(again)[0]


def test_seeds_that_were_too_few_for_a_test_are_judged_with_the_others(tmp_path):
    start(tmp_path, jobs_of(range(3)), "seed=range(3)")
    report(tmp_path)
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    assert report(tmp_path)["added_seeds"] is None


def test_planned_looks_judge_all_seeds(tmp_path):
    start(tmp_path, jobs_of(range(6)), "seed=range(6)")
    report(tmp_path)
    write_sweep(tmp_path, jobs_of(range(12)), undecided, compare={"looks": [6, 12]})
    assert report(tmp_path)["added_seeds"] is None


def test_a_run_of_changed_data_is_named_as_such(tmp_path):
    jobs = jobs_of(range(2))
    start(tmp_path, jobs, "seed=range(2)")
    lost, stopped, other = jobs[1].run_id, jobs[2].run_id, tmp_path / "feedbeef0123"
    (tmp_path / lost).rename(other)
    result = json.loads((other / "result.json").read_text())
    del result["sha256"]
    (other / "result.json").write_text(json.dumps(with_digests(other, result | {"run_id": other.name})))
    shutil.rmtree(tmp_path / stopped)
    reasons = {one["run_id"]: one["error"] for one in report(tmp_path)["unfinished"]}
    assert reasons[lost].startswith("trained as feedbeef0123 instead: its data, or another file that it reads, changed")
    assert reasons[stopped] == "interrupted, or not started: it left no result"


def test_mixed_versions_name_what_decides_a_result():
    versions = {"python": "3.11, 3.12", "torch": "2.11.0, 2.13.0", "numpy": "2.4.0", "processor": "AVX2, AVX512"}
    assert mixed_versions(versions) == {"torch": ["2.11.0", "2.13.0"], "processor": ["AVX2", "AVX512"]}


def train_with(folder, jobs, torch, **of_result):
    """Changes the version of torch that these runs used; the others used 2.11.0."""
    for job in jobs:
        path = folder / job.run_id / "result.json"
        result = json.loads(path.read_text())
        del result["sha256"]
        result["versions"]["torch"] = torch
        path.write_text(json.dumps(with_digests(path.parent, result | of_result)))


NO_WARMUP, TEN_PERCENT = "warmuplinear-w0 (0 %)", "warmuplinear-w12 (10 %)"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        # jobs_of(range(4)): seeds 0 to 3 without a warmup, then seeds 0 to 3 with 10 %
        ([0, 4], "All arms of a seed used the same ones, so no difference at a seed comes from them."),
        ([0, 5], "They are spread evenly over the arms: they add noise, but favour none."),
        (
            [0, 1, 4],
            "Arms differ in them, so a difference between arms may come from that. torch 2.11.0: 3 of 4 runs of "
            f"{TEN_PERCENT}, 2 of 4 runs of {NO_WARMUP}; torch 2.13.0: 2 of 4 runs of {NO_WARMUP}, 1 of 4 runs of "
            f"{TEN_PERCENT}.",
        ),
        (
            [0, 1, 2, 3],
            "Arms differ in them, so a difference between arms may come from that. torch 2.11.0: 4 of 4 runs of "
            f"{TEN_PERCENT}; torch 2.13.0: 4 of 4 runs of {NO_WARMUP}.",
        ),
    ],
)
def test_a_sweep_of_mixed_versions_says_which_arms_used_them(tmp_path, changed, said):
    jobs = jobs_of(range(4))
    start(tmp_path, jobs, "seed=range(4)")
    train_with(tmp_path, [jobs[number] for number in changed], "2.13.0")
    (note,) = texts(report(tmp_path))
    assert note == (
        f"The runs used mixed versions: torch 2.13.0, 2.11.0. {said} To train all runs with the installed versions, "
        "add force=true to the sweep's command."
    )


def test_mixed_versions_of_a_single_arm_favour_no_other(tmp_path):
    jobs = jobs_of(range(2), ratios=(0.1,))
    start(tmp_path, jobs, "seed=range(2)")
    train_with(tmp_path, jobs[:1], "2.13.0")
    (note,) = texts(report(tmp_path))
    assert "torch 2.13.0, 2.11.0. A difference between runs may come from that. To train" in note


def test_a_run_that_was_resumed_with_another_version_has_both(tmp_path):
    jobs = jobs_of(range(1))
    start(tmp_path, jobs, "seed=0")
    train_with(tmp_path, jobs[:1], "2.13.0", mixed_versions={"torch": ["2.12.0", "2.13.0"]})
    (note,) = texts(report(tmp_path))
    assert f"torch 2.12.0 then 2.13.0: 1 of 1 run of {NO_WARMUP}." in note
