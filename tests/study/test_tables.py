"""Tables and figures of results say what the results say, also where some are missing."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.inference.scoring import Score
from coconut_lab.study import tables as views
from coconut_lab.study.figures import draw_depth, draw_methods
from coconut_lab.study.tables import MISSING, NAMES, PAPER
from coconut_lab.tables import Table

texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)


def part(outcomes: str, tokens: float | None = 2.0) -> dict[str, object]:
    return {
        "right": outcomes.count("1"),
        "total": len(outcomes),
        "outcomes": outcomes,
        "tokens": tokens,
        "thoughts": 3.0,
    }


def method(name: str, seed: int, outcomes: str, tokens: float | None = 2.0) -> dict[str, object]:
    return {"method": name, "seed": seed} | part(outcomes, tokens)


#: Three methods, two seeds, one of them missing for CoT, and not in the order of METHODS.
METHOD_RESULTS = [
    method("no_cot", 7, "0101010101"),
    method("no_cot", 0, "0000011111", tokens=1.0),
    method("coconut", 7, "1111111111"),
    method("cot", 0, "1111111100", tokens=None),
    method("coconut", 0, "1111111101"),
]


def depth_entry(name: str, layers: int, seed: int, rights: list[int]) -> dict[str, object]:
    hops = [{"hops": h} | part("1" * r + "0" * (100 - r)) for h, r in enumerate(rights, start=1)]
    return {"method": name, "layers": layers, "seed": seed, "by_hops": hops}


DEPTH_RESULTS = [
    depth_entry("coconut", 2, 6, [100, 90]),
    depth_entry("coconut", 2, 0, [98, 80]),
    depth_entry("no_cot", 1, 0, [97, 50]),
]


@pytest.fixture
def scores():
    return views.method_scores(METHOD_RESULTS)


@pytest.fixture
def cells():
    return views.depth_scores(DEPTH_RESULTS)


# --- tables ---------------------------------------------------------------------------------------


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.tuples(*[texts] * width), min_size=1, max_size=4)
    )
)
def test_a_table_shows_every_text_in_every_form(lines):
    table = Table(lines[0], tuple(lines[1:]))
    root = ElementTree.fromstring(table._repr_html_())
    assert [tuple(cell.text or "" for cell in row) for row in root.iter("tr")] == lines
    assert len(str(table).split("\n")) == len(lines)
    for line, shown in zip(lines, str(table).split("\n"), strict=True):
        assert "".join(line) == "".join(shown.split())


def test_columns_of_a_table_stand_below_each_other():
    shown = str(Table(("a", "b"), (("longer", "x"), ("", "y")))).split("\n")
    assert [line.index(last) for line, last in zip(shown, "bxy", strict=True)] == [8, 8, 8]


def test_a_row_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"row 2 \(\('c',\)\) has 1 cells, the head 2"):
        Table(("a", "b"), (("a", "b"), ("c",)))


def test_methods_table_has_every_seed_and_marks_what_is_missing(scores):
    table = views.methods_table(scores)
    assert table.head == ("method", "seed 0", "seed 7", "tokens", "thoughts")
    assert [row[0] for row in table.rows] == ["Coconut", "CoT", "No-CoT"]  # as in METHODS
    coconut, cot, no_cot = table.rows
    assert coconut[1:3] == ("90.0 (59.6 to 98.2)", "100.0 (72.2 to 100.0)")
    assert cot[2:4] == (MISSING, MISSING)
    assert no_cot[3:] == ("1.5", "3.0")


def test_comparison_table_agrees_with_a_count_by_hand(scores):
    cot, no_cot = views.comparison_table(scores).rows
    assert cot[0] == "CoT" and cot[2] == MISSING
    # Coconut 1111111101, CoT 1111111100: one problem right only for Coconut.
    assert cot[1].startswith("+10.0 (") and cot[1].endswith("p\u00a0= 1.0000")
    # Seed 7: Coconut is right everywhere, No-CoT in every second: five against none, 2 / 32.
    assert no_cot[2].startswith("+50.0 (") and no_cot[2].endswith("p\u00a0= 0.0625")
    for row in views.comparison_table(scores, first="pause").rows:  # not measured
        assert set(row[1:]) == {MISSING}


def test_every_pair_of_one_seed_is_compared_once(scores):
    assert set(views.comparisons(scores, 0)) == {
        ("coconut", "cot"),
        ("coconut", "no_cot"),
        ("cot", "no_cot"),
    }
    assert set(views.comparisons(scores, 7)) == {("coconut", "no_cot")}
    assert views.comparisons(scores, 5) == {}


def test_small_p_values_are_not_shown_as_zero():
    assert views.p_text(1e-9) == "<\u00a00.0001"
    assert views.p_text(0.0001) == "0.0001"


def test_depth_table_gives_mean_and_range_over_seeds(cells):
    table = views.depth_table(cells)
    assert table.rows == (
        ("Coconut", "2", "2", "99.0 (98.0 to 100.0)", "85.0 (80.0 to 90.0)"),
        ("No-CoT", "1", "1", "97.0 (97.0 to 97.0)", "50.0 (50.0 to 50.0)"),
    )
    del cells["no_cot", 1, 2]
    assert views.depth_table(cells).rows[1][-1] == MISSING


def test_above_chance_asks_every_seed():
    good, guessing = Score(90, 100), Score(55, 100)
    assert views.above_chance({0: good, 1: good})
    assert not views.above_chance({0: good, 1: guessing}) and not views.above_chance({})


def test_nothing_measured_gives_empty_tables():
    tables = (views.methods_table({}), views.comparison_table({}))
    assert {table.rows for table in (*tables, views.depth_table({}))} == {()}


def test_the_papers_table_is_complete():
    assert set(PAPER) == set(NAMES) == set(METHODS)
    table = views.paper_table()
    assert table.head == ("method", "GSM8k", "ProntoQA", "ProsQA")
    by_name = {row[0]: row[1:] for row in table.rows}
    assert by_name["Coconut"] == ("34.1±1.5 / 8.2", "99.8±0.2 / 9.0", "97.0±0.3 / 14.2")
    assert by_name["iCoT"][0] == "30.0 / 2.2"


# --- reading --------------------------------------------------------------------------------------


def test_missing_results_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"depth\.json is not there; `make results`"):
        views.read_results("depth", tmp_path)


def test_printing_goes_on_where_a_study_is_missing(tmp_path, capsys):
    kept = {"what": "hand-made", "recipes": {}, "results": METHOD_RESULTS}
    (tmp_path / "methods.json").write_text(json.dumps(kept), encoding="utf-8")
    views.print_tables(tmp_path)
    printed = capsys.readouterr().out
    assert "hand-made" in printed and "90.0 (59.6 to 98.2)" in printed
    assert "depth.json is not there" in printed


# --- figures --------------------------------------------------------------------------------------


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_the_figure_of_methods_has_a_mark_for_every_result(scores):
    (axes,) = draw_methods(scores).axes
    drawn = {}
    for container in axes.containers:
        line = container.lines[0]
        places = zip(line.get_xdata(), line.get_ydata(), strict=True)
        drawn[container.get_label()] = {round(float(y)): float(x) for x, y in places}
    order = list(METHODS)
    assert drawn["seed 0"] == pytest.approx(
        {order.index("coconut"): 90.0, order.index("cot"): 80.0, order.index("no_cot"): 50.0}
    )
    assert drawn["seed 7"] == pytest.approx({0: 100.0, order.index("no_cot"): 50.0})
    bars = axes.containers[0].lines[2][0].get_segments()[0][:, 0]
    assert list(bars) == pytest.approx([100 * end for end in Score(9, 10).interval])
    assert "chance" in words(axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == [NAMES[m] for m in METHODS]


def test_the_maps_write_every_number_and_frame_what_may_be_chance(cells):
    figure = draw_depth(cells, ("coconut", "no_cot"), (1, 2), (1, 2))
    coconut, no_cot = figure.axes[:2]
    assert words(coconut) == [MISSING, MISSING, "99", "98–100", "85", "80–90"]
    assert words(no_cot) == ["97", "50", MISSING, MISSING]
    frames = [
        [patch.get_xy() for patch in axes.patches if patch.get_linestyle() == "--"]
        for axes in (coconut, no_cot)
    ]
    assert frames[0] == []
    assert [(int(x), int(y)) for x, y in frames[1]] == [(1, 0)]
    assert "50 chance" in [label.get_text() for label in figure.axes[-1].get_yticklabels()]


def test_a_higher_share_is_lighter():
    shares = list(range(30, 101, 10))
    entry = depth_entry("cot", 1, 0, shares)
    figure = draw_depth(views.depth_scores([entry]), ("cot",), (1,), tuple(range(1, 9)))
    filled = [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and patch.get_fill()
    ]
    greys = []
    for patch in filled:
        red, green, blue, _ = patch.get_facecolor()
        greys.append(0.299 * red + 0.587 * green + 0.114 * blue)
    assert greys == sorted(greys)
    assert len({to_hex(patch.get_facecolor()) for patch in filled}) == len(shares) - 1  # 30 as 40


def test_figures_without_results_are_drawn():
    assert draw_methods({}).axes
    axes = draw_depth({}, ("coconut",), (1, 2), (1, 2, 3)).axes[0]
    assert words(axes) == [MISSING] * 6
