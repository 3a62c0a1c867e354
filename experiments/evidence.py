"""Recomputes the numbers of the pages in experiments/ from the results that are committed beside them.

A page holds blocks between `<!-- numbers: results.csv -->` and `<!-- end of numbers -->`. A block is computed from that
table of runs and from the study's `experiment.yaml` alone. It carries the digest of the table, so it changes with every
cell. `lr50:TABLE` holds the usable learning rates of a table of runs alone, also with its digest. The others have none:
`claims` and `claims:STUDY`, the verdicts of `claims.py`, and `first:STUDY`, what a repeated claim gave at first.

    python experiments/evidence.py            # fails if a block is not what the results give
    python experiments/evidence.py --write    # writes the blocks
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from claims import claims_table, first_study, verdicts_table
from described import described
from omegaconf import OmegaConf

from warmup_lab.comparison import count, p_text
from warmup_lab.comparison.evidence import make_design
from warmup_lab.comparison.numbers import interval_text, percent_text
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.statistics import ALPHA, mean_interval
from warmup_lab.comparison.variance import split_variance
from warmup_lab.comparison.verdicts import PHRASES, LrLine, Question, Verdict
from warmup_lab.metrics import ROUGHNESS, smaller_is_better

HERE = Path(__file__).parent
PAGES = (*sorted(HERE.glob("*/README.md")), HERE.parent / "docs" / "claims.md", HERE.parent / "README.md")
_BLOCK = re.compile(r"(<!-- numbers: (?P<source>\S+) -->\n)(?P<text>.*?)(<!-- end of numbers -->)", re.DOTALL)
_OF = {"metric": "the metric", "failures": "failures to learn", "lr50": "lr50"}


def main() -> int:
    """Exit status 1 if a page differs from what the results give."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="write the blocks instead of checking them")
    write = parser.parse_args().write
    outdated, num_blocks = [], 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found = with_blocks(text, page.parent)
        num_blocks += len(_BLOCK.findall(text))
        if found != text and write:
            page.write_text(found, encoding="utf-8")
        if found != text:
            outdated.append(page.relative_to(HERE.parent))
    for page in outdated:
        print(f"{page}: {'written' if write else 'the numbers are not those of the results beside it'}")
    print(f"{count(num_blocks, 'block')} in {count(len(PAGES), 'page')} recomputed, {len(outdated)} pages differed")
    return 1 if outdated and not write else 0


def with_blocks(text: str, folder: Path) -> str:
    """The page with every block recomputed; `folder` is where its tables of runs are."""
    return _BLOCK.sub(lambda block: f"{block[1]}{numbers(folder, block['source'])}{block[4]}", text)


def numbers(folder: Path, source: str) -> str:
    """The text of a block: `claims` is the table of all claims, `claims:STUDY` has those of one study.

    `verdicts` is the README's shorter form of `claims`.
    """
    if source == "verdicts":
        return verdicts_table(HERE)
    if source.startswith("claims"):
        return claims_table(HERE, source.partition(":")[2] or None)
    if source.startswith("described:"):
        return described(folder / source.partition(":")[2])
    if source.startswith("first:"):
        return first_study(HERE, source.partition(":")[2])
    shown = (_lr50,) if source.startswith("lr50:") else _PARTS
    path = folder / source.removeprefix("lr50:")
    runs = pd.read_csv(path, keep_default_na=True)
    parts = [_source(path, runs), *(part(runs, study_question(folder)) for part in shown)]
    return "\n\n".join(part for part in parts if part) + "\n"


def study_question(folder: Path) -> Question:
    """What the study's `experiment.yaml` states, without looks: the pages judge all committed runs."""
    config: Any = OmegaConf.to_container(OmegaConf.load(folder / "experiment.yaml"))
    stated = config.get("compare", {})
    metric = {"roughness": "whole/roughness"}.get(stated.get("metric"), stated.get("metric", "eval_loss"))
    return Question(metric, smaller_is_better(metric), stated.get("margin"), stated.get("reference"))


def _source(path: Path, runs: pd.DataFrame) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    failed = runs["failed_to_learn"].astype(bool) | (runs["status"] == "diverged")
    return (
        f"{count(len(runs), 'run')} of {runs['seed'].nunique()} seeds, {int(failed.sum())} of which failed to learn. "
        f"(`{path.name}`, SHA-256 {digest})"
    )


def _headline(runs: pd.DataFrame, question: Question) -> str:
    """The headline, unless nothing is compared with anything."""
    found = compare(runs, question)
    is_compared = any(verdict.value != "no_reference" for verdict in found.verdicts)
    return f"**{found.headline}**" if is_compared else ""


def _arms(runs: pd.DataFrame, question: Question) -> str:
    """The table of arms: failures, metric over all seeds, difference from the reference, verdict."""
    found, table = compare(runs, question), read_runs(runs, question.metric)
    is_number = metric_kind(question.metric) != "rank"
    over = "all seeds" if is_number else "runs that learned"
    rows = [
        f"| arm | failed | {question.metric}, mean over {over} [95 %] | minus reference [95 %] | adjusted p "
        "| verdict |",
        "|---|---|---|---|---|---|",
    ]
    compared = table.compared(question.metric, smaller_is_better=question.smaller_is_better) if is_number else None
    for row, (arm, verdict) in enumerate(zip(found.arms, found.verdicts, strict=True)):
        values = table.values[row, table.usable[row]] if compared is None else compared[row][~pd.isna(compared[row])]
        mean = f"{values.mean():.3g}{interval_text(mean_interval(values), '.3g')}" if values.size else "none learned"
        failed = f"{arm.failed.count} of {arm.failed.total}"
        rows.append(
            f"| {arm.name} | {failed} | {mean} | {_difference(verdict)} | {_p(verdict)} | {_verdict(verdict)} |"
        )
    return "\n".join(rows)


def _difference(verdict: Verdict) -> str:
    test = verdict.test
    if test is None or test.difference is None:
        return ""
    return f"{test.difference:+.3g}{interval_text(test.interval_95, '+.3g')}"


def _p(verdict: Verdict) -> str:
    parts = {
        "": verdict.p_holm,
        "failures ": verdict.p_failed_holm,
        "equivalence ": verdict.p_equivalent_holm,
    }
    return ", ".join(f"{name}{p_text(p)}" for name, p in parts.items() if p is not None)


def _verdict(verdict: Verdict) -> str:
    if verdict.value in ("reference", "no_reference"):
        return verdict.value.replace("_", " ")
    text = PHRASES[verdict.value][1]
    return text if verdict.value in ("inconclusive", "both_fail") else f"**{text}**"


def _trends(runs: pd.DataFrame, question: Question) -> str:
    found = compare(runs, question)
    texts = [
        f"{_OF[trend.of]}{f' ({question.metric})' if trend.of == 'metric' else ''}: z {trend.z:+.2f}, adjusted p "
        f"{p_text(trend.p_adjusted)}{'' if trend.p_adjusted < ALPHA else ', not shown'}"
        for trend in found.trends
    ]
    return f"Trends over the length of the warmup: {'; '.join(texts)}." if texts else ""


def _roughness(runs: pd.DataFrame, question: Question) -> str:
    """The trends of roughness, unless it is the primary metric."""
    texts = []
    for metric in ROUGHNESS:
        if metric == question.metric or metric not in runs or runs[metric].isna().all():
            continue
        trend = compare(runs, Question(metric, reference=question.reference)).trend("metric")
        if trend is not None:
            texts.append(f"{metric} z {trend.z:+.2f}, adjusted p {p_text(trend.p_adjusted)}")
    return f"Exploratory, trends of roughness over the length of the warmup: {'; '.join(texts)}." if texts else ""


def _lr50(runs: pd.DataFrame, question: Question) -> str:
    """The table of usable learning rates; '' unless the learning rate was swept and some run failed."""
    lines = compare(runs, question).lr_lines
    if not lines:
        return ""
    rows = ["| line | lr50 [95 %] | ratio to reference [95 %] | adjusted p |", "|---|---|---|---|"]
    return "\n".join([*rows, *(_lr50_row(line) for line in lines)])


def _lr50_row(line: LrLine) -> str:
    ends = [] if line.usable.reaches_low else ["starts too high"]
    ends += [] if line.usable.reaches_high else ["ends too low"]
    note = f" (grid {' and '.join(ends)})" if ends else ""
    ratio = p = ""
    if line.ratio is not None:
        bound = f"{line.ratio.bound} " if line.ratio.bound else ""
        ratio = f"{bound}{line.ratio.ratio:.3g}{interval_text(line.ratio.interval, '.3g')}, to {line.reference}"
        p = p_text(line.p_adjusted) if line.p_adjusted is not None else ""
    return f"| {line.name} | {line.usable.lr50:.3g}{interval_text(line.usable.interval, '.3g')}{note} | {ratio} | {p} |"


def _variance(runs: pd.DataFrame, question: Question) -> str:
    """The split of the variance of the final evaluation loss; '' unless learning rate and warmup were crossed."""
    table, metric = read_runs(runs, "eval_loss"), "eval_loss"
    design = make_design(table.arms, question.reference)
    found = split_variance(table.compared(metric, smaller_is_better=True), design)
    if found is None:
        return ""
    shares = {"learning rate": found.lr, "warmup": found.warmup, "interaction": found.interaction, "rest": found.rest}
    texts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    warmups = ", ".join(percent_text(value) for value in found.warmup_percents)
    lrs = f"{found.lrs[0]:g} to {found.lrs[-1]:g}"
    return f"Variance of the final evaluation loss over lr {lrs} and warmup {warmups}: {texts}."


_PARTS: tuple[Callable[[pd.DataFrame, Question], str], ...] = (_headline, _arms, _trends, _lr50, _variance, _roughness)

if __name__ == "__main__":
    sys.exit(main())
