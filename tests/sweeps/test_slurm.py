"""`hydra/launcher=slurm` without a cluster. tests/cluster/test_slurm.py runs it on one."""

from __future__ import annotations

SWEEP = ("-m", "task=synthetic_small", "tracking=none", "seed=0,1", "hydra/launcher=slurm")


def test_a_machine_without_slurm_refuses_in_one_line_and_writes_nothing(train_py_here, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("squeue", "scontrol", "scancel"):
        (programs / name).touch(mode=0o755)
    done = train_py_here(*SWEEP, env={"PATH": str(programs)})
    assert done.returncode == 1
    assert done.stderr == (
        "error: hydra/launcher=slurm needs sbatch, srun, not on PATH here: start the sweep on a machine with Slurm, "
        "or use hydra/launcher=fastest\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
