"""The leaderboard says what a problem-by-problem recomputation says; its results say what is there.

The same for the table of what others report.
"""

import dataclasses
import json
from collections import deque
from pathlib import Path
from statistics import fmean

import pytest
import torch
from matplotlib.figure import Figure
from small_runs import SMALL

from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.inference.generation import generate
from coconut_lab.interpretability.staircase import staircase
from coconut_lab.study import leaderboard as board
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.study.figures import draw_leaderboard
from coconut_lab.study.leaderboard import ROWS, leaderboard_row, mean_and_half, row_recipe
from coconut_lab.study.methods_and_depth import FOLDER, PER_HOP
from coconut_lab.study.tables import MISSING, PAPER, read_results, reproduction_table
from coconut_lab.tasks.counterfactuals import rewirable, twin
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import Recipe, RecipeError, load_recipe


def frontier(graph, hops):
    """Nodes whose shortest distance from the root is that many hops."""
    far = {graph.root: 0}
    queue = deque([graph.root])
    while queue:
        node = queue.popleft()
        for a, b in graph.edges:
            if a == node and b not in far:
                far[b] = far[node] + 1
                queue.append(b)
    return [node for node, distance in far.items() if distance == hops]


def said(model, curriculum, problem, edit=None, now=True):
    """The word that a model names for one problem alone."""
    tokens = model.tokenizer
    prompt = curriculum.prompt(problem, tokens, curriculum.max_stage)
    prompt = [*prompt, *tokens("###", add_special_tokens=False).input_ids] if now else prompt
    text = generate(model, tokens, [prompt], 24, edit=edit)[0].text
    return text.split("###")[-1].split()[0]


@torch.no_grad()
def thoughts(model, curriculum, problem):
    prompt = torch.tensor([curriculum.prompt(problem, model.tokenizer, curriculum.max_stage)])
    return model(prompt, torch.ones_like(prompt)).thoughts[0]  # (n, d)


@torch.no_grad()
def test_a_row_says_what_one_problem_after_the_other_says():
    shipped, base = load("tiny-mixed"), load("tiny-base").model
    model = shipped.model
    curriculum = dataclasses.replace(shipped.curriculum, pad_to_max=True)
    problems, more = unseen_problems("tiny", 20), generate_prosqa(5, 5, "tiny", hops=4)
    row = leaderboard_row(model, curriculum, base, problems=problems, more=more)

    right, turned, mass = [], 0, {1: [], 2: [], 3: []}
    for problem in problems:
        graph = problem.graph
        other = thoughts(model, curriculum, twin(problem))[0]
        edit = lambda k, h, rows, other=other: other.expand_as(h) if k == 1 else h  # noqa: E731
        right.append(said(model, curriculum, problem, now=False) == graph.names[graph.target])
        if said(model, curriculum, problem) == graph.names[graph.target]:
            named = said(model, curriculum, problem, edit)
            turned += named == graph.names[graph.distractor]
        chances = model.head(thoughts(model, curriculum, problem)).softmax(-1)
        for k in range(1, min(3, graph.hops) + 1):
            words = [graph.names[node] for node in frontier(graph, k)]
            ids = model.tokenizer(" ".join(words), add_special_tokens=False).input_ids
            mass[k].append(float(chances[k - 1, ids].sum()))
    assert row["right"] == sum(right) and sum(right) > 14 and row["total"] == 20
    assert row["twin"]["turned"] == turned > 14
    assert row["frontier"] == pytest.approx([fmean(mass[k]) for k in (1, 2, 3)], abs=2e-4)
    assert row["frontier of the base"][1] < row["frontier"][1] - 0.2
    stairs = staircase(model, rewirable(problems, 3), curriculum)
    heights = [stairs.loc[j, j] - stairs.loc[j, j - 1] for j in (1, 2, 3)]
    assert row["staircase"]["height"] == pytest.approx(fmean(heights), abs=1e-4)
    share = turned / row["twin"]["right"]
    assert row["used"] == pytest.approx(share * fmean(heights), abs=2e-4) and row["used"] > 0.7
    further = dataclasses.replace(curriculum, max_stage=4)
    named = [said(model, further, one, now=False) == one.answer for one in more]
    assert row["more hops"] == {"hops": 4, "right": sum(named), "total": 5}


@pytest.mark.parametrize("name", ["tiny-no-curriculum", "tiny-pause-as-thought", "tiny-no-thought"])
def test_idle_thoughts_count_nothing_and_what_is_not_there_is_none(name):
    shipped = load(name)
    problems, more = unseen_problems("tiny", 16), generate_prosqa(4, 5, "tiny", hops=4)
    row = leaderboard_row(shipped.model, shipped.curriculum, problems=problems, more=more)
    assert row["frontier of the base"] is None
    if name == "tiny-no-curriculum":
        assert row["used"] == 0 and row["twin"]["turned"] == 0
    else:
        assert row["used"] is row["twin"] is row["staircase"] is row["frontier"] is None


def test_rows_are_on_equal_terms_and_every_method_and_supervisor_has_one():
    recipes = [row_recipe(name, 3) for name in ROWS]
    assert [recipe.name for recipe in recipes] == list(ROWS)
    assert {recipe.curriculum.method for recipe in recipes} == set(METHODS)
    assert {recipe.supervisor for recipe in recipes} == {"none", "step", "frontier", "teacher"}
    for recipe in recipes[:-2]:
        assert (recipe.total_steps, recipe.batch_size, recipe.seed) == (300, 64, 3)
        assert recipe.problems.within_kinds and recipe.model.start == "tiny-base"
        assert recipe.problems.hops == ((1, 3) if recipe.name == "short-mixed" else None)
        assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_intervals_are_students():
    assert mean_and_half([1, 2, 3, 4, 5]) == (3, pytest.approx(1.963, abs=1e-3))
    assert mean_and_half([4.0]) == (4.0, None)


@pytest.fixture
def few(monkeypatch):
    """Few problems, scored often."""
    monkeypatch.setattr(board, "unseen_problems", lambda preset: unseen_problems(preset, 12))
    monkeypatch.setattr(board, "PER_HOP", 3)
    monkeypatch.setattr(board, "HELD_OUT", 5)
    monkeypatch.setattr(board, "EVERY", 2)


def test_a_recipe_of_ones_own_becomes_a_row_and_is_not_trained_twice(few, tmp_path, monkeypatch):
    file = tmp_path / "mine.yaml"
    file.write_text(SMALL.replace("trial", "mine"))
    args = ([], [0, 1], tmp_path / "runs", [str(file)], tmp_path)
    table = board.study_leaderboard(*args)
    assert table.rows[0][:2] == ("mine", "2")
    found = read_results("leaderboard", tmp_path)
    assert Recipe.from_dict(found["recipes"]["mine"]) == load_recipe(file, seed=0)
    assert [one["seed"] for one in found["results"]] == [0, 1]
    for one in found["results"]:
        assert [point[0] for point in one["scored"]] == [2, 4, 6, 8, 9]
        assert one["updates to 95%"] is None and one["total"] == 12
    monkeypatch.setattr(board, "_cell", None)  # nothing is measured again
    assert board.study_leaderboard(*args) == table
    file.write_text(SMALL.replace("trial", "tiny-step"))
    with pytest.raises(RecipeError, match="'tiny-step' is another row"):
        board.study_leaderboard(*args)


def test_a_run_that_was_stopped_has_the_same_curve(few, recipe, tmp_path, monkeypatch):
    whole = board.scored_run(recipe, None, tmp_path / "whole")[2]
    real, asked = board.score, []

    def stops(*args):
        asked.append(args)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(board, "score", stops)
    with pytest.raises(KeyboardInterrupt):
        board.scored_run(recipe, None, tmp_path / "stopped")
    again = board.scored_run(recipe, None, tmp_path / "stopped")[2]
    assert [point[:2] for point in again] == [point[:2] for point in whole]
    assert sorted(point[2] for point in again) == [point[2] for point in again]


# --- what is in results/ --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results():
    return read_results("leaderboard", FOLDER)


def test_rows_were_trained_by_the_recipes_of_the_package(results):
    recipes = {name: Recipe.from_dict(data) for name, data in results["recipes"].items()}
    assert recipes == {name: row_recipe(name, 0) for name in ROWS}
    keys = [(one["recipe"], one["seed"]) for one in results["results"]]
    assert len(set(keys)) == len(keys) and {name for name, _ in keys} <= set(ROWS)
    for one in results["results"]:
        assert one["outcomes"].count("1") == one["right"] and one["total"] == 1000
        assert one["more hops"]["total"] == PER_HOP
        reached = [point for point in one["scored"] if point[1] >= 285]
        first = reached[0][::2] if reached else [None, None]
        assert [one["updates to 95%"], one["CPU seconds to 95%"]] == first
        if one["used"] is not None:
            share = one["twin"]["turned"] / one["twin"]["right"]
            height = max(0, one["staircase"]["height"])
            assert one["used"] == pytest.approx(share * height, abs=1e-4)
            steps = one["staircase"]["kept"]
            heights = [steps[j][j + 1] - steps[j][j] for j in range(3)]
            assert one["staircase"]["height"] == pytest.approx(fmean(heights), abs=2e-4)


def test_long_rows_are_those_of_the_study_of_thoughts(results):
    study = read_results("thoughts", FOLDER)["results"]
    known = {(one["model"], one["seed"]): one for one in study}
    for one in results["results"]:
        if (before := known.get((one["recipe"], one["seed"]))) is not None:
            assert one["frontier"] == before["frontier"]
            stairs = [before["staircase"][hop] for hop in "123"]
            assert one["staircase"]["kept"] == stairs
            assert one["twin"]["right"] == before["edits"]["none"][0]
            assert one["twin"]["turned"] <= before["edits"]["twin 1"][1]
        if (base := known.get(("tiny-base", one["seed"]))) and one["used"] is not None:
            assert one["frontier of the base"] == base["frontier"]


def test_the_table_ranks_by_use_and_the_figure_shows_every_row(results):
    rows = board.ranked(results["results"])
    used = [fmean([-1 if o["used"] is None else o["used"] for o in one]) for one in rows.values()]
    assert used == sorted(used, reverse=True)
    table = board.leaderboard_table(results["results"])
    assert [row[0] for row in table.rows] == [ROWS[name] for name in rows]
    figure = draw_leaderboard(results["results"])
    assert isinstance(figure, Figure)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [ROWS[name] for name in rows]


def test_what_is_here_is_what_the_results_say_and_what_is_reported_what_the_paper_says():
    data = read_results("reproduction", FOLDER)["rows"]
    shown = {row[0]: row for row in reproduction_table().rows}
    assert len(shown) == len(data)
    for row in data:
        here = shown[row["figure"]][4]
        if row["here"] is None:
            assert here == MISSING and row["differs"].startswith("not trained here")
            continue
        query = row["here"]
        entries = json.loads((FOLDER / f"{query['file']}.json").read_text())["results"]
        ((key, value),) = query["where"].items()
        found = [entry for entry in entries if entry[key] == value]
        for part in query["key"]:
            found = [entry[part] for entry in found]
        found = [query["times"] * one for one in found if one is not None]
        assert here.split()[0] == (f"{fmean(found):.1f}" if found else MISSING)
        if row["source"].startswith("Hao"):
            cell = PAPER[query["where"]["method"]]["ProsQA"]
            assert row["reported"] == f"{cell.accuracy}±{cell.spread}"
    assert all(link.startswith("https://") for row in data for link in row["links"])
    assert Path(FOLDER / "reproduction.json").stat().st_size < 10_000
