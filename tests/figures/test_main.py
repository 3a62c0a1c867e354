"""`python -m warmup_lab.figures`, as a user runs it."""

import pytest
from PIL import Image

from warmup_lab.figures.__main__ import main
from warmup_lab.schedules.registry import SCHEDULES
from warmup_lab.schedules.shapes import WARMUPS
from warmup_lab.schedules.warmups import AUTOMATIC_WARMUPS


def test_draws_the_schedule_of_a_command(tmp_path, capsys):
    path = tmp_path / "schedule.png"
    assert main(["scheduler=WarmupCosine", "warmup_ratio=0.1", "--out", str(path)]) == 0
    output = capsys.readouterr().out
    assert "warmupcosine, 36 updates of warmup, 360 updates, peak lr 0.001" in output
    with Image.open(path) as image:
        assert image.width > 1000
        assert len(set(image.convert("RGB").resize((200, 100)).get_flattened_data())) > 5, "something is drawn"


def test_writes_nothing_without_an_output_file(tmp_path, monkeypatch, capsys):
    """It used to leave schedule.png where it ran, an untracked file in a clone."""
    monkeypatch.chdir(tmp_path)
    assert main(["scheduler=warmupcosine"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out.endswith("to save a picture: --out schedule.png, or .svg\n")


def test_says_where_the_picture_is_in_a_new_folder(tmp_path, capsys):
    path = tmp_path / "new" / "one.svg"
    assert main(["scheduler=warmupcosine", "--out", str(path)]) == 0
    assert path.exists()
    assert capsys.readouterr().out.endswith(f"saved {path}\n")


def test_draws_all_schedulers_as_svg(tmp_path, capsys):
    path = tmp_path / "all.svg"
    assert main(["scheduler=all", "warmup_ratio=0.2", "max_steps=60", "--out", str(path)]) == 0
    assert path.read_text().startswith("<svg")
    shown = [line for line in capsys.readouterr().out.splitlines() if "updates, peak" in line]
    assert len(shown) == len(set(SCHEDULES.values())), "one that has two names is drawn once"


def test_draws_all_warmups_with_a_small_picture_of_each(tmp_path, capsys):
    out = tmp_path / "warmups.png"
    assert main(["scheduler.warmup=all", "max_steps=20", "--out", str(out), "--each", str(tmp_path / "each")]) == 0
    names = {f"warmup_{name}" for name in (*WARMUPS, *AUTOMATIC_WARMUPS, "start_factor")}
    assert {path.stem for path in (tmp_path / "each").glob("*.svg")} == names
    assert "warmup step, 20 updates, peak lr 0.001\n▁▁████" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["scheduler=nope"], "unknown scheduler 'nope'"), (["warmup_ratio=2"], "must be in [0, 1]")],
)
def test_invalid_overrides_are_refused_with_the_reason(arguments, message, capsys):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
