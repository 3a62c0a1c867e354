"""The figure of planned looks."""

from report_files import data_rows

from warmup_lab.figures.looks import looks_figure, path_table, seen_looks

TREND = {"name": "trend of failures", "p_values": [0.2, 1e-9], "p_adjusted": [0.6, 1e-8]}
PAIR = {"name": "w0", "p_values": [None, 0.03], "p_adjusted": [None, 0.1]}
LOOKS = {"planned": [6, 12, 24], "reached": 12, "boundary": [0.023, 0.022, 0.022], "path": [TREND, PAIR]}


def test_table_has_a_row_per_test_and_look():
    table = path_table(LOOKS["path"], LOOKS["planned"])
    assert [(row["line"], row["seeds"], row["p"], row["drawn"], row["decided"]) for row in table] == [
        ("trend of failures", 6, 0.2, 0.2, False),
        ("trend of failures", 12, 1e-9, 1e-6, True),
        ("w0", 12, 0.03, 0.03, False),
    ]


def test_the_five_tests_with_the_smallest_p_are_kept_in_their_order():
    path = [{"name": f"t{n}", "p_values": [0.1], "p_adjusted": [abs(n - 5) / 10]} for n in range(8)]
    assert [row["line"] for row in path_table(path, [6])] == ["t3", "t4", "t5", "t6", "t7"]


def test_figure_draws_the_path_beside_the_boundary():
    ((cell,),) = looks_figure(LOOKS).rows
    rows = data_rows(cell.spec)
    assert [row["bound"] for row in rows if "bound" in row] == LOOKS["boundary"]
    assert [row["fill"] == "#ffffff" for row in rows if "fill" in row] == [True, False, True]


def test_title_counts_all_decided_tests():
    assert seen_looks(LOOKS) == "1 of 2 tests decided after 12 of 24 seeds"
    many = [PAIR | {"name": f"t{n}"} for n in range(8)]
    assert seen_looks(LOOKS | {"path": many, "reached": 24}) == "None of 8 tests decided after 24 seeds"


def test_the_caption_names_only_what_is_drawn():
    words = ["Grey dashed line", "Filled marker", "Hollow marker", "Smaller p-values"]
    ((cell,),) = looks_figure(LOOKS).rows
    assert all(note.startswith(word) for note, word in zip(cell.notes, words, strict=True))
    ((cell,),) = looks_figure(LOOKS | {"path": [PAIR | {"name": f"t{n}"} for n in range(8)]}).rows
    assert [note.partition(":")[0] for note in cell.notes[:2]] == ["Grey dashed line", "Hollow marker"]
    assert cell.notes[2:] == ("The 5 tests with the smallest p-values are drawn.",)


def test_figure_without_planned_looks_is_empty():
    assert looks_figure({"planned": [], "reached": 0}).rows == []
