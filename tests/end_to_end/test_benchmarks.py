"""The benchmarks run, their sides do the same work, and their files hold what is promised. No time is checked."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from program import ROOT, python, run, run_here

BENCHMARKS = ROOT / "tests" / "benchmarks"
ROW = {"benchmark", "what", "unit", "ours", "peer", "peer_name", "ratio", "ratio_is", "limit", "at_least", "met"}

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch) -> Load:
    """A benchmark as a module. It imports its neighbours by their names, as when it is run as a script."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module


@pytest.fixture
def processes_here(load, monkeypatch) -> None:
    """Commands that benchmarks time as whole processes run in this process instead, which starts nothing."""
    timing = load("timing")

    def whole_process(arguments: Sequence[str | Path], cwd: Path, env: Any = None) -> Any:
        words = [str(word) for word in arguments][1:]
        if words[0] == "-c":
            exec(words[1], {})
            return timing.Finished(seconds=1.0, peak_mb=100.0, output="")
        done = run_here(words, cwd=Path(cwd), **(env or {}))
        assert done.returncode == 0, done.stderr
        return timing.Finished(seconds=1.0, peak_mb=100.0, output=done.stdout)

    monkeypatch.setattr(timing, "whole_process", whole_process)


def check_files(name: str, peers: set[str], out: Path) -> None:
    content = json.loads((out / f"{name}.json").read_text())
    assert content["benchmark"] == name
    assert {"cpu", "cores", "python", "versions", "threads"} <= content["machine"].keys()
    assert {row["peer_name"] for row in content["rows"]} == peers
    for row in content["rows"]:
        assert row.keys() == ROW
        assert row["ours"].keys() == {"median", "low", "high", "count"}
    assert content["checks"]
    for title, check in content["checks"].items():
        assert all(map(math.isfinite, check["numbers"].values())), title
        # Means over a few updates with other random draws on each side say nothing.
        assert check["ok"] or check.get("statistical"), title


@pytest.mark.trains
@pytest.mark.filterwarnings("ignore")  # those of transformers.Trainer, which the peers use
@pytest.mark.usefixtures("processes_here", "without_pictures")
@pytest.mark.parametrize(
    ("name", "words", "peers"),
    [
        ("start", [], {"import of torch and transformers"}),
        ("step", [], {"bare loop", "bare loop, padded", "Trainer"}),
        ("study", ["--launcher", "basic"], {"Trainer script, one process per run", "Trainer in one process"}),
        ("report", [], {"4 runs"}),
        ("tracking", [], {"tracking=none"}),
        ("stacked", ["--device", "cpu"], {"one by one"}),
        ("dropout", ["--device", "cpu"], {"torch's masks", "dropout 0", "the whole update"}),
    ],
)
def test_all_sides_do_the_same_work(load, name, words, peers, tmp_path, capsys):
    load(name).main(["--quick", "--out", str(tmp_path), *words])
    check_files(name, peers, tmp_path)
    assert f"| {name} |" in capsys.readouterr().out


@pytest.mark.trains
def test_all_benchmarks_are_run_by_one_script(tmp_path):
    """With real processes, as `make bench` starts them; one benchmark is enough."""
    done = run([sys.executable, str(BENCHMARKS / "run_all.py"), "--quick", "--only", "dropout", "--out", str(tmp_path)])
    assert done.returncode == 0, done.stderr
    check_files("dropout", {"torch's masks", "dropout 0", "the whole update"}, tmp_path)
    (content,) = json.loads((tmp_path / "all.json").read_text())
    assert content == json.loads((tmp_path / "dropout.json").read_text())
    table = (tmp_path / "all.md").read_text()
    assert "| dropout |" in table
    assert table in done.stdout


def test_ratios_are_of_the_pairs_of_a_round(load):
    """Not of the medians: those would be 3 / 3."""
    timing = load("timing")
    row = timing.compared("b", "w", "s", [1.0, 2.0, 9.0, 8.0, 3.0], [2.0, 2.0, 3.0, 16.0, 12.0], "p", limit=0.6)
    assert row.ratio == timing.Spread(0.5, 0.25, 3.0, 5)  # of 0.5, 1, 3, 0.5, 0.25
    assert row.met is True
    faster = timing.compared("b", "w", "s", [1.0, 2.0, 4.0], [4.0, 6.0, 8.0], "p", faster=True, limit=4.0)
    assert (faster.ratio.median, faster.ratio.low, faster.ratio.high, faster.met) == (3.0, 2.0, 4.0, False)


def test_sides_take_turns_at_going_first(load):
    calls = []
    sides = {name: lambda number, name=name: calls.append((number, name)) or 1.0 for name in "ab"}
    assert load("timing").alternate(sides, 3) == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert calls == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_numbers_further_apart_than_the_tolerance_do_not_agree(load):
    timing = load("timing")
    assert timing.agreement({"ours": 0.50, "peer": 0.54}, 0.05)["ok"] is True
    assert timing.agreement({"ours": 0.50, "peer": 0.56}, 0.05)["ok"] is False


def test_the_peak_memory_is_that_of_the_process_itself(tmp_path):
    """Measured from a small process: what a child holds before it becomes another program counts too."""
    child = "[sys.executable, '-c', 'print(len(bytearray(200_000_000)))']"
    output, peak = python(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import timing; "
        f"done = timing.whole_process({child}, {str(tmp_path)!r}); print(done.output.strip(), done.peak_mb)"
    ).split()
    assert output == "200000000"
    assert 200 < float(peak) < 400


def test_a_process_that_fails_raises_with_its_output(load, tmp_path):
    timing = load("timing")
    with pytest.raises(RuntimeError, match=r"ended with 3:\nlost"):
        timing.whole_process([sys.executable, "-c", "print('lost'); raise SystemExit(3)"], tmp_path)


def test_one_table_of_all_benchmarks(load):
    timing, run_all = load("timing"), load("run_all")
    row = timing.compared("step", "an update", "ms", [2.0], [4.0], "Trainer", limit=0.7)
    content = {"rows": [vars(row) | {name: vars(getattr(row, name)) for name in ("ours", "peer", "ratio")}]}
    content["rows"][0]["met"] = row.met
    text = run_all.markdown([content | {"checks": {"losses": {"ok": False, "numbers": {}}}}])
    assert "| step | an update | 2 ms | 4 ms, Trainer | 0.5 (0.5 to 0.5) of 1, ours / peer | <= 0.7: met |" in text
    assert "NOT THE SAME WORK: losses" in text
