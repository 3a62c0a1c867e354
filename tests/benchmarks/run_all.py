"""Runs all benchmarks one after another and prints one table. `make bench` runs this.

    python tests/benchmarks/run_all.py                    # 50 minutes on two cores
    python tests/benchmarks/run_all.py --only step study
    python tests/benchmarks/run_all.py --quick            # checks that all of them run

Writes `<out>/<name>.json` for each benchmark, `<out>/all.json`, and `<out>/all.md` with the machine and the table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import timing

HERE = Path(__file__).resolve().parent
NAMES = ("start", "step", "tracking", "study", "stacked", "dropout", "report")
NO_GPU = (
    "stacked: skipped, because this machine has no GPU. On a machine with one, torch and transformers are enough: "
    "python tests/benchmarks/stacked.py"
)


def has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def run(name: str, options: Any) -> dict[str, Any] | None:
    """The content of `<name>.json`; without rows if the benchmark failed, None if it cannot run on this machine."""
    if name == "stacked" and not has_gpu():
        print(NO_GPU)
        return None
    command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(options.out)]
    command += ["--quick"] if options.quick else []
    command += ["--rounds", str(options.rounds)] if options.rounds else []
    timing.say(f"\n== {name}")
    (options.out / f"{name}.json").unlink(missing_ok=True)
    status = subprocess.run(command, check=False).returncode
    written = options.out / f"{name}.json"
    if status or not written.exists():
        print(f"{name}: FAILED with exit status {status}")
        return {"benchmark": name, "failed": True, "rows": [], "checks": {}}
    found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return found


def markdown(results: list[dict[str, Any]]) -> str:
    """One line on the machine, and one table with the rows of all benchmarks."""
    about = next((result["machine"] for result in results if "machine" in result), timing.machine())
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    rows = [row for result in results for row in result.get("rows", [])]
    lines = [f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, {versions}", "", timing.table(rows)]
    bad = [title for result in results for title, check in result.get("checks", {}).items() if not check["ok"]]
    return "\n".join([*lines, *(["", *(f"NOT THE SAME WORK: {title}" for title in bad)] if bad else [])]) + "\n"


def main() -> int:
    parser = timing.arguments(str(__doc__).partition("\n")[0])
    parser.set_defaults(rounds=None)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="benchmarks to run")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = [found for name in NAMES if name in options.only and (found := run(name, options))]
    (options.out / "all.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    text = markdown(results)
    (options.out / "all.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {options.out}")
    same = all(check["ok"] for result in results for check in result.get("checks", {}).values())
    return 0 if same and not any(result.get("failed") for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
