"""The summary of all oscillation metrics of a run, compared with slow references; its windows and its edge cases."""

import json
import math
import statistics
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from loss_traces import LENGTHS, LN2, NAN, catapult, learning_curve, noise, reference_level, series

from warmup_lab.metrics.oscillation import METRICS, spike_rate, summarise
from warmup_lab.metrics.series import windows

# --- references ---


def reference_is_spike(loss: list[float], step: int) -> bool:
    first = max(step - 12, step % 2)
    while first + 25 > len(loss):
        first -= 2
    around = loss[first:step] + loss[step + 1 : first + 25]
    level = statistics.median(around)
    deviation = statistics.median(abs(value - level) for value in around)
    return step > 0 and (
        loss[step] > 0.5 * LN2
        and loss[step] - level > max(6 * 1.4826 * deviation, 0.1 * LN2)
        and loss[step] - min(loss[:step]) > 0.1 * LN2
    )


def reference_spike_rate(loss: list[float], start: int, stop: int) -> float | None:
    if len(loss) < 26:
        return None
    return 1000 * sum(reference_is_spike(loss, step) for step in range(start, stop)) / (stop - start)


def reference_rho1(loss: list[float], start: int, stop: int) -> float | None:
    if stop - start < 25:
        return None
    deviations = [loss[step] - reference_level(loss, step) for step in range(start, stop)]
    mean = sum(deviations) / len(deviations)
    centred = [value - mean for value in deviations]
    return sum(a * b for a, b in pairwise(centred)) / sum(a * a for a in centred)


def reference_climbs(loss: list[float]) -> list[float]:
    average = lowest = loss[0]
    climbs = []
    for value in loss:
        average = (1 - 2 / 26) * average + 2 / 26 * value
        lowest = min(lowest, average)
        climbs.append((average - lowest) / LN2)
    return climbs


def reference_noise(loss: list[float]) -> list[float]:
    """Noise of a loss for each update, from the definition in `onset_step`."""
    means = [sum(loss[step - 4 : step + 1]) / 5 for step in range(4, len(loss))]
    sizes = [abs(means[k] - 2 * means[k - 5] + means[k - 10]) for k in range(10, len(means))]
    noise = []
    for step in range(len(loss)):
        known = sizes[: max(100, step - 13)]  # the last loss of difference k is that of update k + 14
        renewed = 25 * ((len(known) - 100) // 25)
        parts = [sizes] if len(sizes) < 100 else [sizes, sizes[renewed : renewed + 100]]
        noise.append(max(float(np.quantile(part, 0.8)) for part in parts) / 1.2815516 / math.sqrt(6 / 5))
    return noise


def reference_rises(loss: list[float]) -> list[bool]:
    if len(loss) < 50:
        return [False] * len(loss)
    lowest, risen = math.inf, []
    for step, sigma in enumerate(reference_noise(loss)):
        recent = loss[max(0, step - 24) : step + 1]
        mean = sum(recent) / len(recent)
        half_width = max((2.2 + 0.33 * math.log(len(loss))) * sigma / math.sqrt(len(recent)), 0.005 * LN2)
        lowest = min(lowest, mean + half_width)
        risen.append(mean - half_width > lowest)
    return risen


@pytest.mark.parametrize("num_updates", LENGTHS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_summary_equals_the_references_in_every_window(num_updates: int, seed: int) -> None:
    loss = learning_curve(num_updates, seed=seed)
    lr = np.linspace(0.0, 1e-3, num_updates)
    summary = summarise(loss, lr, entropy=LN2)
    climbs, rises = reference_climbs(loss.tolist()), reference_rises(loss.tolist())
    for name, window in windows(num_updates).items():
        found = summary[name]
        steps = range(window.start, window.stop)
        onset = next((step for step in steps if rises[step]), None)
        assert found["spike_rate"] == reference_spike_rate(loss.tolist(), window.start, window.stop)
        assert found["rho1"] == pytest.approx(reference_rho1(loss.tolist(), window.start, window.stop), abs=1e-12)
        assert found["max_rise"] == pytest.approx(max(climbs[step] for step in steps), abs=1e-12)
        assert found["onset_step"] == onset
        assert found["onset_lr"] == (None if onset is None else lr[onset])


@pytest.mark.parametrize("num_updates", [60, 235, 600])
def test_onset_of_a_rise_equals_the_reference(num_updates: int) -> None:
    loss = noise(num_updates, sigma=0.05) + 0.4 * (np.arange(num_updates) > 0.6 * num_updates)
    rises = reference_rises(loss.tolist())
    assert summarise(loss, np.zeros(num_updates), entropy=LN2)["whole"]["onset_step"] == rises.index(True)


def test_the_test_traces_have_spikes() -> None:
    summary = summarise(learning_curve(235), np.zeros(235), entropy=LN2)
    assert all(summary[name]["spike_rate"] for name in windows(235))


# --- hand-made traces ---


def test_one_spike_at_update_30() -> None:
    loss = noise(235, sigma=0.01)
    loss[30] += 1.0
    summary = summarise(loss, np.zeros(235), entropy=LN2)
    assert summary["whole"]["spike_rate"] == 1000 / 235
    assert summary["early"]["spike_rate"] == 1000 / 47
    assert summary["late"]["spike_rate"] == 0.0


def test_early_catapult_by_hand() -> None:
    # EMA 0.7, then 1.2 - 0.5 (12/13)^k. There is no noise, so the first of the five high losses is the onset.
    lr = np.arange(100) * 1e-4
    summary = summarise(catapult(), lr, entropy=LN2)
    expected = 0.5 * (1 - (12 / 13) ** 5) / LN2
    for name in ("whole", "early"):
        assert summary[name]["max_rise"] == pytest.approx(expected)
        assert summary[name]["onset_step"] == 10
        assert summary[name]["onset_lr"] == lr[10]
    assert summary["late"]["max_rise"] == 0.0
    assert summary["late"]["onset_step"] is None
    assert summary["late"]["onset_lr"] is None


# --- runs that did not learn, diverged, or ended early ---


def test_summary_of_a_collapsed_run() -> None:
    summary = summarise(np.full(300, LN2), np.full(300, 1e-3), entropy=LN2)
    expected = {
        "roughness": 0.0,
        "rho1": None,
        "spike_rate": 0.0,
        "max_rise": 0.0,
        "onset_step": None,
        "onset_lr": None,
        "overshoot_rate": None,
    }
    assert summary == {"whole": expected, "early": expected, "late": expected}


@pytest.mark.parametrize("tail", [[NAN], [math.inf], [-math.inf, 3.0], [NAN, 0.5, NAN]])
def test_a_diverged_run_is_measured_up_to_its_first_non_finite_loss(tail: list[float]) -> None:
    loss, lr = learning_curve(150), np.linspace(0, 1, 150)
    diverged = summarise([*loss, *tail], [*lr, *[1.0] * len(tail)], entropy=LN2)
    assert diverged["whole"] == summarise(loss, lr, entropy=LN2)["whole"]


def test_total_steps_sets_the_windows_of_a_diverged_run() -> None:
    loss, lr = learning_curve(1000), np.linspace(0, 1, 1000)
    full = summarise(loss, lr, entropy=LN2)
    stopped = np.append(loss[:300], NAN)
    cut = summarise(stopped, lr[:301], entropy=LN2, total_steps=1000)
    # The medians of the last 12 updates before the stop have fewer neighbours, but `early` ends long before them.
    for name in ("roughness", "rho1", "spike_rate", "max_rise"):
        assert cut["early"][name] == full["early"][name]
    assert set(cut["late"].values()) == {None}
    unplanned = summarise(stopped, lr[:301], entropy=LN2)
    assert unplanned["early"]["spike_rate"] == spike_rate(series(loss[:300]), slice(0, 61))
    assert unplanned["early"]["spike_rate"] != full["early"]["spike_rate"]


def test_a_run_that_diverges_at_once_has_no_metric() -> None:
    summary = summarise([NAN], [0.0], entropy=LN2, total_steps=100)
    assert {value for window in summary.values() for value in window.values()} == {None}


def test_an_empty_trace_has_no_metric() -> None:
    summary = summarise([], [], entropy=LN2)
    assert list(summary) == ["whole", "early", "late"]
    assert {value for window in summary.values() for value in window.values()} == {None}


@pytest.mark.parametrize(
    ("num_updates", "defined"),
    [
        (1, {"max_rise"}),
        (9, {"max_rise"}),
        (10, {"max_rise", "roughness"}),
        (24, {"max_rise", "roughness"}),
        (25, {"max_rise", "roughness", "rho1"}),
        (26, {"max_rise", "roughness", "rho1", "spike_rate"}),
    ],
)
def test_short_windows_give_none(num_updates: int, defined: set[str]) -> None:
    whole = summarise(noise(num_updates, sigma=0.01), np.zeros(num_updates), entropy=LN2)["whole"]
    assert {name for name, value in whole.items() if value is not None} == defined


# --- windows, output and input ---


def test_windows_are_cut_from_series_of_the_whole_trace() -> None:
    loss = learning_curve(400)
    late = windows(400)["late"]
    found = summarise(loss, np.zeros(400), entropy=LN2)["late"]
    for name, metric in METRICS.items():
        assert found[name] == metric(series(loss, np.zeros(400)), late)
    # Medians and EMA of this half alone differ; the second differences of roughness do not.
    alone = summarise(loss[late], np.zeros(200), entropy=LN2)["whole"]
    assert found["rho1"] != alone["rho1"]
    assert found["max_rise"] != alone["max_rise"]
    assert found["spike_rate"] != alone["spike_rate"]
    assert found["roughness"] == alone["roughness"]


@pytest.mark.parametrize("num_updates", [0, 1, 30, 300])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-320, 1e300])
def test_summary_survives_json(num_updates: int, scale: float) -> None:
    loss = scale * learning_curve(300)[:num_updates]
    probe = np.arange(num_updates) % 2
    summary = summarise(loss, np.zeros(num_updates, dtype=np.float32), entropy=LN2, overshoot=probe)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    values = [value for window in summary.values() for value in window.values()]
    assert {type(value) for value in values} <= {int, float, type(None)}


def test_onset_step_is_an_integer_in_json() -> None:
    summary = summarise(catapult(), np.zeros(100), entropy=LN2)
    assert json.dumps(summary["whole"]["onset_step"]) == "10"


def test_lists_pandas_columns_and_float32_give_the_same_summary() -> None:
    loss = learning_curve(100).astype(np.float32)
    lr = np.linspace(0, 1, 100)
    expected = summarise(loss.astype(np.float64), lr, entropy=LN2)
    assert summarise(loss, lr, entropy=LN2) == expected
    assert summarise(loss.tolist(), lr.tolist(), entropy=LN2) == expected
    assert summarise(pd.Series(loss), pd.Series(lr), entropy=LN2) == expected


def test_summarise_does_not_change_its_input() -> None:
    loss = learning_curve(100)
    loss.flags.writeable = False
    summarise(loss, np.zeros(100), entropy=LN2)
    np.testing.assert_array_equal(loss, learning_curve(100))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss has shape \(2, 3\): must be \(T,\)"):
        summarise(np.zeros((2, 3)), np.zeros(6), entropy=LN2)
    with pytest.raises(ValueError, match="lr has 4 values, but the loss trace has 3 updates"):
        summarise([0.5] * 3, [0.1] * 4, entropy=LN2)
    with pytest.raises(ValueError, match="overshoot has 2 values, but the loss trace has 3 updates"):
        summarise([0.5] * 3, [0.1] * 3, entropy=LN2, overshoot=[0, 1])
    with pytest.raises(ValueError, match="total_steps=2: must be at least 3"):
        summarise([0.5] * 3, [0.1] * 3, entropy=LN2, total_steps=2)


def test_overshoot_is_cut_to_windows_and_to_the_finite_prefix() -> None:
    loss = [0.5] * 9 + [NAN]
    summary = summarise(loss, [0.0] * 10, entropy=LN2, overshoot=[1, 1, NAN, NAN, NAN, 1, 1, 0, 0, 1])
    rates = [summary[name]["overshoot_rate"] for name in ("whole", "early", "late")]
    assert rates == [4 / 6, 2 / 2, 2 / 4]
