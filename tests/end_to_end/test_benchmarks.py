"""The benchmarks run, their sides do the same work, and their files hold what is promised. No time is judged."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
ROW = {"benchmark", "what", "unit", "ours", "peer", "peer_name", "ratio", "ratio_is", "limit", "at_least", "kept"}


@pytest.fixture
def load(monkeypatch):
    """A benchmark as a module; it finds its neighbours beside itself, as when it is run as a script."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module


@pytest.mark.parametrize(
    ("name", "words", "peers"),
    [
        ("step", [], {"bare loop", "bare loop, padded", "Trainer"}),
        ("study", ["--launcher", "basic"], {"Trainer script started anew", "Trainer in one process"}),
        ("report", [], {"4 runs"}),
        ("start", [], {"import torch, transformers"}),
        ("tracking", [], {"tracking=none"}),
        ("packed", ["--device", "cpu"], {"one by one"}),
    ],
)
def test_runs_and_all_sides_do_the_same_work(name, words, peers, tmp_path):
    script = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--out", str(tmp_path), *words]
    done = subprocess.run(script, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["benchmark"] == name
    assert {"cpu", "cores", "python", "versions", "threads"} <= found["machine"].keys()
    assert {row["peer_name"] for row in found["rows"]} == peers
    for row in found["rows"]:
        assert row.keys() == ROW
        assert row["ours"].keys() == {"median", "low", "high", "count"}
    assert found["checks"]
    assert {title: check["ok"] for title, check in found["checks"].items()} == dict.fromkeys(found["checks"], True)
    assert f"| {name} |" in done.stdout


def test_ratios_are_of_the_pairs_of_a_round(load):
    """Not of the medians: those would be 3 / 3."""
    timing = load("timing")
    row = timing.compared("b", "w", "s", [1.0, 2.0, 9.0, 8.0, 3.0], [2.0, 2.0, 3.0, 16.0, 12.0], "p", limit=0.6)
    assert row.ratio == timing.Spread(0.5, 0.25, 3.0, 5)  # of 0.5, 1, 3, 0.5, 0.25
    assert row.kept is True
    faster = timing.compared("b", "w", "s", [1.0, 2.0, 4.0], [4.0, 6.0, 8.0], "p", faster=True, limit=4.0)
    assert (faster.ratio.median, faster.ratio.low, faster.ratio.high, faster.kept) == (3.0, 2.0, 4.0, False)


def test_sides_take_turns_at_going_first(load):
    calls = []
    sides = {name: lambda number, name=name: calls.append((number, name)) or 1.0 for name in "ab"}
    assert load("timing").alternate(sides, 3) == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert calls == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_different_work_is_called_so(load):
    timing = load("timing")
    assert timing.agreement({"ours": 0.50, "peer": 0.54}, 0.05)["ok"] is True
    assert timing.agreement({"ours": 0.50, "peer": 0.56}, 0.05)["ok"] is False


def test_a_process_gives_its_own_peak(tmp_path):
    """Asked from a small process: what a child weighs before it becomes another program counts, too."""
    code = (
        "import sys, timing; child = [sys.executable, '-c', 'print(len(bytearray(200_000_000)))']; "
        f"done = timing.whole_process(child, {str(tmp_path)!r}); print(done.output.strip(), done.peak_mb)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, text=True, capture_output=True, check=True)
    output, peak = done.stdout.split()
    assert output == "200000000"
    assert 200 < float(peak) < 400


def test_a_process_that_fails_does_so_loudly(load, tmp_path):
    timing = load("timing")
    with pytest.raises(RuntimeError, match=r"ended with 3:\nlost"):
        timing.whole_process([sys.executable, "-c", "print('lost'); raise SystemExit(3)"], tmp_path)


def test_one_table_of_all(load):
    timing, run_all = load("timing"), load("run_all")
    row = timing.compared("step", "an update", "ms", [2.0], [4.0], "Trainer", limit=0.7)
    content = {"rows": [vars(row) | {name: vars(getattr(row, name)) for name in ("ours", "peer", "ratio")}]}
    content["rows"][0]["kept"] = row.kept
    text = run_all.markdown([content | {"checks": {"losses": {"ok": False, "numbers": {}}}}])
    assert "| step | an update | 2 ms | 4 ms, Trainer | 0.5 (0.5 to 0.5) of 1, ours / peer | <= 0.7: kept |" in text
    assert "NOT THE SAME WORK: losses" in text
