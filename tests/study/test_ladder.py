"""The ladder trains what its rows begin with, goes on where it stopped, and counts by hops."""

import json
from collections import Counter

import pytest
from small_runs import SMALL

from coconut_lab.checkpoints import shipped
from coconut_lab.checkpoints.shipped import load
from coconut_lab.inference.scoring import score
from coconut_lab.study import build_checkpoints, ladder, leaderboard
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.study.methods_and_depth import FOLDER
from coconut_lab.study.tables import read_results
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training import data
from coconut_lab.training import recipe as recipes
from coconut_lab.training.recipe import RecipeError, load_recipe
from coconut_lab.training.start import fingerprint, with_names

BASE = (
    SMALL.replace("trial", "first")
    .replace("positions: 96", "positions: 192")
    .replace("seed: 3", "seed: 3\nobjective: walks")
)
BASE = BASE.split("curriculum:")[0] + "phases: [{steps: 4}]\n"
ROW = SMALL.replace("trial", "row").replace("preset: tiny", "preset: small, hops: [2, 3]")
ROW = ROW.replace(
    "{layers: 1, heads: 2, width: 16, feed_forward: 16, positions: 96}", "{start: first}"
)


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Two recipes of a few steps, few problems."""
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    (tmp_path / "first.yaml").write_text(BASE)
    (tmp_path / "row.yaml").write_text(ROW)
    monkeypatch.setattr(leaderboard, "HELD_OUT", 5)
    monkeypatch.setattr(leaderboard, "EVERY", 2)
    monkeypatch.setattr(ladder, "PER_HOP", 3)
    monkeypatch.setattr(ladder, "unseen_problems", lambda preset: unseen_problems(preset, 12))
    monkeypatch.setattr(ladder, "ROWS", {"row": (16,)})
    return tmp_path


def test_a_row_is_trained_from_its_first_recipe_on_at_any_width():
    found = ladder.chain("paper-frontier", 192)
    assert [one.name for one in found] == [
        "small-wide-base",
        "small-frontier",
        "paper-first",
        "paper-frontier",
    ]
    assert found == [load_recipe(one.name) for one in found]
    narrow = ladder.chain("small-frontier", 96)
    assert [one.name for one in narrow] == ["small-wide-base-96", "small-frontier-96"]
    part = narrow[0].model
    assert (part.width, part.feed_forward, part.head_dim) == (96, 192, 32)
    assert part.initializer_range == pytest.approx(0.07 * 2**0.5, abs=1e-4)
    with pytest.raises(RecipeError, match="width"):
        ladder.chain("small-frontier", 0)


def test_right_answers_by_hops_and_thoughts_are_those_of_each_problem():
    made = load("tiny-coconut")
    problems = generate_prosqa(30, 7, "tiny")
    found = ladder.by_hops(made.model, made.curriculum, problems)
    hops = Counter(problem.graph.hops for problem in problems)
    assert {int(hop): one["total"] for hop, one in found.items()} == hops
    for count in range(4):
        graded = score(
            made.model, made.tokenizer, problems, made.curriculum, count, answer_now=True
        )
        assert sum(one["right"][count] for one in found.values()) == graded.right
    assert found["3"]["right"][3] > found["3"]["right"][1]


def test_a_stopped_row_goes_on_and_counts_all_its_seconds(few, monkeypatch):
    write = leaderboard.write_text

    def stop(path, text):
        write(path, text)
        if path.parent.name == "row-seed-3" and json.loads(text)[-1][0] == 4:
            raise InterruptedError

    monkeypatch.setattr(leaderboard, "write_text", stop)
    with pytest.raises(InterruptedError):
        ladder.study_ladder(["row"], [], few / "runs", folder=few)
    before = json.loads((few / "runs" / "row-seed-3" / "scored.json").read_text())
    monkeypatch.setattr(leaderboard, "write_text", write)
    table = ladder.study_ladder(["row"], [], few / "runs", folder=few)
    assert table == ladder.study_ladder(["row"], [], few / "none", folder=few)  # not again
    assert not (few / "none").exists()
    ladder.study_ladder(["row"], [], few / "whole", folder=few / "whole")
    one, whole = (json.loads((at / "ladder.json").read_text()) for at in (few, few / "whole"))
    [one], [whole] = one["results"], whole["results"]
    assert one["scored"][0] == before[0]
    assert [point[0] for point in one["scored"]] == [2, 4, 6, 8, 9]
    seconds = [point[2] for point in one["scored"]]
    assert seconds == sorted(seconds) and seconds[0] < seconds[-1]
    for key in ("outcomes", "frontier", "by_hops", "twin"):
        assert one[key] == whole[key]
    assert one["published"] is None and table.rows[0][:3] == ("row", "16", "9")
    assert sum(part["total"] for part in one["by_hops"].values()) == 12


def test_published_problems_are_counted_for_their_size_alone(few, monkeypatch):
    monkeypatch.setattr(recipes, "FOLDER", FOLDER.parent / "coconut_lab" / "recipes")
    seen = []
    monkeypatch.setattr(ladder, "ladder_cell", lambda *row: seen.append(row) or {})
    monkeypatch.setattr(ladder, "ladder_table", len)
    file = few / "published.json"
    problems = [one.in_english() for one in generate_prosqa(3, 5, "paper")]
    write_json(problems, file)
    names = ["small-frontier", "paper-frontier"]
    ladder.study_ladder(names, [192], few, str(file), folder=few)
    assert [(row[0], len(row[3])) for row in seen] == [(names[0], 0), (names[1], 3)]
    assert seen[1][3] == [one.in_symbols() for one in problems]


def test_a_checkpoint_whose_start_is_not_there_is_built_after_it(few, monkeypatch):
    there = few / "checkpoints"
    for module in (shipped, build_checkpoints):
        monkeypatch.setattr(module, "FOLDER", there)
    monkeypatch.setattr(
        build_checkpoints,
        "unseen_problems",
        lambda preset, hops: generate_prosqa(5, 5, preset, hops=hops),
    )
    card = build_checkpoints.build("row", runs=few / "runs")
    assert shipped.names() == ["first", "row"]
    begun = json.loads((few / "runs" / "row-seed-3" / "run.json").read_text())
    first = shipped.load("first").model
    grown = with_names(first, data.names_of(load_recipe("row")), 3)
    assert begun["weights at the start"] == fingerprint(grown)
    assert card["parameters"] > shipped.load("first").card["parameters"]  # rows for more names


def test_what_is_measured_is_what_the_recipes_say():
    rows = read_results("ladder")["results"]
    assert {(row["recipe"], row["width"]) for row in rows} == {
        (name, width) for name, widths in ladder.ROWS.items() for width in widths
    }
    for row in rows:
        recipes_before = ladder.chain(row["recipe"], row["width"])
        assert row["updates"] == recipes_before[-1].total_steps == row["scored"][-1][0]
        assert len(row["cpu_minutes"]) == len(recipes_before)
        assert row["accuracy"] == pytest.approx(row["right"] / row["total"])
        assert sum(part["total"] for part in row["by_hops"].values()) == row["total"] == 1000
        assert len(row["frontier"]) == recipes_before[-1].curriculum.max_stage
    assert len(ladder.ladder_table(rows).rows) == len(rows)
