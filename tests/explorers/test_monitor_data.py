"""What the training monitor shows, as data: plan, curve, times, validations, a log that is over."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitored import FakeTrainer, recipe, scores

from coconut_lab.checkpoints import shipped as checkpoints
from coconut_lab.explorers import TrainingMonitor
from coconut_lab.explorers.monitor.data import (
    MOST_POINTS,
    Entry,
    elapsed,
    monitor_data,
    plan_of,
    read_entry,
    read_log,
    seconds_left,
)
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import Phase, ProblemsPart, RecipeError, load_recipe

PLAN = plan_of(recipe())
numbers = st.one_of(st.none(), st.floats(), st.integers(-10, 10), st.just("text"))
tables = st.dictionaries(st.sampled_from(["0", "1", "2", "<b>"]), numbers)
parts = dict.fromkeys(("loss", "lr", "seconds"), numbers)
parts |= {"accuracy": tables, "cut_off": tables}
logged = st.lists(st.fixed_dictionaries({"step": st.integers(0, 600)}, optional=parts), max_size=30)


@given(logged, st.integers(1, 600))
def test_whatever_a_log_holds_the_data_is_json_and_keeps_what_there_is(found, steps) -> None:
    entries = sorted((read_entry(one) for one in found), key=lambda entry: entry.step)
    data = monitor_data(PLAN | {"total": steps}, entries, "running")
    assert data == json.loads(json.dumps(data, allow_nan=False))
    assert data["done"] == (entries[-1].step + 1 if entries else 0)
    points = data["points"]
    assert len(points) <= min(len(entries), 601) and (steps < 600 or len(points) <= MOST_POINTS + 1)
    assert [done for done, *_ in points] == sorted({done for done, *_ in points})
    losses = [entry.loss for entry in entries if entry.loss is not None]
    bounds = [(low, mean, high) for _, mean, low, high, *_ in points if mean is not None]
    assert bool(losses) == bool(bounds)
    if losses:
        assert min(low for low, *_ in bounds) == pytest.approx(min(losses), rel=1e-4)
        assert max(high for *_, high in bounds) == pytest.approx(max(losses), rel=1e-4)
        assert all(low <= mean <= high or low == pytest.approx(high) for low, mean, high in bounds)


def test_a_run_with_its_phases_and_validations() -> None:
    trainer = FakeTrainer()
    monitor = TrainingMonitor(trainer)
    assert monitor.data == monitor_data(PLAN) and monitor.data["points"] == []
    monitor.train()
    assert [(one["letter"], one["start"], one["in_short"]) for one in monitor.data["bands"]] == [
        ("A", 0, "0 thoughts, all steps"),
        ("B", 10, "1 thought, step 2 on"),
        ("C", 20, "2 thoughts, step 3 on"),
        ("D", 30, "2 thoughts, answer only"),
    ]
    assert scores(monitor) == {
        (step, str(k)): round(0.2 * (k + 1), 4) for step in (10, 20, 30, 40) for k in range(3)
    }


def test_answers_that_were_cut_off_are_kept() -> None:
    entry = read_entry({"step": 9, "accuracy": {"0": 0.5, "1": 1}, "cut_off": {"0": 3, "1": None}})
    assert monitor_data(PLAN, [entry])["scores"] == [
        {"step": 10, "accuracy": {"0": 0.5, "1": 1.0}, "cut_off": {"0": 3.0}}
    ]


def test_a_base_model_has_no_stages() -> None:
    data = TrainingMonitor.from_log(checkpoints.FOLDER / "tiny-base", "tiny-base").data
    assert data["base"] and {band["in_short"] for band in data["bands"]} == {"random walks"}


@given(st.floats(0.01, 100), st.integers(2, 300), st.integers(1, 300))
def test_time_left_at_a_steady_pace(pace: float, done: int, left: int) -> None:
    entries = [Entry(step, 1.0, None, pace * (step + 1), {}, {}) for step in range(done)]
    assert seconds_left(entries, done + left) == pytest.approx(pace * left)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=20), st.integers(1, 50))
def test_time_left_is_never_negative(seconds, total) -> None:
    entries = [Entry(step, 1.0, None, value, {}, {}) for step, value in enumerate(seconds)]
    assert (seconds_left(entries, total) or 0) >= 0


def test_time_left_follows_the_last_steps_of_this_session() -> None:
    slow = [Entry(step, 1.0, None, 10.0 * step, {}, {}) for step in range(100)]
    fast = [Entry(100 + step, 1.0, None, 0.5 * (step + 1), {}, {}) for step in range(100)]
    later = [Entry(100 + step, 1.0, None, 990 + 0.5 * step, {}, {}) for step in range(100)]
    for entries in (slow + fast, slow + later):
        assert seconds_left(entries, 300) == pytest.approx(50)
    assert seconds_left([*slow, fast[0]], 300) is None  # a new session, one step
    assert seconds_left([], 5) is None
    assert seconds_left(fast, 200) == 0
    assert elapsed(slow + fast) == pytest.approx(990 + 50)


def test_letters_go_on_after_z() -> None:
    data = recipe().to_dict() | {"phases": [{"steps": 1, "stage": 0}] * 54}
    assert [b["letter"] for b in plan_of(data)["bands"]][24:29] == ["Y", "Z", "AA", "AB", "AC"]
    assert plan_of(data)["bands"][-1]["letter"] == "BB"


def test_a_recipe_and_what_a_card_holds_of_it_are_the_same() -> None:
    whole = load_recipe("tiny-coconut")
    assert plan_of(whole) == plan_of(json.loads(json.dumps(whole.to_dict())))
    assert plan_of(whole)["total"] == whole.total_steps
    with pytest.raises(RecipeError, match="at least one phase"):
        plan_of({"name": "x", "phases": []})


def test_a_plan_in_epochs_has_the_steps_that_all_its_problems_take(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COCONUT_LAB_CACHE", str(tmp_path))
    # 17,886 problems (the published ProsQA) in batches of 128 are 139 steps, gone through 50 times.
    whole = load_recipe("gpt2-prosqa")
    assert plan_of(whole)["total"] == 50 * 139
    assert [band["end"] for band in plan_of(whole)["bands"][:2]] == [5 * 139, 10 * 139]
    assert plan_of(json.loads(json.dumps(whole.to_dict()))) == plan_of(whole)
    # A file in the cache is what training would take; generated problems are counted by the recipe.
    write_json(generate_prosqa(300, 1), tmp_path / "prosqa_train.json")
    assert plan_of(whole)["total"] == 50 * 2
    generated = dataclasses.replace(
        load_recipe("tiny-coconut"), batch_size=100, phases=(Phase(epochs=3), Phase(steps=7))
    )
    generated = dataclasses.replace(generated, problems=ProblemsPart(count=1_050))
    assert plan_of(generated)["total"] == 37


# --- a log --------------------------------------------------------------------------------------


def test_the_log_of_a_shipped_model_with_its_card() -> None:
    folder = checkpoints.FOLDER / "tiny-coconut"
    card = json.loads((folder / "card.json").read_text())
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    monitor = TrainingMonitor.from_log(folder / "log.jsonl", card["recipe"])
    assert repr(monitor) == f"TrainingMonitor(tiny-coconut, {card['trained']['steps']} steps)"
    assert (monitor.data["status"], monitor.upto) == ("log", None)
    assert [(done, loss) for done, loss, *_ in monitor.data["points"]] == [
        (line["step"] + 1, pytest.approx(line["loss"], rel=1e-4)) for line in lines
    ]


def test_damaged_and_empty_logs(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("")
    assert TrainingMonitor.from_log(path, recipe()).data["points"] == []
    rows = [{"step": 1, "loss": float("nan")}, {"step": 0, "loss": 2}, {"step": 1, "loss": 1}]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join([lines[0], "[]", lines[1], '"x"', lines[2], '{"loss": 3}', '{"st']))
    assert [(e.step, e.loss) for e in read_log(path)] == [(0, 2.0), (1, 1.0)]
    assert TrainingMonitor.from_log(tmp_path, recipe().to_dict()).data["done"] == 2
    with pytest.raises(FileNotFoundError):
        TrainingMonitor.from_log(tmp_path / "nothing.jsonl", recipe())
