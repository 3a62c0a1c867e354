"""The package as users install it: the wheel without a clone, and the editable install of a clone."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from program import ROOT, SMALL, SMALL_MODEL, run

OPTIONS = (*SMALL, *SMALL_MODEL, "max_steps=3", "eval_every=null")


class Environment:
    """A virtual environment with the packages of this one, but not with this clone: `.pth` files do not nest."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.programs = folder / "bin"
        (self.packages,) = folder.glob("lib/*/site-packages")
        (self.packages / "shared.pth").write_text(sysconfig.get_path("purelib"))

    def install(self, *what: str | Path) -> None:
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        pip(["--python", self.programs / "python", "install", *options, *what])

    def start(self, program: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return run([self.programs / program, *args], cwd=cwd, PYTHONPATH="")


def pip(words: list[str | Path]) -> None:
    done = run([sys.executable, "-m", "pip", *words])
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip(["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT])
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp("installed"))
    environment.install(wheel)
    return environment


def test_the_wheel_has_conf_and_of_each_experiment_only_its_configuration(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    shipped = [*ROOT.glob("conf/**/*.yaml"), *ROOT.glob("experiments/*/experiment.yaml")]
    assert {name for name in names if name.startswith(("warmup_lab/conf/", "warmup_lab/experiments/"))} == {
        f"warmup_lab/{path.relative_to(ROOT).as_posix()}" for path in shipped
    }


def test_the_package_that_runs_is_that_of_the_wheel(installed, tmp_path):
    code = "import warmup_lab, sys; print(warmup_lab.__file__, *sys.path)"
    done = installed.start("python", "-c", code, cwd=tmp_path)
    assert done.stdout.startswith(str(installed.packages))
    assert str(ROOT / "src") not in done.stdout.split()


# A single run of the wheel is in .ci/run, with the dependencies that the wheel itself asks for.
@pytest.mark.trains
def test_a_multirun_in_a_worker_process_with_an_experiment_of_the_working_directory(installed, tmp_path):
    (tmp_path / "experiments" / "mine").mkdir(parents=True)
    (tmp_path / "experiments" / "mine" / "experiment.yaml").write_text(
        "study: mine\nhydra:\n  sweeper:\n    params:\n      warmup_steps: 1\n"
    )
    done = installed.start(
        "warmup-lab", "train", "-m", "experiment=mine", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *OPTIONS,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (result,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/mine/*/result.json"))
    assert (result["strategy"]["warmup_steps"], result["status"]) == (1, "completed")
    command = json.loads((tmp_path / "runs" / "mine" / "sweep.json").read_text())["command"]
    assert "warmup-lab train -m experiment=mine hydra/launcher=joblib" in command


COMPLETE = """
eval "$(warmup-lab train -sc install=bash)"
while read -r line; do
    words=($line)
    COMP_LINE=$line COMP_POINT=${#line} COMP_CWORD=$((${#words[@]} - 1)) hydra_bash_completion
    echo "${COMPREPLY[@]}"
done
complete -p warmup-lab
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(installed, tmp_path):
    lines = {
        "warmup-lab tr": "train",
        "warmup-lab train seed=0 -m scheduler=linear,warmuplin": "scheduler=linear,warmuplinear",
        "warmup-lab schedule experiment=comp": "experiment=compare",
    }
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE],
        input="".join(f"{line}\n" for line in lines),
        cwd=tmp_path,
        env={"PATH": f"{installed.programs}:/usr/bin:/bin"},
        text=True, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    *answers, registered = done.stdout.splitlines()
    assert answers == list(lines.values())
    assert registered.endswith("-F hydra_bash_completion warmup-lab")
    assert done.stderr == ""


def test_an_editable_install_reads_the_files_of_its_clone(tmp_path):
    clone = tmp_path / "clone"
    for name in ("src", "conf", "experiments"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", "figures", "*.csv"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "train.py"):
        shutil.copy(ROOT / name, clone)
    environment = Environment(tmp_path / "environment")
    environment.install("--editable", clone)
    assert not list(environment.packages.rglob("*.yaml"))
    for path, old, new in (
        (clone / "conf" / "config.yaml", "batch_size: 32", "batch_size: 31"),
        (clone / "experiments" / "compare" / "experiment.yaml", "study: compare", "study: edited"),
    ):
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
    done = environment.start("warmup-lab", "train", "experiment=compare", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"batch_size: 31", "study: edited"} <= set(done.stdout.splitlines())
