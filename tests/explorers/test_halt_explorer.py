"""The halt explorer without a browser: set values, read the picture, count by hand."""

import numpy as np
import pytest
from explorer_models import study_of
from hypothesis import given
from hypothesis import strategies as st
from pictures import every, parsed, part, texts

from coconut_lab.explorers import HaltExplorer
from coconut_lab.explorers.halting.drawing import curve, in_words, render, strip
from coconut_lab.explorers.halting.state import FIXED, MOST_ROWS, VERDICTS, read_study, verdicts
from coconut_lab.inference.halting import HaltError
from coconut_lab.inference.halting_tradeoff import HaltStudy

EVIL = "<b>\"&'evil\x01"
studies = st.builds(study_of, st.integers(0, 10**6), st.integers(1, 40), st.integers(0, 5))


def plain_verdict(right: list[bool], stop: int) -> str:
    """What came of one stop, by its meaning."""
    if right[stop]:
        return "too late" if any(right[:stop]) else "on time"
    if any(right[stop + 1 :]):
        return "too early"
    return "too late" if any(right[:stop]) else "never"


@given(studies, st.integers(0, 10**6))
def test_verdicts_mean_what_they_say(study: HaltStudy, seed: int) -> None:
    stops = np.random.default_rng(seed).integers(0, study.max_thoughts + 1, len(study.hops))
    want = list(map(plain_verdict, study.right.tolist(), stops.tolist()))
    assert verdicts(study, stops).tolist() == want


@given(studies)
def test_every_setting_is_what_the_study_gives(study: HaltStudy) -> None:
    state = read_study(study, count=5)
    assert list(state.settings) == [FIXED, *study.signals]
    for rule, line in state.settings.items():
        for setting in line:
            threshold = setting.point.threshold
            if rule == FIXED:
                assert setting.point == study.fixed(int(threshold))
            else:
                assert setting.point == study.at(rule, threshold)
                assert setting.stops.tolist() == study.stops(rule, threshold).tolist()
            point = setting.point
            counts = (point.early, point.on_time, point.late, point.never)
            assert tuple(map(setting.verdicts.tolist().count, VERDICTS)) == counts
        means = [setting.thoughts for setting in line]
        assert means == sorted(means), "the slider goes from stopping early to stopping late"


@given(studies, st.data())
def test_the_strip_puts_every_stop_where_it_is(study: HaltStudy, data: st.DataObject) -> None:
    state = read_study(study, count=5)
    rule = data.draw(st.sampled_from(sorted(state.settings)))
    state = state.at(rule, data.draw(st.integers(0, len(state.settings[rule]) - 1)))
    root = parsed(strip(state))
    labels = root.findall(".//{*}text")
    discs = every(root, "stop")
    assert [int(disc.get("data-row")) for disc in discs] == list(state.sample)
    columns = {int(t.text[4:]): float(t.get("x")) for t in labels if t.text.startswith("k = ")}
    assert list(columns) == list(range(study.max_thoughts + 1))
    for disc, row in zip(discs, state.sample, strict=True):
        at = float(disc.find("{*}circle").get("cx"))
        nearest = min(columns, key=lambda k: abs(columns[k] - at))
        assert nearest == state.setting.stops[row]
    for frame in every(root, "steps"):
        middle = float(frame.get("x")) + float(frame.get("width")) / 2
        assert abs(columns[int(frame.get("data-hops"))] - middle) < 1
    letters = [text for text in texts(root) if text in ("r", "w")]
    want = ["r" if right else "w" for row in state.sample for right in study.right[row]]
    assert letters == want
    shown = [text for text in texts(root) if text in VERDICTS]
    assert shown == [state.setting.verdicts[row] for row in state.sample]
    assert len(state.sample) <= MOST_ROWS
    hops = [int(study.hops[row]) for row in state.sample]
    assert hops == sorted(hops) and set(hops) == set(study.hops.tolist())


@given(studies, st.integers(0, 4))
def test_the_curve_is_drawn_to_scale(study: HaltStudy, place: int) -> None:
    state = read_study(study, count=5).at("steps", 0)
    state = state.at(place=min(place, len(state.settings["steps"]) - 1))
    root = parsed(curve(state))
    xs = [float(square.get("x")) + 7 for square in every(root, "fixed")]
    assert len(xs) == study.max_thoughts + 1
    assert xs == sorted(xs)
    dot, line = part(root, "current"), part(root, "rule").get("points").split()
    assert line[state.place] == f"{dot.get('cx')},{dot.get('cy')}"
    if study.max_thoughts:
        share = (float(dot.get("cx")) - xs[0]) / (xs[-1] - xs[0])
        assert abs(share * study.max_thoughts - state.setting.thoughts) < 0.01
    _, _, width, height = map(float, root.get("viewBox").split())
    assert 0 <= float(dot.get("cx")) <= width and 0 <= float(dot.get("cy")) <= height
    ends = [p.get("d") for p in every(root, "interval")]
    assert len(ends) == study.max_thoughts + 2
    for drawn in ends:
        low, high = (float(drawn[1:].replace("M", "V").split("V")[i].split()[-1]) for i in (0, 1))
        assert height > low >= high >= 0


def test_the_table_counts_by_hops() -> None:
    study = study_of(3)
    state = read_study(study).at("entropy", 7)
    rows = part(render(state), "verdicts").findall("tbody/tr")
    assert [row.get("data-hops") for row in rows] == ["1", "2", "3", "all"]
    sums = np.zeros(len(VERDICTS), dtype=int)
    for row in rows:
        accuracy, thoughts, *counts = [cell.text for cell in row.iterfind("td")]
        hops = row.get("data-hops")
        chosen = np.ones(30, dtype=bool) if hops == "all" else study.hops == int(hops)
        stops = state.setting.stops
        right = study.right[np.arange(30), stops][chosen]
        assert accuracy == f"{right.mean():.1%}"
        assert thoughts == f"{stops[chosen].mean():.2f}"
        counts = np.array(counts, dtype=int)
        assert counts.sum() == chosen.sum()
        if hops == "all":
            assert sums.tolist() == counts.tolist()
        sums += counts


def test_moving_needs_nothing_but_the_study() -> None:
    """A slider looks up: the picture is that of the pure function, for every place of it."""
    study = study_of(5)
    view = HaltExplorer(study, rule="steps")
    for name in view.state.settings:
        view.rule.value = name
        assert view.threshold.max == len(view.state.settings[name]) - 1
        assert view.threshold.value == view.state.place
        for place in range(view.threshold.max + 1):
            view.threshold.value = place
            assert view.picture.value == render(read_study(study).at(name, place))


def test_a_chosen_threshold_is_shown_first_and_marked() -> None:
    study = study_of(6)
    view = HaltExplorer(study, {"steps": 0.4321}, rule="steps")
    assert view.state.setting.point.threshold == 0.4321 and view.state.setting.chosen
    assert "says 0.4321 or more" in in_words(view.state.setting)
    assert len(every(curve(view.state), "chosen")) == 1
    view.rule.value = "margin"
    assert not every(curve(view.state), "chosen")
    view.rule.value = FIXED
    assert view.state.setting.point == study.best_fixed()


def test_names_are_escaped() -> None:
    value = HaltExplorer(study_of(7, name=EVIL), rule=EVIL).picture.value
    parsed(value)
    assert "<b>&quot;" not in value and "&lt;b&gt;&quot;&amp;" in value


def test_what_cannot_be_shown_is_named() -> None:
    study = study_of(8)
    with pytest.raises(HaltError, match="unknown rule 'entrpy'; there are fixed, steps"):
        HaltExplorer(study, rule="entrpy")
    with pytest.raises(HaltError, match="unknown signal 'best'"):
        HaltExplorer(study, {"best": 0.5})
    empty = HaltStudy(study.hops[:0], *(t[:0] for t in (study.right, study.tokens, study.passes)),
                      {name: table[:0] for name, table in study.signals.items()})  # fmt: skip
    with pytest.raises(HaltError, match="no problems"):
        HaltExplorer(empty)
    with pytest.raises(HaltError, match="goes from 0 to 4"):
        read_study(study).at(FIXED, 5)


def test_points_are_scores_with_intervals() -> None:
    state = read_study(study_of(9))
    found = state.setting.point.score
    low, high = found.interval
    fact = parsed(render(state)).find(".//*[@data-fact='accuracy']")
    assert "".join(fact.itertext()) == (
        f"accuracy {found.accuracy:.1%} {low:.1%} to {high:.1%}, n = 30"
    )
