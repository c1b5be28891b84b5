"""Training the classifier that says when to stop thinking, on the thoughts of a frozen model.

This is strategy (a) of the paper (Hao et al. 2024, section 3), which names it and uses another.
Logistic regression on the last hidden state after k thoughts; then calibration, so that its
probabilities mean what they say; then, on problems that neither has seen, how far they are off.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.errors import checks_kinds
from coconut_lab.inference.halting import HaltError, LearnedHalt, weights_hash
from coconut_lab.inference.states_and_answers import (
    answers_after,
    heads_of,
    states_while_thinking,
)
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem

#: What a halt can learn from, with its meaning.
LABELS = {
    "steps": "stop when there were as many thoughts as the problem's steps call for",
    "answer": "stop from the first thought on after which the forced answer is right",
}
#: Shares of the problems for fitting and for calibrating; the rest is for the report.
FIT, CALIBRATE = 0.6, 0.2
FEWEST = 20
BINS = 10


@checks_kinds(HaltError)
def train_halting(
    model: Coconut,
    curriculum: Curriculum,
    problems: Sequence[Problem],
    *,
    labels: str = "steps",
    max_thoughts: int | None = None,
    threshold: float = 0.5,
    l2: float = 1e-3,
) -> LearnedHalt:
    """Train a `LearnedHalt` for a model that is done with its curriculum.

    The first 60% of the problems are for fitting, the next 20% for calibrating, the rest for the
    report in `about`: `error_before` and `error` are the expected calibration errors before and
    after calibration, `accuracy` the share of states classified rightly, `base_rate` what always
    giving the more frequent label would score.

    Args:
        model: the model, in evaluation mode; its weights do not change.
        curriculum: makes its prompts; its method must have markers.
        problems: of mixed numbers of steps, in random order; not those it is evaluated on.
        labels: a key of `LABELS`.
        max_thoughts, threshold: of the halt; by default as many thoughts as the last stage has.
        l2: weight of the penalty on the squared weights.

    Returns:
        The halt, which belongs to this model.

    Raises:
        HaltError: unknown labels, fewer than 20 problems, or all states with the same label.
        ModelError: the method has no markers, or there are not enough positions.
    """
    if labels not in LABELS:
        raise HaltError(f"unknown labels {labels!r}; choose from {', '.join(LABELS)}")
    if len(problems) < FEWEST:
        raise HaltError(
            f"{len(problems)} problems are too few to fit, calibrate and report on; give {FEWEST} "
            "or more, better a thousand"
        )
    if max_thoughts is None:
        max_thoughts = curriculum.max_stage * curriculum.thoughts_per_step
    heads = heads_of(model, curriculum, problems)
    states = states_while_thinking(model, heads, max_thoughts).double().cpu()  # (N, K + 1, d)
    first = _first_stop(model, curriculum, problems, labels, max_thoughts)  # (N,)
    stop = (torch.arange(max_thoughts + 1) >= first[:, None]).double()  # (N, K + 1)

    ends = [0, int(FIT * len(problems)), int((FIT + CALIBRATE) * len(problems)), len(problems)]
    parts = [(states[a:b].flatten(0, 1), stop[a:b].flatten()) for a, b in pairwise(ends)]
    for (_, wanted), use in zip(parts, ("fitting", "calibration", "report"), strict=True):
        if not 0 < float(wanted.mean()) < 1:
            raise HaltError(
                f"all states of the problems for {use} have the same label, so there is nothing to "
                "learn; use problems of different numbers of steps, or another `max_thoughts`"
            )
    (states, wanted), report = parts[1:]
    weight, bias = fit_logistic(*parts[0], l2)
    scale, shift = calibrate(states @ weight + bias, wanted)
    states, wanted = report
    before = torch.sigmoid(states @ weight + bias)
    weight, bias = scale * weight, scale * bias + shift
    after = torch.sigmoid(states @ weight + bias)
    share = float(wanted.mean())
    return LearnedHalt(
        weight,
        bias,
        weights_hash(model),
        threshold,
        max_thoughts,
        about={
            "labels": labels,
            "problems": len(problems),
            "error_before": round(calibration_error(before, wanted), 4),
            "error": round(calibration_error(after, wanted), 4),
            "accuracy": round(float(((after >= 0.5) == (wanted > 0.5)).double().mean()), 4),
            "base_rate": round(max(share, 1 - share), 4),
        },
    )


def _first_stop(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem], labels: str, limit: int
) -> Tensor:
    """Give the first k at which each problem should stop (N,); past `limit` where there is none."""
    if labels == "steps":
        steps = torch.tensor([len(problem.steps) for problem in problems])
        return steps * curriculum.thoughts_per_step
    answers = answers_after(model, curriculum, problems, limit, answer_now=True)
    right = torch.from_numpy(answers["right"])
    return torch.where(right.any(1), right.int().argmax(1), limit + 1)


@torch.enable_grad()
def fit_logistic(states: Tensor, wanted: Tensor, l2: float) -> tuple[Tensor, float]:
    """Fit a logistic regression of `wanted` (M,), 0 or 1, on `states` (M, d), both float64.

    `l2` weighs the penalty on the squared weights, of standardized states. Gives the weight (d,)
    and the bias of logits `states @ weight + bias`.
    """
    mean, spread = states.mean(0), states.std(0, correction=0).clamp(min=1e-6)
    scaled = (states - mean) / spread
    values = states.new_zeros(states.shape[1] + 1, requires_grad=True)  # weights, and the bias
    optimizer = torch.optim.LBFGS([values], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = scaled @ values[:-1] + values[-1]
        fit = F.binary_cross_entropy_with_logits(logits, wanted) + l2 * values[:-1].square().sum()
        fit.backward()
        return fit

    optimizer.step(loss)
    weight, bias = values.detach()[:-1] / spread, values.detach()[-1]
    return weight, float(bias - mean @ weight)


def calibrate(logits: Tensor, wanted: Tensor) -> tuple[float, float]:
    """Fit Platt's scale and shift: the probability is sigmoid(scale · logit + shift).

    `logits` (M,) are of states that they were not fitted on; `wanted` (M,) is 0 or 1; float64.
    """
    # A trace of a penalty: without it, logits without a mistake would be scaled without end.
    scale, shift = fit_logistic(logits[:, None], wanted, 1e-6 / float(logits.var(correction=0)))
    return float(scale), shift


def calibration_error(probabilities: Tensor, wanted: Tensor, bins: int = BINS) -> float:
    """Give the expected calibration error: the mean over states of the gap of their interval.

    The gap of each of the `bins` equal intervals of `probabilities` (M,) is
    |mean probability − share of `wanted` (M,), 0 or 1|.
    """
    place = (probabilities * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64)
    gaps.index_add_(0, place, probabilities.double() - wanted.double())
    return float(gaps.abs().sum() / len(probabilities))
