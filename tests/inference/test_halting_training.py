"""Training a halt: the fit, the calibration and the labels against independent versions."""

import json
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coconut_lab.checkpoints.shipped import FOLDER, load
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference.halting import FixedThoughts, HaltError, LearnedHalt, weights_hash
from coconut_lab.inference.halting_tradeoff import HaltingTradeoff
from coconut_lab.inference.halting_training import (
    _first_stop,
    calibrate,
    calibration_error,
    fit_logistic,
    train_halting,
)
from coconut_lab.inference.scoring import score
from coconut_lab.inference.states_and_answers import heads_of, states_while_thinking
from coconut_lab.model.outputs import ModelError
from coconut_lab.study.__main__ import main
from coconut_lab.tasks.prosqa import generate_prosqa


@pytest.fixture(scope="module")
def shipped():
    return load("tiny-coconut")


@pytest.fixture(scope="module")
def problems():
    return generate_prosqa(150, 21, "tiny", hops=(1, 3))


def synthetic(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(count, size, generator=generator, dtype=torch.float64) * 3 + 1
    true = torch.randn(size, generator=generator, dtype=torch.float64) / 3
    chance = torch.sigmoid(states @ true - 0.5)
    return states, (torch.rand(count, generator=generator) < chance).double(), chance


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_where_the_gradient_vanishes(seed):
    states, wanted, _ = synthetic(300, 5, seed)
    weight, bias = fit_logistic(states, wanted, l2=0.01)
    error = torch.sigmoid(states @ weight + bias) - wanted
    spread = states.std(0, correction=0)
    # In standardized coordinates: mean of error × state, plus twice the penalty's weight.
    scaled = (states - states.mean(0)) / spread
    gradient = scaled.T @ error / len(states) + 2 * 0.01 * weight * spread
    assert gradient.abs().max() < 1e-5 and abs(float(error.mean())) < 1e-5


def test_calibration_undoes_a_stretch():
    _, wanted, chance = synthetic(20000, 4, 7)
    logits = torch.logit(chance)
    scale, shift = calibrate(4 * logits + 2, wanted)
    assert scale == pytest.approx(0.25, rel=0.05) and shift == pytest.approx(-0.5, abs=0.08)
    assert calibration_error(torch.sigmoid(4 * logits + 2), wanted) > 0.1
    assert calibration_error(torch.sigmoid(scale * (4 * logits + 2) + shift), wanted) < 0.02


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_calibration_error_by_hand(pairs):
    total = 0.0
    for part in range(10):
        inside = [(p, y) for p, y in pairs if min(int(p * 10), 9) == part]
        if inside:
            mean = sum(p for p, _ in inside) / len(inside)
            share = sum(y for _, y in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(mean - share)
    probabilities, wanted = (
        torch.tensor(values, dtype=torch.float64) for values in zip(*pairs, strict=True)
    )
    assert calibration_error(probabilities, wanted) == pytest.approx(total, abs=1e-9)


def test_labels_of_both_kinds(shipped, problems):
    model, curriculum = shipped.model, shipped.curriculum
    steps = _first_stop(model, curriculum, problems[:20], "steps", 3)
    assert steps.tolist() == [problem.graph.hops for problem in problems[:20]]
    double = Curriculum(max_stage=3, thoughts_per_step=2)
    assert _first_stop(model, double, problems[:2], "steps", 6).tolist() == [
        2 * problem.graph.hops for problem in problems[:2]
    ]
    answer = _first_stop(model, curriculum, problems[:20], "answer", 3)
    for problem, got in zip(problems[:20], answer.tolist(), strict=True):
        right = [
            score(
                model, model.tokenizer, [problem], curriculum, 0,
                answer_now=True, halting=FixedThoughts(k),
            ).right
            for k in range(4)
        ]  # fmt: skip
        assert got == (right.index(1) if any(right) else 4)
    assert len(set(answer.tolist())) > 2


def test_a_trained_halt_knows_more_than_the_base_rate(shipped, problems):
    before = weights_hash(shipped.model)
    halt = train_halting(shipped.model, shipped.curriculum, problems, labels="steps")
    assert weights_hash(shipped.model) == before == halt.model_hash
    assert halt.max_thoughts == 3 and halt.weight.shape == (64,)
    assert halt.about["accuracy"] > halt.about["base_rate"] + 0.1
    # The report is about the last fifth of the problems, and about the halt as it is used.
    last = problems[120:]
    states = states_while_thinking(
        shipped.model, heads_of(shipped.model, shipped.curriculum, last), 3
    )
    found = halt.probability(states).flatten()
    wanted = torch.tensor([[k >= problem.graph.hops for k in range(4)] for problem in last])
    error = calibration_error(found, wanted.flatten().double())
    assert halt.about["error"] == pytest.approx(error, abs=1e-4)
    share = float(((found >= 0.5) == wanted.flatten()).double().mean())
    assert halt.about["accuracy"] == pytest.approx(share, abs=1e-4)
    assert error < 0.2
    again = train_halting(shipped.model, shipped.curriculum, problems, labels="steps")
    assert torch.equal(again.weight, halt.weight) and again.about == halt.about


def test_a_halt_is_fitted_on_the_first_problems_and_calibrated_on_the_next(shipped, problems):
    model, curriculum = shipped.model, shipped.curriculum
    halt = train_halting(model, curriculum, problems, threshold=0.3, l2=0.2)
    assert halt.threshold == 0.3
    states = states_while_thinking(model, heads_of(model, curriculum, problems), 3).double()
    wanted = torch.tensor([[k >= problem.graph.hops for k in range(4)] for problem in problems])
    states, wanted = states.flatten(0, 1), wanted.flatten().double()
    weight, bias = fit_logistic(states[: 4 * 90], wanted[: 4 * 90], l2=0.2)
    logits, part = states @ weight + bias, slice(4 * 90, 4 * 120)
    scale, shift = calibrate(logits[part], wanted[part])
    torch.testing.assert_close(halt.probability(states), torch.sigmoid(scale * logits + shift))


def test_what_cannot_be_trained_is_named(shipped, problems):
    model, curriculum = shipped.model, shipped.curriculum
    with pytest.raises(HaltError, match="unknown labels 'hops'; choose from steps, answer"):
        train_halting(model, curriculum, problems, labels="hops")
    with pytest.raises(HaltError, match="3 problems are too few"):
        train_halting(model, curriculum, problems[:3])
    with pytest.raises(HaltError, match="problems for fitting have the same label"):
        train_halting(model, curriculum, generate_prosqa(30, 3, "tiny", hops=3), max_thoughts=2)
    with pytest.raises(ModelError, match="no <bot>"):
        train_halting(model, Curriculum("no_cot"), problems)
    with pytest.raises(ModelError, match="the model only 128"):
        train_halting(model, curriculum, problems, max_thoughts=120)


def test_halts_are_built_beside_the_model(tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER / "tiny-coconut", folder)
    sizes = ["--hops", "1", "3", "--more-hops", "4", "4", "--count", "60"]
    assert main(["halting", str(folder), *sizes]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((folder / "halts.json").read_text())
    checkpoint = load(folder)
    problems = generate_prosqa(60, 515153, "tiny", hops=(1, 3))
    for labels in ("steps", "answer"):
        halt = LearnedHalt.load(folder / f"halt-{labels}.safetensors", checkpoint.model)
        row = figures["rules"][labels]
        found = score(
            checkpoint.model, checkpoint.tokenizer, problems, checkpoint.curriculum, 0,
            answer_now=True, halting=halt,
        )  # fmt: skip
        assert (found.right, found.total) == (row["right"], row["total"])
        assert found.thoughts == pytest.approx(row["thoughts"], abs=1e-3)
        assert found.passes == pytest.approx(row["passes"], abs=1e-3)
        assert f"{labels} at" in printed
    assert figures["fixed"][3]["thoughts"] == 3
    assert len(HaltingTradeoff.load(folder / "halt-study.json").hops) == 60
    assert set(HaltingTradeoff.load(folder / "halt-study-more.json").hops.tolist()) == {4}
