"""Shell completion, asked as bash and fish do. `tests/end_to_end/test_wheel.py` asks a real bash."""

import pytest

from warmup_lab.cli.completion import is_query, set_typed_words, typed_words


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-sc", "query=bash"], True),
        (["--shell-completion", "query=fish"], True),
        (["-sc", "install=bash"], False),
        (["query=bash"], False),
    ],
)
def test_only_the_shell_queries(arguments, expected):
    assert is_query(arguments) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("warmup-lab", []),
        ("warmup-lab ", [""]),
        ("warmup-lab tr", ["tr"]),
        ("python train.py -m sch", ["-m", "sch"]),
        ("/usr/bin/python3.11 ../train.py sch", ["sch"]),
        ("warmup-lab train 'seed=range(6)' sch", ["train", "seed=range(6)", "sch"]),
        ("warmup-lab train 'seed=ra", ["train", "'seed=ra"]),
    ],
)
def test_words_are_split_as_the_shell_does(line, expected, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    assert typed_words() == expected


def test_words_after_the_cursor_do_not_count(monkeypatch):
    monkeypatch.setenv("COMP_LINE", "warmup-lab train sch epochs=1")
    monkeypatch.setenv("COMP_POINT", str(len("warmup-lab train sch")))
    assert typed_words() == ["train", "sch"]


def test_words_that_are_set_are_read_again(monkeypatch):
    monkeypatch.setenv("COMP_LINE", "")
    for words in (["seed=range(6)", "a b", ""], ["sch"], [""]):
        set_typed_words(words)
        assert typed_words() == words


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sch", ["scheduler.", "scheduler="]),
        ("'seed=range(6)' -m task=files task.tr", ["task.train_file="]),
        ("-m scheduler=linear,warmupl", ["scheduler=linear,warmuplinear"]),
        ("--config-dir options scheduler=sh", ["scheduler=short"]),
        ("nonsense=1 task=synthetic_", ["task=synthetic_small"]),
        ("--multi", ["--multirun"]),
        ("--config-dir ", []),
        ("seed='", []),
    ],
)
def test_answers(typed, expected, train_py_here, tmp_path):
    (tmp_path / "options" / "scheduler").mkdir(parents=True)
    (tmp_path / "options" / "scheduler" / "short.yaml").write_text("defaults: [warmuplinear]\n")
    done = train_py_here("-sc", "query=fish", env={"COMP_LINE": f"python train.py {typed}"})
    last = typed.split(" ")[-1]
    assert [word for word in done.stdout.split() if word.startswith(last)] == expected  # the shell selects so too
    assert done.stderr == ""
