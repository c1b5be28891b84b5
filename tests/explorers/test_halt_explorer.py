"""The halt explorer without a browser: every setting against the study, counted by hand."""

import json

import numpy as np
import pytest
from explorer_models import study_of
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

from coconut_lab.explorers import HaltExplorer
from coconut_lab.explorers.halting.data import FIXED, MOST_ROWS, halt_data
from coconut_lab.inference.halting import HaltError
from coconut_lab.inference.halting_tradeoff import HaltStudy

studies = st.builds(study_of, st.integers(0, 10**6), st.integers(1, 40), st.integers(0, 5))


def plain_verdict(right: list[bool], stop: int) -> str:
    """What came of one stop, by its meaning."""
    if right[stop]:
        return "too late" if any(right[:stop]) else "on time"
    if any(right[stop + 1 :]):
        return "too early"
    return "too late" if any(right[:stop]) else "never"


@given(studies)
def test_every_setting_is_what_the_study_gives(study: HaltStudy) -> None:
    data, rows = halt_data(study, thresholds=5), np.arange(len(study.hops))
    assert json.loads(json.dumps(data)) == data
    assert [rule["name"] for rule in data["rules"]] == [FIXED, *study.signals]
    names = [name for name, _ in data["verdicts"]]
    sample = [one["number"] for one in data["sample"]]
    assert [one["right"] for one in data["sample"]] == study.right[sample].tolist()
    hops = study.hops[sample].tolist()
    assert hops == sorted(hops) and set(hops) == set(study.hops.tolist())
    assert len(sample) <= MOST_ROWS
    for rule in data["rules"]:
        means = [setting["thoughts"] for setting in rule["settings"]]
        assert means == sorted(means), "the slider goes from stopping early to stopping late"
        for setting in rule["settings"]:
            stops = [plain_stop(study, rule["name"], setting["threshold"], row) for row in rows]
            came = [plain_verdict(study.right[row].tolist(), stops[row]) for row in rows]
            assert setting["stops"] == [stops[row] for row in sample]
            assert [names[one] for one in setting["came"]] == [came[row] for row in sample]
            groups = [*(study.hops == hops for hops in data["hops"]), rows >= 0]
            for found, chosen in zip(setting["groups"], groups, strict=True):
                group = np.flatnonzero(chosen)
                right = np.mean([study.right[row, stops[row]] for row in group])
                wanted = [right, np.mean([stops[row] for row in group])]
                wanted += [[came[row] for row in group].count(name) for name in names]
                assert found == pytest.approx(wanted, abs=1e-5)
            point = (
                study.fixed(int(setting["threshold"]))
                if rule["name"] == FIXED
                else study.at(rule["name"], setting["threshold"])
            )
            interval = [point.score.accuracy, *point.score.interval]
            assert setting["accuracy"] == pytest.approx(interval, abs=1e-5)
            assert setting["passes"] == pytest.approx(point.score.passes, abs=1e-5)


def plain_stop(study: HaltStudy, rule: str, threshold: float, row: int) -> int:
    """After how many thoughts a rule stops, from what it says."""
    if rule == FIXED:
        return int(threshold)
    for k, value in enumerate(study.signals[rule][row]):
        if value <= threshold if rule == "entropy" else value >= threshold:
            return k
    return study.max_thoughts


def test_a_chosen_threshold_is_shown_first_and_marked() -> None:
    view = HaltExplorer(study_of(6), {"steps": 0.4321}, rule="steps")
    rules = {rule["name"]: rule for rule in view.data["rules"]}
    assert view.threshold == rules["steps"]["chosen"] == rules["steps"]["start"]
    assert "says 0.4321 or more" in rules["steps"]["settings"][view.threshold]["words"]
    view.rule = "margin"
    assert rules["margin"]["chosen"] is None
    assert view.threshold == len(rules["margin"]["settings"]) // 2
    view.rule = FIXED
    assert view.threshold == study_of(6).best_fixed().threshold
    assert repr(view) == "HaltExplorer(30 problems)"


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
    view = HaltExplorer(study)
    with pytest.raises(TraitError, match="threshold=5; give 0 to 4"):
        view.threshold = 5
    with pytest.raises(TraitError, match="rule='x'; give one of fixed, steps"):
        view.rule = "x"
