"""The exercises of 05 on halting rules: train a classifier, choose a threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.checks.engine import CheckFailed, Function, exercise, kind
from coconut_lab.inference import HaltPoint, HaltStudy

MOST, WIDTH, SHIFT = 4, 6, 3.0
Made = tuple[Tensor, Tensor, Tensor, Tensor, torch.nn.Parameter]


def states_with_a_graph(spoil: bool = False) -> Made:
    """Make states (N, K + 1, d) whose first entry says k minus the number of steps; or spoil some.

    The states of the test problems are what is spoiled, for a classifier must not look at them.
    """
    generator = torch.Generator().manual_seed(0)
    count = 120
    steps = torch.randint(1, MOST, (count,), generator=generator)
    order = torch.randperm(count, generator=generator)
    train, test = order[:80], order[80:]
    # Every fourth test problem says a wrong number of steps, so that accuracies can be told apart.
    told = steps.clone()
    told[test[::4]] = 1 + told[test[::4]] % 3
    gap = torch.arange(MOST + 1)[None] - steps[:, None] + 0.5  # (N, K + 1)
    noise = torch.randn(count, MOST + 1, WIDTH - 1, generator=generator, dtype=torch.float64)
    states = torch.cat([2 * gap.double()[..., None] + SHIFT, noise], dim=-1)  # (N, K + 1, d)
    if spoil:
        states[test] = states[test].flip(1) * 3 + 1
    model = torch.nn.Parameter(torch.eye(WIDTH, dtype=torch.float64))
    # A sine has to be kept for back-propagation, so a second pass back through it fails.
    return states @ model + 0 * (states @ model).sin(), told, train, test, model


def classifier_of(function: Function, made: Made) -> tuple[Tensor, float, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weight, bias, accuracy = function(*made[:4])
    try:
        weight = torch.as_tensor(weight).detach().double().reshape(WIDTH)
        return weight, torch.as_tensor(bias).item(), torch.as_tensor(accuracy).item()
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckFailed(
            f"train_classifier should return a weight with {WIDTH} entries, one per entry of a "
            f"state, and two numbers, not ({kind(weight)}, {kind(bias)}, {kind(accuracy)})."
        ) from error


def what_it_learned(function: Function) -> dict[str, Any]:
    """The weights depend on how they are fitted; what they say of clear states does not.

    What is in a set tells a mistake by itself.
    """
    made, spoiled = states_with_a_graph(), states_with_a_graph(spoil=True)
    weight, bias, accuracy = classifier_of(function, made)
    other, other_bias, _ = classifier_of(function, spoiled)
    gaps = torch.arange(-MOST, MOST + 1)
    clear = (2 * gaps + 1 + SHIFT) * weight[0] + bias  # long before the right stop to long after
    logits = made[0].detach() @ weight + bias  # (N, K + 1)
    right = (logits > 0) == (torch.arange(MOST + 1) >= made[1][:, None])
    parts: dict[str, Any] = {"test": made[3], "training": made[2], "all": slice(None)}
    accuracies = {name: right[part].double().mean() for name, part in parts.items()}
    measured = (name for name, share in accuracies.items() if abs(share - accuracy) < 1e-6)
    leaks = (other - weight).abs().max() > 1e-3 or abs(bias - other_bias) > 1e-3
    return {
        "what gets a gradient": {"the classifier" if made[-1].grad is None else "the model too"},
        "your bias": {"learned" if bias else 0},
        "k − steps where your classifier stops": str(gaps[clear > 0].tolist()),
        "what your weights depend on": {f"the {'test' if leaks else 'training'} problems"},
        "the problems that your accuracy is measured on": next(measured, "others"),
    }


BACKWARD = ("backward()", "backward(retain_graph=True)")
WANTED = ">= steps[:, None]"


@exercise(
    cases=lambda: [()],
    observe=what_it_learned,
    returns="weight, bias, accuracy",
    says="labels, split and accuracy are right, and the model stays as it is",
    mistakes={
        "the gradient goes into the model: the states came with their graph, and your loss flows "
        "back through it into the model's weights, once or, with an error, more often. The model "
        "is frozen: begin with states.detach().": [
            (("states.detach()", "states"), BACKWARD), ("states.detach()", "states")],
        "your classifier is upside down: it says stop where it should think on. The label is 1 for "
        "stop.": (WANTED, "< steps[:, None]"),
        "your weights are those of scaled states, (states - mean) / spread, but the states are not "
        "scaled when it counts. Divide weight by spread, and take mean · weight from bias.": (
            "states.detach()", "states.detach()\n    mean, spread = states[train].mean((0, 1)), "
            "states[train].std((0, 1))\n    states = (states - mean) / spread"),
        "your labels are shifted: your classifier stops one thought too early or too late. The "
        "label of the state after k thoughts is 1 from k = steps on, k >= steps; k starts at 0.": [
            (WANTED, ">= steps[:, None] - 1"), (WANTED, "> steps[:, None]")],
        "your labels are 1 at k = steps only, so your classifier learns to think on for ever. They "
        "are 1 from k = steps on, k >= steps.": (WANTED, "== steps[:, None]"),
        "your bias is not learned. Without one, the classifier has to change its mind where w · h "
        "is 0.": ("[weight, bias]", "[weight]"),
        "your classifier is not trained: weights and bias are those that it began with.": (
            "optimizer.step()", "pass"),
        "test problems leak into the training: your weights change when only the test problems do. "
        "Fit on states[train] alone; means and spreads come from there too.": (
            "states.detach()", "states.detach()\n    train = torch.cat([train, test])"),
        "your accuracy is that on the training problems, or on all. A classifier may know those by "
        "heart: measure on states[test].": [
            (("says = states[test]", "says = states[train]"),
             ("says == wanted[test]", "says == wanted[train]")),
            (("says = states[test]", "says = states"), ("says == wanted[test]", "says == wanted"))],
    },
)  # fmt: skip
def train_classifier(
    states: Tensor, steps: Tensor, train: Tensor, test: Tensor
) -> tuple[Tensor, float, float]:
    """Exercise 4 of 05: the classifier of a learned halt."""
    states = states.detach()
    wanted = (torch.arange(states.shape[1]) >= steps[:, None]).double()  # (N, K + 1)
    weight = torch.zeros(states.shape[2], dtype=states.dtype, requires_grad=True)
    bias = torch.zeros((), dtype=states.dtype, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        logits = states[train] @ weight + bias  # (M, K + 1)
        F.binary_cross_entropy_with_logits(logits, wanted[train]).backward()
        optimizer.step()
    says = states[test] @ weight + bias > 0  # (R, K + 1)
    accuracy = (says == wanted[test].bool()).double().mean().item()
    return weight.detach(), bias.item(), accuracy


def made_up(seed: int, spoiled: bool = False, count: int = 150) -> HaltStudy:
    """A study of a rule that sees, with noise, from which thought on answers are right.

    Spoiled, answers are right after two thoughts alone, and the rule sees nothing.
    """
    draw = np.random.default_rng(seed)
    hops = draw.integers(1, MOST, count)
    k = np.arange(MOST + 1)
    known = k == 2 if spoiled else k >= hops[:, None]
    right = draw.random((count, MOST + 1)) < np.where(known, 0.97, 0.3)
    seen = (k - hops[:, None] + 0.5) * 1.6 * (not spoiled) + draw.normal(0, 1, (count, MOST + 1))
    shape = right.shape
    return HaltStudy(
        hops, right, np.ones(shape, dtype=int), draw.integers(1, 9, shape),
        {"learned": 1 / (1 + np.exp(-seen)), "entropy": 1 / (1 + np.exp(seen))},
    )  # fmt: skip


def studies() -> Iterator[tuple[HaltStudy, HaltStudy, str, float]]:
    """Pairs of studies; in the last, every threshold loses too much."""
    for seed, signal in enumerate(("learned", "entropy", "learned", "entropy")):
        yield made_up(seed), made_up(seed + 100), signal, 0.03
    yield made_up(5, spoiled=True), made_up(105, spoiled=True), "learned", 0.03


def choice(
    function: Function, choosing: HaltStudy, measuring: HaltStudy, signal: str, within: float
) -> dict[str, Any]:
    """What a choice gives: thresholds at which the same problems stop are as good as each other."""
    threshold, point = function(choosing, measuring, signal, within)
    if isinstance(threshold, HaltPoint) or not isinstance(point, HaltPoint):
        raise CheckFailed("choose_threshold should return a number and a HaltPoint, in this order.")
    sides = {"choosing": choosing, "measuring": measuring}
    listed = (name for name, study in sides.items() if threshold in study.thresholds(signal))
    given = (name for name, study in sides.items() if point == study.at(signal, threshold))
    score = choosing.at(signal, threshold).score
    return {
        "the study that has your threshold": next(listed, "neither"),
        "its mean thoughts on `choosing`": score.thoughts,
        "its accuracy on `choosing`": score.accuracy,
        "the study that your point is from": next(given, "neither"),
    }


GOOD = "if point.score.accuracy >= goal"
ACCURATE = "key=lambda point: point.score.accuracy"
KEY = "key=lambda point: point.score.thoughts or 0.0"


@exercise(
    cases=studies,
    observe=choice,
    returns="threshold, point",
    says="chosen on one set of problems for its cost, measured on another",
    mistakes={
        "your threshold is chosen, or judged, on the problems that it is measured on. What you "
        "report is then too good. Try and judge thresholds on `choosing` only.": [
            ("points = [choosing.at(signal, threshold) for threshold in choosing",
             "choosing = measuring\n    goal = choosing.best_fixed().score.accuracy - within\n"
             "    points = [choosing.at(signal, threshold) for threshold in choosing"),
            (("goal = choosing", "goal = measuring"), ("[choosing.at", "[measuring.at"))],
        "your goal is not choosing.best_fixed().score.accuracy - within, the accuracy of the best "
        "fixed number of thoughts on `choosing`, less what may be lost.": [
            ("goal = choosing", "goal = measuring"), ("accuracy - within", "accuracy"),
            ("best_fixed().score.accuracy - within", "best_fixed(within).score.accuracy"),
            ("choosing.best_fixed()", f"max(choosing.curve(signal), {ACCURATE})")],
        "your threshold is the cheapest one, whatever it loses. Keep those that lose no more than "
        "`within`, then take the cheapest.": (GOOD, ""),
        "your threshold has the highest accuracy, whatever it costs. Of those that lose no more "
        "than `within`, take the one with the fewest mean thoughts.": (GOOD, "if False"),
        "of the thresholds that lose no more than `within`, take the one with the fewest mean "
        "thoughts: not the fewest passes, the lowest, or the most thoughts.": [
            (KEY, "key=lambda point: point.score.passes"),
            (KEY, "key=lambda point: point.threshold"),
            (f"min(good, {KEY})", f"max(good, {KEY})")],
        "you have no answer where every threshold loses more than `within`. Take the most accurate "
        "one there.": ("chosen = max(points, ", "chosen = min(good, "),
        "where every threshold loses more than `within`, take the most accurate threshold: not the "
        "cheapest, nor the best fixed number, which is no threshold.": [
            (f"max(points, {ACCURATE})", f"min(points, {KEY})"),
            (f"max(points, {ACCURATE})", "choosing.best_fixed()")],
        "your point is that of the problems that you chose on. It flatters the rule, since the "
        "threshold was picked for them. Measure on the others: measuring.at(signal, threshold).": (
            "measuring.at(signal, chosen.threshold)", "chosen"),
    },
)  # fmt: skip
def choose_threshold(
    choosing: HaltStudy, measuring: HaltStudy, signal: str, within: float
) -> tuple[float, HaltPoint]:
    """Exercise 5 of 05: choose the threshold of a rule, and say what it gives."""
    goal = choosing.best_fixed().score.accuracy - within
    points = [choosing.at(signal, threshold) for threshold in choosing.thresholds(signal)]
    good = [point for point in points if point.score.accuracy >= goal]
    if good:
        chosen = min(good, key=lambda point: point.score.thoughts or 0.0)
    else:
        chosen = max(points, key=lambda point: point.score.accuracy)
    return chosen.threshold, measuring.at(signal, chosen.threshold)
