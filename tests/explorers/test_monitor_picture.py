"""What the training monitor draws: the picture, the numbers on it, a log that is over."""

import dataclasses
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitored import STEPS, FakeTrainer, recipe, scores
from pictures import every, parsed, part, said

from coconut_lab.checkpoints import shipped as checkpoints
from coconut_lab.explorers import TrainingMonitor
from coconut_lab.explorers.monitor.drawing import binned, render
from coconut_lab.explorers.monitor.state import (
    Band,
    Entry,
    MonitorState,
    Plan,
    Status,
    clock,
    elapsed,
    read_entry,
    read_log,
    seconds_left,
)
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import Phase, ProblemsPart, RecipeError, load_recipe

PLAN = Plan.of(recipe())


def finished() -> str:
    """The picture of a run that is over."""
    monitor = TrainingMonitor(FakeTrainer())
    monitor.train()
    return monitor.picture.value


numbers = st.one_of(st.none(), st.floats(), st.integers(-10, 10), st.just("text"))
logged = st.lists(
    st.fixed_dictionaries(
        {"step": st.integers(0, 60)},
        optional={
            "loss": numbers,
            "lr": numbers,
            "seconds": numbers,
            "accuracy": st.dictionaries(st.sampled_from(["0", "1", "2", "<b>"]), numbers),
        },
    ),
    max_size=30,
)


@given(logged, st.sampled_from(Status), st.text(max_size=20))
def test_every_picture_is_well_formed_and_stands_in_its_frame(entries, status, message) -> None:
    """Whatever a log holds: no NaN in a path, no point outside."""
    ordered = sorted((read_entry(e) for e in entries), key=lambda entry: entry.step)
    value = render(MonitorState(PLAN, tuple(ordered), status, message))
    assert parsed(value).get("data-status") == status
    drawing = part(value, "curves")
    _, _, width, height = map(float, drawing.get("viewBox").split())
    for element in drawing.iter():
        for key in ("d", "x", "y", "cx", "cy", "width", "height"):
            text = element.get(key, "")
            assert not re.search("nan|inf|None", text), text
        if element.get("class") in ("loss", "spread", "rate"):
            points = re.findall(r"[ML]?(-?[\d.]+) (-?[\d.]+)", element.get("d"))
            assert points
            assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in points)


@given(st.lists(st.floats(1e-4, 20), min_size=2, max_size=40))
def test_the_curve_goes_down_where_the_loss_does(losses) -> None:
    plan = Plan("p", (Band("A", 0, len(losses), 0),), PLAN.curriculum)
    entries = tuple(Entry(i, loss, None, None, {}) for i, loss in enumerate(losses))
    path = part(render(MonitorState(plan, entries)), "loss").get("d")
    points = [tuple(map(float, p.split())) for p in path[1:].split("L")]
    assert len(points) == len(losses)
    assert [x for x, _ in points] == sorted({x for x, _ in points})
    for (loss, after), ((_, y), (_, y_after)) in zip(
        itertools.pairwise(losses), itertools.pairwise(points), strict=True
    ):
        assert y_after >= y if after < loss else y_after <= y


def test_a_band_for_each_phase_and_its_letter() -> None:
    value = finished()
    bands = every(value, "band")
    assert [band.get("data-letter") for band in bands] == ["A", "B", "C", "D"]
    rects = [band.find("{*}rect") for band in bands]
    for rect, after in itertools.pairwise(rects):
        end = float(rect.get("x")) + float(rect.get("width"))
        assert end == pytest.approx(float(after.get("x")), abs=0.2)
    rows = parsed(value).iter("tr")
    assert ["".join(row.itertext()) for row in rows] == [
        "✓Astage 00 thoughts, all steps10",
        "✓Bstage 11 thought, step 2 on10",
        "✓Cstage 22 thoughts, step 3 on10",
        "✓Dstage 32 thoughts, answer only10",
    ]


def test_accuracy_at_each_validation_with_its_number() -> None:
    assert scores(finished()) == {
        (step, str(k)): f"{0.2 * (k + 1):.2f}" for step in (9, 19, 29, 39) for k in range(3)
    }


def test_before_any_step() -> None:
    monitor = TrainingMonitor(FakeTrainer())
    value = monitor.picture.value
    assert "no step yet" in said(value, "curves")
    assert said(value, "pace") == f"step 0 of {STEPS}"
    assert said(value, "status") == "not started"
    assert scores(value) == {}
    assert monitor.stop_button.disabled and monitor._repr_png_() is None
    assert "Stage 0 is ordinary chain of thought" in said(value, "stage")


def test_while_it_runs() -> None:
    fake = FakeTrainer()
    entries = tuple(read_entry(fake.entry(step, 2.0 * (step + 1))) for step in range(15))
    value = render(MonitorState(PLAN, entries, Status.RUNNING))
    assert said(value, "pace") == "step 15 of 40 · 0:30 so far · about 0:50 left at this pace" \
        " · loss 0.267"  # fmt: skip
    assert "B · Stage 1 replaces the first step by 1·c = 1 thought." in said(value, "stage")
    assert part(value, "curves").get("aria-label").endswith("loss 0.267 at step 15")
    bar = parsed(value).find(".//*[@role='progressbar']")
    assert (bar.get("aria-valuenow"), bar.get("aria-valuemax")) == ("15", "40")


def test_every_text_is_escaped() -> None:
    plan = Plan("<script>alert(1)</script>", PLAN.bands, PLAN.curriculum)
    entry = read_entry({"step": 3, "loss": 1.0, "accuracy": {'"><img src=x>': 0.5}})
    value = render(MonitorState(plan, (entry,), Status.FAILED, "<b>\x00&"))
    assert "<script" not in value and "<img" not in value and "<b>\ufffd" not in value
    assert part(value, "status").get("role") == "alert"


def test_a_base_model_has_no_stages() -> None:
    base = checkpoints.FOLDER / "tiny-base"
    monitor = TrainingMonitor.from_log(base, "tiny-base")
    assert "random walks" in said(monitor.picture.value, "stage")
    assert "a base model has none" not in monitor.picture.value  # the log says it is over


# --- numbers ------------------------------------------------------------------------------------


@given(st.floats(0.01, 100), st.integers(2, 300), st.integers(1, 300))
def test_time_left_at_a_steady_pace(pace: float, done: int, left: int) -> None:
    entries = [Entry(step, 1.0, None, pace * (step + 1), {}) for step in range(done)]
    assert seconds_left(entries, done + left) == pytest.approx(pace * left)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=20), st.integers(1, 50))
def test_time_left_is_never_negative(seconds, total) -> None:
    entries = [Entry(step, 1.0, None, value, {}) for step, value in enumerate(seconds)]
    assert (seconds_left(entries, total) or 0) >= 0


def test_time_left_follows_the_last_steps_of_this_session() -> None:
    slow = [Entry(step, 1.0, None, 10.0 * step, {}) for step in range(100)]
    fast = [Entry(100 + step, 1.0, None, 0.5 * (step + 1), {}) for step in range(100)]
    later = [Entry(100 + step, 1.0, None, 990 + 0.5 * step, {}) for step in range(100)]
    for entries in (slow + fast, slow + later):
        assert seconds_left(entries, 300) == pytest.approx(50)
    assert seconds_left([*slow, fast[0]], 300) is None  # a new session, one step
    assert seconds_left([], 5) is None
    assert seconds_left(fast, 200) == 0
    assert elapsed(slow + fast) == pytest.approx(990 + 50)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0:00"), (6.6, "0:07"), (59.7, "1:00"), (750, "12:30"), (3725, "1:02:05"), (-3, "0:00")],
)
def test_durations(seconds: float, written: str) -> None:
    assert clock(seconds) == written


@given(st.lists(st.floats(0, 10), min_size=1, max_size=100), st.integers(1, 20))
def test_bins_keep_what_there_is(values, width) -> None:
    points = list(enumerate(values))
    bins = binned(points, width)
    assert len(bins) == -(-len(values) // width)
    assert min(low for *_, low, _ in bins) == min(values)
    assert max(high for *_, high in bins) == max(values)
    assert all(low - 1e-9 <= mean <= high + 1e-9 for _, mean, low, high in bins)
    assert [at for at, *_ in bins] == sorted(at for at, *_ in bins)


def test_letters_go_on_after_z() -> None:
    data = recipe().to_dict() | {"phases": [{"steps": 1, "stage": 0}] * 54}
    assert [b.letter for b in Plan.of(data).bands][24:29] == ["Y", "Z", "AA", "AB", "AC"]
    assert Plan.of(data).bands[-1].letter == "BB"
    assert Plan.of(data).band_at(99).letter == "BB"


def test_a_recipe_and_what_a_card_holds_of_it_are_the_same() -> None:
    whole = load_recipe("tiny-coconut")
    assert Plan.of(whole) == Plan.of(json.loads(json.dumps(whole.to_dict())))
    assert Plan.of(whole).total == whole.total_steps
    with pytest.raises(RecipeError, match="at least one phase"):
        Plan.of({"name": "x", "phases": []})


def test_a_plan_in_epochs_has_the_steps_that_all_its_problems_take(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COCONUT_LAB_CACHE", str(tmp_path))
    # 17,886 problems (the published ProsQA) in batches of 128 are 139 steps, gone through 50 times.
    whole = load_recipe("gpt2-prosqa")
    assert Plan.of(whole).total == 50 * 139
    assert [band.end for band in Plan.of(whole).bands[:2]] == [5 * 139, 10 * 139]
    assert Plan.of(json.loads(json.dumps(whole.to_dict()))) == Plan.of(whole)
    # A file in the cache is what training would take; generated problems are counted by the recipe.
    write_json(generate_prosqa(300, 1), tmp_path / "prosqa_train.json")
    assert Plan.of(whole).total == 50 * 2
    generated = dataclasses.replace(
        load_recipe("tiny-coconut"), batch_size=100, phases=(Phase(epochs=3), Phase(steps=7))
    )
    generated = dataclasses.replace(generated, problems=ProblemsPart(count=1_050))
    assert Plan.of(generated).total == 37


# --- a log --------------------------------------------------------------------------------------


def test_the_log_of_a_shipped_model_with_its_card() -> None:
    folder = checkpoints.FOLDER / "tiny-coconut"
    card = json.loads((folder / "card.json").read_text())
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    monitor = TrainingMonitor.from_log(folder / "log.jsonl", card["recipe"])
    assert repr(monitor) == f"TrainingMonitor(tiny-coconut, {card['trained']['steps']} steps)"
    assert monitor.upto.value == lines[-1]["step"] + 1
    assert said(monitor.picture.value, "pace").endswith(f"loss {lines[-1]['loss']:.3g}")
    for index in (0, 7, len(lines) - 1):
        monitor.upto.value = lines[index]["step"] + 1
        state = monitor.state
        assert [entry.step for entry in state.entries] == [e["step"] for e in lines[: index + 1]]
        assert state.band.stage == lines[index]["stage"]
        assert monitor.picture.value == render(state)


def test_damaged_and_empty_logs(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("")
    empty = TrainingMonitor.from_log(path, recipe())
    assert "no step yet" in empty.picture.value
    rows = [{"step": 1, "loss": float("nan")}, {"step": 0, "loss": 2}, {"step": 1, "loss": 1}]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join([lines[0], "[]", lines[1], '"x"', lines[2], '{"loss": 3}', '{"st']))
    assert [(e.step, e.loss) for e in read_log(path)] == [(0, 2.0), (1, 1.0)]
    assert TrainingMonitor.from_log(tmp_path, recipe().to_dict()).upto.max == 2
    with pytest.raises(FileNotFoundError):
        TrainingMonitor.from_log(tmp_path / "nothing.jsonl", recipe())
