"""Where `conf/` and the experiments are. `tests/end_to_end/test_wheel.py` has the same for installed packages."""

from program import ROOT

from warmup_lab.cli.locations import conf_folder, experiment_folders


def test_in_a_clone_they_are_at_its_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert conf_folder() == ROOT / "conf"
    assert experiment_folders() == [ROOT / "experiments", tmp_path / "experiments"]


def test_the_working_directory_of_a_clone_counts_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert experiment_folders() == [ROOT / "experiments"]
