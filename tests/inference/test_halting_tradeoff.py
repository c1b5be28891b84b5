"""A study's look-ups against generation with the rule itself, and against plain counting."""

from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coconut_lab.checkpoints.shipped import load
from coconut_lab.inference.halting import (
    ConfidentHalt,
    FixedThoughts,
    HaltError,
    LearnedHalt,
    weights_hash,
)
from coconut_lab.inference.halting_tradeoff import HaltingTradeoff, study_halts
from coconut_lab.inference.scoring import score
from coconut_lab.inference.states_and_answers import heads_of, states_while_thinking
from coconut_lab.tasks.prosqa import generate_prosqa

MOST = 4


@pytest.fixture(scope="module")
def shipped():
    return load("tiny-coconut")


@pytest.fixture(scope="module")
def problems():
    return generate_prosqa(48, 9, "tiny", hops=(1, 4))


@pytest.fixture(scope="module")
def halt(shipped):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(64, generator=generator, dtype=torch.float64)
    return LearnedHalt(weight / 4, 0.0, weights_hash(shipped.model), max_thoughts=MOST)


@pytest.fixture(scope="module", params=[True, False], ids=["answer now", "words allowed"])
def studied(request, shipped, problems, halt):
    study = study_halts(
        shipped.model, shipped.curriculum, problems, {"random": halt}, MOST,
        answer_now=request.param, batch_size=20,
    )  # fmt: skip
    return study, request.param


def scored(shipped, problems, rule, answer_now):
    return score(
        shipped.model, shipped.tokenizer, problems, shipped.curriculum, 0,
        answer_now=answer_now, halting=rule,
    )  # fmt: skip


@pytest.mark.parametrize("signal", ["random", "entropy", "margin"])
def test_a_look_up_gives_what_generation_with_the_rule_gives(
    signal, studied, shipped, problems, halt
):
    study, answer_now = studied
    seen = set()
    for threshold in study.thresholds(signal, 7)[1:-2]:
        # Between two measured values, so that rounding in the last digit decides nothing.
        values = np.sort(study.signals[signal].ravel())
        place = np.searchsorted(values, threshold)
        threshold = float(values[place - 1] + values[place]) / 2
        if signal == "random":
            rule = replace(halt, threshold=threshold)
        else:
            rule = ConfidentHalt(threshold, signal, MOST)
        want = scored(shipped, problems, rule, answer_now)
        got = study.at(signal, threshold).score
        assert got == want  # outcomes, tokens, thoughts and passes
        seen.add(want.thoughts)
    assert len(seen) > 1


def test_fixed_numbers_of_thoughts_are_looked_up_as_well(studied, shipped, problems):
    study, answer_now = studied
    for thoughts in range(MOST + 1):
        want = scored(shipped, problems, FixedThoughts(thoughts), answer_now)
        assert study.fixed(thoughts).score == want
    with pytest.raises(HaltError, match="covers 0 to 4 thoughts, not 5"):
        study.fixed(5)


def test_a_curve_takes_no_forward_pass(studied, shipped):
    study, _ = studied
    calls = []
    handle = shipped.model.backbone.register_forward_pre_hook(lambda *_: calls.append(1))
    points = [point for signal in study.signals for point in study.curve(signal)]
    handle.remove()
    assert len(points) > 100 and calls == []
    rising = [point.score.thoughts for point in study.curve("random")]
    assert rising == sorted(rising)  # a higher threshold never stops earlier
    falling = [point.score.thoughts for point in study.curve("entropy")]
    assert falling == sorted(falling, reverse=True)


def test_states_are_those_that_would_be_fed_back(shipped, problems):
    model = shipped.model
    heads = heads_of(model, shipped.curriculum, problems[:5])
    assert all(head[-1] == model.tokens.bot for head in heads)
    states = states_while_thinking(model, heads, 3, batch_size=2)
    for head, got in zip(heads, states, strict=True):
        ids = torch.tensor([[*head, *[model.tokens.thought] * 4]])
        with torch.no_grad():
            thoughts = model(ids).thoughts[0]
        torch.testing.assert_close(got, thoughts, rtol=1e-4, atol=1e-4)


@st.composite
def tables(draw):
    count, most = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    shape = (count, most + 1)
    right = draw(arrays.arrays(bool, shape))
    signal = draw(arrays.arrays(np.float64, shape, elements=st.sampled_from([0.1, 0.4, 0.5, 0.9])))
    hops = draw(arrays.arrays(int, count, elements=st.integers(1, 3)))
    zeros = np.zeros(shape, dtype=int)
    return HaltingTradeoff(hops, right, zeros, zeros + 3, {"p": signal, "entropy": signal})


@given(tables(), st.sampled_from([0.0, 0.3, 0.5, 0.95]))
def test_points_count_what_plain_loops_count(study, threshold):
    for signal in study.signals:
        stops, kinds = [], []
        for right, values in zip(study.right, study.signals[signal], strict=True):
            stop = 0
            while stop < study.max_thoughts and not (
                values[stop] <= threshold if signal == "entropy" else values[stop] >= threshold
            ):
                stop += 1
            stops.append(stop)
            good = [k for k, one in enumerate(right) if one]
            if not good:
                kinds.append("never")
            elif stop not in good and max(good) > stop:
                kinds.append("early")
            elif stop == min(good):
                kinds.append("on_time")
            else:
                kinds.append("late")
        found = study.at(signal, threshold)
        assert study.stops(signal, threshold).tolist() == stops
        for kind in ("early", "on_time", "late", "never"):
            assert getattr(found, kind) == kinds.count(kind)
        assert found.score.thoughts == pytest.approx(fmean(stops))
        assert found.score.outcomes == tuple(
            bool(row[stop]) for row, stop in zip(study.right, stops, strict=True)
        )
        assert sum(part.total for part in found.by_hops.values()) == len(stops)
        assert sum(part.right for part in found.by_hops.values()) == found.score.right
        for hops, part in found.by_hops.items():
            chosen = [stop for stop, h in zip(stops, study.hops, strict=True) if h == hops]
            assert part.total == len(chosen) and part.thoughts == pytest.approx(fmean(chosen))


@given(tables(), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_chosen_threshold_needs_the_fewest_thoughts_that_do(study, within):
    best = max(study.fixed(k).score.accuracy for k in range(study.max_thoughts + 1))
    assert study.best_fixed().score.accuracy == best
    assert study.best_fixed(within).score.accuracy >= best - within - 1e-9
    chosen = study.choose("p", within).score
    # Stopping depends only on which of the measured values reach the threshold.
    tried = [study.at("p", threshold).score for threshold in {0.1, 0.4, 0.5, 0.9, 1.0}]
    enough = [one for one in tried if one.accuracy >= best - within - 1e-9]
    if enough:
        assert chosen.accuracy >= best - within - 1e-9
        assert chosen.thoughts == min(one.thoughts for one in enough)
    else:
        assert chosen.accuracy == max(one.accuracy for one in tried)


@given(tables())
def test_thresholds_reach_from_stopping_at_once_to_never(study):
    for signal in study.signals:
        stops = [study.stops(signal, threshold) for threshold in study.thresholds(signal, 9)]
        if signal == "entropy":
            stops.reverse()
        assert not stops[0].any() and (stops[-1] == study.max_thoughts).all()


def test_a_study_is_saved_and_loaded(studied, tmp_path):
    study, _ = studied
    study.save(tmp_path / "study.json")
    found = HaltingTradeoff.load(tmp_path / "study.json")
    for name in ("hops", "right", "tokens", "passes"):
        assert np.array_equal(getattr(found, name), getattr(study, name))
    for name, values in study.signals.items():
        np.testing.assert_allclose(found.signals[name], values, rtol=1e-6)
    (tmp_path / "bad.json").write_text('{"hops": [1]}')
    with pytest.raises(HaltError, match="no study that can be read"):
        HaltingTradeoff.load(tmp_path / "bad.json")
    with pytest.raises(HaltError, match="no study that can be read"):
        HaltingTradeoff.load(tmp_path / "missing.json")


def test_bad_names_are_named(shipped, problems, halt, studied):
    with pytest.raises(HaltError, match="unknown signal 'x'; there are random"):
        studied[0].at("x", 0.5)
    with pytest.raises(HaltError, match="'entropy', which is a measure"):
        study_halts(shipped.model, shipped.curriculum, problems, {"entropy": halt}, 2)
    stranger = replace(halt, model_hash="0" * 64)
    with pytest.raises(HaltError, match="another model"):
        study_halts(shipped.model, shipped.curriculum, problems, {"x": stranger}, 2)
