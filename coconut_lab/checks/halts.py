"""The checks of 05's exercises 4 and 5: train a halt's classifier, choose its threshold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from coconut_lab.checks.base import CheckFailed, Function, call, close, parts, passed, tensor
from coconut_lab.inference.halting_tradeoff import HaltPoint, HaltStudy

# --- exercise 4 -----------------------------------------------------------------------------------

MOST, WIDTH = 4, 6


class Made(NamedTuple):
    """Problems for a classifier: states (N, K + 1, d) with a graph behind them, and numbers."""

    states: Tensor
    steps: Tensor
    train: Tensor
    test: Tensor
    model: torch.nn.Parameter


def train_classifier(function: Function) -> None:
    """Check exercise 4: the classifier of a learned halt.

    Args:
        function: `(states (N, K + 1, d), steps (N,), train, test)`, the last two (M,) int64
            numbers of problems, to weight (d,), bias, and accuracy on the test problems.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "train_classifier"
    made = _make(seed=0)
    weight, bias, accuracy = _run(name, function, made)
    if made.model.grad is not None or not close(made.model, _make(seed=0).model):
        raise CheckFailed(_gradient_message(name))
    _check_labels(name, weight, bias)
    # What the classifier is must not depend on the problems that it is measured on.
    spoiled = _make(seed=0, spoil=True)
    other = _run(name, function, spoiled)
    if not (close(weight, other[0]) and abs(bias - other[1]) < 1e-3):
        raise CheckFailed(
            f"{name}: test problems leak into the training: your weights change when only the "
            "test problems do. Fit on states[train] alone; means and spreads come from there too."
        )
    scored = {part: _share_right(made, weight, bias, part) for part in ("test", "train", "all")}
    if abs(accuracy - scored["test"]) > 1e-6:
        for part, said in (("train", "the training problems"), ("all", "all problems")):
            if abs(accuracy - scored[part]) < 1e-6:
                raise CheckFailed(
                    f"{name}: your accuracy is that on {said}. A classifier may know those by "
                    "heart: measure on states[test]."
                )
        raise CheckFailed(
            f"{name}: the classifier is right, but your accuracy is {accuracy:.3f}. On the test "
            f"problems it gives the right label to {scored['test']:.3f} of all states."
        )
    passed(name, "labels, split and accuracy are right, and the model stays as it is")


def _make(seed: int, spoil: bool = False) -> Made:
    """Draw states in whose first entry stands k minus the number of steps, and noise elsewhere.

    Args:
        seed: of the draw.
        spoil: other states for the test problems.
    """
    generator = torch.Generator().manual_seed(seed)
    count = 120
    steps = torch.randint(1, MOST, (count,), generator=generator)
    order = torch.randperm(count, generator=generator)
    train, test = order[:80], order[80:]
    # Every fourth test problem says a wrong number of steps, so that accuracies can be told apart.
    told = steps.clone()
    told[test[::4]] = 1 + told[test[::4]] % 3
    gap = torch.arange(MOST + 1)[None] - steps[:, None] + 0.5  # (N, K + 1)
    noise = torch.randn(count, MOST + 1, WIDTH - 1, generator=generator, dtype=torch.float64)
    states = torch.cat([2 * gap.double()[..., None], noise], dim=-1)  # (N, K + 1, d)
    if spoil:
        states[test] = states[test].flip(1) * 3 + 1
    model = torch.nn.Parameter(torch.eye(WIDTH, dtype=torch.float64))
    # A sine has to be kept for back-propagation, so a second pass back through it fails.
    return Made(states @ model + 0 * (states @ model).sin(), told, train, test, model)


def _gradient_message(name: str) -> str:
    return (
        f"{name}: the gradient goes into the model: the states came with their graph, and your "
        "loss flows back through it into the model's weights. The model is frozen: begin with "
        "states.detach()."
    )


def _run(name: str, function: Function, made: Made) -> tuple[Tensor, float, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            value = call(name, function, *made[:4])
        except CheckFailed as error:
            if "through the graph a second time" in str(error.__cause__):
                raise CheckFailed(_gradient_message(name)) from error.__cause__
            raise
    weight, bias, accuracy = parts(name, value, ("weight", "bias", "accuracy"))
    weight = tensor(name, "weight", weight).detach().double().flatten()
    if weight.shape != (WIDTH,):
        raise CheckFailed(
            f"{name}: weight has {len(weight)} entries, it should have {WIDTH}, one per entry of "
            "a state."
        )
    return weight, _number(name, "bias", bias), _number(name, "accuracy", accuracy)


def _number(name: str, what: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckFailed(
            f"{name}: {what} should be one number, not {type(value).__name__}."
        ) from error


def _check_labels(name: str, weight: Tensor, bias: float) -> None:
    """Ask the classifier about clean states, from long before the right stop to long after."""
    gaps = torch.arange(-MOST, MOST + 1)
    clean = torch.zeros(len(gaps), WIDTH, dtype=torch.float64)
    clean[:, 0] = 2 * (gaps + 0.5)
    stops = (clean @ weight + bias > 0).tolist()
    at = dict(zip(gaps.tolist(), stops, strict=True))
    if at[-MOST] and not at[MOST]:
        raise CheckFailed(
            f"{name}: your classifier is upside down: it says stop where it should think on. The "
            "label is 1 for stop."
        )
    shift = (
        "your labels are shifted: your classifier stops one thought too {}. The label of the state "
        "after k thoughts is 1 from k = steps on, k >= steps; k starts at 0."
    )
    if at[0] and at[-1] and not at[-2]:
        raise CheckFailed(f"{name}: {shift.format('early')}")
    if not at[0] and at[1]:
        raise CheckFailed(f"{name}: {shift.format('late')}")
    if not at[0] or at[-1] or not at[MOST] or at[-MOST]:
        learned = "at " + ", ".join(str(gap) for gap, stop in at.items() if stop)
        raise CheckFailed(
            f"{name}: your classifier is not trained, or on wrong labels. On clear states it "
            f"should stop where k − steps is 0 or more; it stops {learned}."
        )


def _share_right(made: Made, weight: Tensor, bias: float, part: str) -> float:
    rows = {"train": made.train, "test": made.test, "all": torch.arange(len(made.steps))}[part]
    says = made.states.detach()[rows] @ weight + bias > 0  # (M, K + 1)
    wanted = torch.arange(MOST + 1)[None] >= made.steps[rows][:, None]
    return float((says == wanted).double().mean())


# --- exercise 5 -----------------------------------------------------------------------------------


def choose_threshold(function: Function) -> None:
    """Check exercise 5: choose the threshold of a rule, and say what it gives.

    Args:
        function: `(choosing, measuring, signal, within)`, two `HaltStudy`, to a threshold and the
            `HaltPoint` that it gives on the problems to measure on.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "choose_threshold"
    within = 0.03
    for seed in range(4):
        choosing, measuring = _study(seed), _study(seed + 100)
        value = call(name, function, choosing, measuring, "learned", within)
        threshold, point = parts(name, value, ("threshold", "point"))
        if isinstance(threshold, HaltPoint) or not isinstance(point, HaltPoint):
            raise CheckFailed(
                f"{name} should return a number and a HaltPoint, not "
                f"({type(threshold).__name__}, {type(point).__name__})."
            )
        threshold = _number(name, "threshold", threshold)
        _check_choice(name, choosing, measuring, threshold, within)
        want = measuring.at("learned", threshold)
        if point != want:
            if point == choosing.at("learned", threshold):
                raise CheckFailed(
                    f"{name}: your point is that of the problems that you chose on. It flatters "
                    "the rule, since the threshold was picked for them. Measure on the others: "
                    "measuring.at(signal, threshold)."
                )
            raise CheckFailed(
                f"{name}: the threshold is right, but your point is not "
                "measuring.at(signal, threshold)."
            )
    passed(name, "chosen on one set of problems for its cost, measured on another")


def _study(seed: int, count: int = 150) -> HaltStudy:
    """A made-up study: a rule that sees, with noise, from which thought on answers are right."""
    draw = np.random.default_rng(seed)
    hops = draw.integers(1, MOST, count)
    k = np.arange(MOST + 1)
    right = draw.random((count, MOST + 1)) < np.where(k >= hops[:, None], 0.97, 0.3)
    seen = (k - hops[:, None] + 0.5) * 1.6 + draw.normal(0, 1, (count, MOST + 1))
    shape = right.shape
    return HaltStudy(
        hops, right, np.ones(shape, dtype=int), np.ones(shape, dtype=int) + k,
        {"learned": 1 / (1 + np.exp(-seen)), "entropy": draw.random(shape)},
    )  # fmt: skip


def _check_choice(
    name: str, choosing: HaltStudy, measuring: HaltStudy, threshold: float, within: float
) -> None:
    signal = "learned"
    if threshold not in choosing.thresholds(signal):
        if threshold in measuring.thresholds(signal):
            raise CheckFailed(
                f"{name}: your threshold is chosen on the problems that it is measured on. What "
                "you report is then too good. Try thresholds on `choosing` only."
            )
        raise CheckFailed(
            f"{name}: your threshold {threshold:.4g} is none of choosing.thresholds(signal)."
        )

    def cost(point: HaltPoint) -> float:
        assert point.score.thoughts is not None
        return point.score.thoughts

    points = {point.threshold: point for point in choosing.curve(signal)}
    goal = choosing.best_fixed().score.accuracy - within
    good = [point for point in points.values() if point.score.accuracy >= goal - 1e-12]
    mine, best = points[threshold], min(good, key=cost)
    if abs(cost(mine) - cost(best)) < 1e-9 and mine.score.accuracy >= goal - 1e-12:
        return
    most = max(point.score.accuracy for point in points.values())
    if mine.score.accuracy < goal - 1e-12:
        if cost(mine) == min(map(cost, points.values())):
            why = (
                "your threshold is the cheapest one, whatever it loses. Keep those that lose no "
                "more than `within`, then take the cheapest"
            )
        elif _on(measuring, threshold, signal, within):
            why = (
                "your threshold is judged by the problems that it is measured on. Judge "
                "thresholds on `choosing` only"
            )
        else:
            why = (
                "your threshold loses too much: compare with the best fixed length, "
                "choosing.best_fixed(), minus `within`"
            )
    elif mine.score.accuracy == most:
        why = (
            "your threshold has the highest accuracy, whatever it costs: "
            f"{cost(mine):.2f} thoughts where {cost(best):.2f} lose no more than `within`. Of "
            "those that lose no more, take the one with the fewest mean thoughts"
        )
    else:
        why = f"{cost(best):.2f} mean thoughts are enough, your threshold needs {cost(mine):.2f}"
    raise CheckFailed(f"{name}: {why}.")


def _on(study: HaltStudy, threshold: float, signal: str, within: float) -> bool:
    """Whether a threshold is good enough on a study."""
    goal = study.best_fixed().score.accuracy - within
    return study.at(signal, threshold).score.accuracy >= goal - 1e-12
