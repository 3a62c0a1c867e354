"""The learning rate at which the loss starts to jitter, read off ramps: functions of a run's columns.

A ramp raises the lr by the same factor at every update. After each probed update, the overshoot probe records whether
the loss on the same batch rose. Far below the critical lr that happens at some low rate (momentum, dropout, float
noise). The jitter starts where it happens more often than that, by a one-sided Wilson bound.

The ramp is itself a warmup: the lr found here was reached slowly and is not one to start a run with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from warmup_lab.comparison import log_median, wilson_bounds
from warmup_lab.system import JsonRecord

MIN_UPDATES = 200
"""Fewest updates of a ramp. With fewer, a window of a tenth is too small to tell a rate of 0.3 from 0."""
MIN_PROBES = 100
"""Fewest probed updates of a ramp. With this many, windows hold 10, which reliably show only a rate of 0.5 over 0."""
MIN_SEEDS = 6
"""Fewest ramps that have a median, and fewest seeds whose usable rates are tested (`MIN_PAIRS`)."""
LOW_SHARE = 0.25
"""Share of the planned probes, in one piece, whose overshoots make the low-lr rate."""
WINDOW_SHARE = 0.1
"""Probed updates of a window as a share of all planned ones: a tenth of the ramp's decades, however long it is."""
CONFIDENCE = 0.995
"""One-sided confidence of either bound. Hundreds of overlapping windows are tested, each against the calmest quarter so
far, so at 95 % up to 63 % of ramps raise a false alarm, at 99 % up to 13 %, and at 99.5 % up to 5.3 % (400, 400 and
1000 ramps simulated at each constant rate from 0.01 to 0.8 and 200 to 1000 updates;
tests/comparison/lr_jitter/test_onset.py repeats some)."""
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Onset(JsonRecord):
    """The start of the jitter in one ramp."""

    lr: float | None
    """The rate of the update from which on overshoots are more frequent; None if no window stands out."""
    step: int | None
    """Its update."""
    window_lr: tuple[float, float] | None
    """The first and last rate of the first window that stands out. The jitter starts in or before it."""
    window_count: int
    """Overshoots in that window. If no window stands out, the most in any window."""
    window_size: int
    """Probed updates in a window."""
    window_lower: float | None
    """One-sided lower Wilson bound of the window's rate."""
    low_count: int
    """Overshoots in the calmest quarter before that window."""
    low_total: int
    """Probed updates in a quarter."""
    low_upper: float
    """One-sided upper Wilson bound of the low-lr rate."""
    last_lr: float
    """The rate of the last update. There is no jitter up to here if `lr` and `unknown` are None."""
    unknown: str | None
    """Why nothing can be concluded from this ramp; None if something can."""


def find_onset(overshoot: npt.ArrayLike, lr: npt.ArrayLike, *, total_steps: int) -> Onset:
    """The first lr at which the rate of overshoots is above its low-lr rate.

    `overshoot` and `lr` have shape (T,), with T at most `total_steps` (fewer if the ramp diverged). `overshoot` is 1
    where the loss on the same batch rose, 0 where it did not, and NaN where it was not probed.

    Detection: a window of a tenth of the planned probes slides over the ramp. It stands out if the lower bound of its
    rate exceeds the upper bound of the low-lr rate, both one-sided Wilson bounds at `CONFIDENCE`. The low-lr rate is
    that of the calmest quarter of the ramp before the window: near lr 0, updates may raise the loss as often as not
    (float noise, or momentum from other batches before anything is learned), which is no jitter.

    Dating: the first window that stands out may still hold mostly calm updates, so its first overshoot is often one of
    the low-lr rate. The probes from the start of the calmest quarter to one window after the window that stands out are
    therefore split in two where the likelihood of two constant rates is largest, the second above the first (Hinkley &
    Hinkley 1970). The split is at an overshoot, at which the jitter starts.

    Simulated, a step of the overshoot rate half-way through 300 updates: the error of the dating that 95 % of the ramps
    keep, in updates (2.3 % of lr each in the experiment), and before, when the first overshoot in the window counted:

    | from, to | 50 % | 75 % | 100 % |
    |---|---|---|---|
    | 0 % | 4 (4) | 2 (2) | 0 (0) |
    | 2 % | 6 (16) | 3 (20) | 0 (21) |
    | 5 % | 10 (17) | 3 (21) | 0 (22) |
    | 10 % | 16 (19) | 5 (21) | 1 (23) |

    The median error is 0 everywhere, where it was up to 15 updates early. With 1000 updates the same errors are 4 to 14
    at 50 %, where they were up to 83. All but 0.3 % of these steps are found. A step from 0 to 30 % is found in every
    ramp, from 5 to 30 % in 99 % (95 % of the errors within 28 updates), from 10 to 30 % in 86 %.

    >>> column = [0.0] * 150 + [1.0] * 50
    >>> find_onset(column, [1e-5 * 1.05**t for t in range(200)], total_steps=200).step
    150
    """
    column, rates = np.asarray(overshoot, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    steps = np.flatnonzero(~np.isnan(column))
    probed = column[steps]
    every = round(float(np.median(np.diff(steps)))) if steps.size > 1 else 1
    planned = math.ceil(total_steps / every)
    size, quarter = math.ceil(WINDOW_SHARE * planned), math.ceil(LOW_SHARE * planned)
    last_lr = float(rates[-1]) if rates.size else math.nan
    counts, calmest = _windows(probed, size, quarter)
    if not counts.size:
        why = "the ramp diverged before the first window after its first quarter was full: start it lower"
        return Onset(None, None, None, 0, size, None, 0, quarter, 1.0, last_lr, why)
    needed = {int(low): _least_count(size, int(low), quarter) for low in np.unique(calmest)}
    found = np.flatnonzero(counts >= np.array([needed[int(low)] for low in calmest]))
    place = int(found[0]) if found.size else int(counts.argmax())
    count, low = int(counts[place]), int(calmest[place])
    low_upper = wilson_bounds(low, quarter, confidence=CONFIDENCE)[1]
    if not found.size:
        unknown = _why_unknown(int(calmest[-1]), quarter) if min(needed.values()) > size else None
        return Onset(None, None, None, count, size, None, low, quarter, low_upper, last_lr, unknown)
    window = steps[quarter + place : quarter + place + size]
    step = int(steps[_rise(probed, quarter + place, size, quarter)])
    lower = wilson_bounds(count, size, confidence=CONFIDENCE)[0]
    ends = float(rates[window[0]]), float(rates[window[-1]])
    return Onset(float(rates[step]), step, ends, count, size, lower, low, quarter, low_upper, last_lr, None)


def _windows(probed: Floats, size: int, quarter: int) -> tuple[Counts, Counts]:
    """Overshoots of every window after the first quarter, and of the calmest quarter before it; `probed` is (n,)."""
    if probed.size < quarter + size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    total = np.concatenate([[0], np.cumsum(probed)]).astype(np.int64)
    calmest = np.minimum.accumulate(total[quarter:] - total[:-quarter])
    counts = (total[size:] - total[:-size])[quarter:]
    return counts, calmest[: counts.size]


def _rise(probed: Floats, start: int, size: int, quarter: int) -> int:
    """Index of the probe from which on overshoots are more frequent; the window `start` to `start + size` stands out.

    The split k maximises the log likelihood of two Bernoulli rates, before k and from k on. In a part of n probes with
    c overshoots it is c log(c / n) + (n - c) log((n - c) / n).
    """
    total = np.concatenate([[0], np.cumsum(probed)])
    quarters = (total[quarter:] - total[:-quarter])[: start - quarter + 1]
    first = start - quarter - int(quarters[::-1].argmin())  # of equally calm quarters, the last
    last = min(probed.size, start + 2 * size)
    splits = np.arange(first + 1, start + size)
    before, after = (total[splits] - total[first], splits - first), (total[last] - total[splits], last - splits)
    likelihood = sum(xlogy(c, c) + xlogy(n - c, n - c) - xlogy(n, n) for c, n in (before, after))
    rises = after[0] * before[1] > before[0] * after[1]
    return int(splits[np.where(rises, likelihood, -np.inf).argmax()])


def _least_count(size: int, low: int, quarter: int) -> int:
    """The fewest overshoots of `size` that stand out over `low` of `quarter`; `size` + 1 if even all do not."""
    upper = wilson_bounds(low, quarter, confidence=CONFIDENCE)[1]
    lowers = (wilson_bounds(count, size, confidence=CONFIDENCE)[0] for count in range(size + 1))
    return next((count for count, lower in enumerate(lowers) if lower > upper), size + 1)


def _why_unknown(low: int, quarter: int) -> str:
    return (
        f"the loss rose after {low} of {quarter} updates even in the calmest quarter, so no window could stand out: "
        "start the ramp lower, or higher if it is so low that float noise dominates"
    )


# ------------------------------------------------------------------------------------------- over the seeds


@dataclass(frozen=True)
class JitterLr(JsonRecord):
    """The lr at which the jitter starts, over the seeds."""

    median: float | None
    """On a logarithmic scale, two digits. A seed without jitter counts as above the end of the ramp."""
    low: float | None
    """The smallest of the seeds."""
    high: float | None
    """The largest of the seeds that have one."""
    num_seeds: int
    """Ramps from which something can be concluded."""
    num_never: int
    """Those of them without jitter."""
    num_unknown: int
    """Ramps from which nothing can be concluded."""
    reason: str | None
    """Why there is no median."""


def median_jitter_lr(onsets: Sequence[Onset]) -> JitterLr:
    """Median and range of the onsets; no median with fewer than `MIN_SEEDS`, or if half of them or more have no jitter.

    >>> one = find_onset([0.0] * 150 + [1.0] * 50, [1e-5 * 1.05**t for t in range(200)], total_steps=200)
    >>> median_jitter_lr([one] * 6).median
    0.015
    """
    known = [onset for onset in onsets if onset.unknown is None]
    found = sorted(onset.lr for onset in known if onset.lr is not None)
    num_never = len(known) - len(found)
    middle = log_median(onset.lr for onset in known)
    median = round_to_digits(middle) if middle is not None else None
    reason = None
    if len(known) < MIN_SEEDS:
        median = None
        why = next((f": {onset.unknown}" for onset in onsets if onset.unknown), "")
        reason = f"only {len(known)} of {len(onsets)} ramps can be read, and {MIN_SEEDS} are needed{why}"
    elif median is None:
        last = min(onset.last_lr for onset in known)
        reason = (
            f"at {num_never} of {len(known)} seeds the loss did not start to jitter up to lr {last:.2g}: ramp higher "
            f"(optimizer.lr={10 * last:.2g}), or make it learn earlier in the ramp, so that few updates at a low lr "
            "raise the loss: a larger batch_size, a smaller task.limit, more max_steps"
        )
    low, high = (found[0], found[-1]) if found else (None, None)
    return JitterLr(median, low, high, len(known), num_never, len(onsets) - len(known), reason)


def round_to_digits(value: float, digits: int = 2) -> float:
    """The rate as it is written on a command line, with `digits` significant digits.

    >>> round_to_digits(0.0041389), round_to_digits(12345.0)
    (0.0041, 12000.0)
    """
    return float(f"{value:.{digits}g}")


def bin_by_lr(
    overshoot: npt.ArrayLike, loss: npt.ArrayLike, lr: npt.ArrayLike, edges: Sequence[float]
) -> list[tuple[int, int, float | None]]:
    """Number of overshoots, number of probed updates, and median loss between each two `edges` of the lr.

    All three columns have shape (T,). The median is None without a finite loss.
    """
    column, losses = np.asarray(overshoot, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    place = np.searchsorted(edges, np.asarray(lr, dtype=np.float64), side="right") - 1
    rows: list[tuple[int, int, float | None]] = []
    for index in range(len(edges) - 1):
        here = place == index
        probed, finite = column[here & ~np.isnan(column)], losses[here & np.isfinite(losses)]
        rows.append((int(probed.sum()), int(probed.size), float(np.median(finite)) if finite.size else None))
    return rows
