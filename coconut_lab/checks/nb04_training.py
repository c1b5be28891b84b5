"""Exercises of notebook 04 on a run: the rate of a step, and going on after a stop."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from coconut_lab.checks.engine import Function, exercise

SCHEDULES = [  # phases (stage, steps, final), peak, warmup
    ([(0, 6, 1.0), (1, 9, 1.0), (1, 5, 0.3)], 1.0, 4),
    ([(0, 3, 0.5), (2, 8, 1.0), (3, 4, 0.0), (3, 7, 0.1)], 3e-3, 5),
    ([(0, 2, 1.0), (0, 6, 0.8)], 2e-3, 1),
    ([(0, 2, 1.0), (0, 6, 0.8), (2, 8, 0.6)], 0.5, 4),
]
WARM = "min(1.0, (step - reset + 1) / warmup)"
FALL = "(final + (1 - final) * wave)"
RESET = "if stage != previous:"


@exercise(
    cases=lambda: [
        (step, phases, peak, warmup)
        for phases, peak, warmup in SCHEDULES
        for step in range(sum(steps for _, steps, _ in phases))
    ],
    returns="the rate",
    says="{} rates are right, through resets and falls",
    mistakes={
        "there is no warm-up in your rate. In the first `warmup` steps with a new optimizer it "
        "rises in equal parts to the peak.": (WARM, "1.0"),
        "your warm-up begins at 0: then the first step moves nothing. The first step with a new "
        "optimizer has 1 / warmup of the rate, not 0.": ("reset + 1)", "reset)"),
        "you warm up only once. A change of stage brings a new optimizer, and it is warmed up "
        "again.": (RESET, "if previous is None:"),
        "you warm up at every phase. Two phases in a row may have the same stage: then the "
        "optimizer is kept, and so is its warm-up.": (RESET, "if True:"),
        "your warm-up does not end: it goes on rising beyond the peak. Cap it at 1.": (
            WARM, "(step - reset + 1) / warmup"),
        "the rate does not fall in your code. Within a phase it goes from the whole rate towards "
        "`final` times the rate.": (FALL, "1"),
        "your fall begins in the wrong place. Each phase has its own `final`, and the fall begins "
        "anew with it, also where the stage stays the same.": [
            ("(step - start) / steps", "step / sum(n for _, n, _ in phases)"),
            ("(step - start) / steps", "(step - reset) / steps")],
        "your fall is a straight line, as in the chapter. Here it is half a wave: slow at both "
        "ends, steep between.": (FALL, "(1 - (1 - final) * (step - start) / steps)"),
        "the cosine goes from 1 to -1, so 1 + cos goes from 2 to 0: halve it.": (
            "/ steps)) / 2", "/ steps))"),
        "your fall is one step ahead: the first step of a phase still has the whole rate, and "
        "`final` would be that of the step after the last one. Count done / steps from 0.": [
            ("(step - start) / steps", "(step - start + 1) / steps"),
            ("/ steps)", "/ max(1, steps - 1))")],
        "the share of the rate goes from 1 at the start to `final` where the phase ends: the wave "
        "only carries the 1 - final between them. It is not cut off at `final`.": [
            ("(1 - final) *", ""), (FALL, "wave"), (FALL, "max(final, wave)")],
        "you carry the fall over: each phase begins at the whole rate again, whatever the phase "
        "before it ended with.": ("start, previous = ", "peak *= final; start, previous = "),
        "your rate does not fall while it warms up. Multiply the two factors.": (
            FALL, f"(1 if {WARM} < 1 else {FALL})"),
        "your warm-up ends with the phase. If the next one has the same stage, it goes on there.": (
            WARM, f"({WARM} if stage != previous else 1.0)"),
        "the first step of a phase is counted as the last one of the phase before. Steps count "
        "from 0: a phase has the steps below start + steps.": ("step < start", "step <= start"),
    },
)  # fmt: skip
def rate_at(step: int, phases: list, peak: float, warmup: int) -> float:
    """Exercise 1: warm-up after each reset, a fall along a cosine within each phase."""
    start = reset = 0
    previous = None
    for stage, steps, final in phases:
        if stage != previous:
            reset = start
        if step < start + steps:
            warm = min(1.0, (step - reset + 1) / warmup)
            wave = (1 + math.cos(math.pi * (step - start) / steps)) / 2
            return peak * warm * (final + (1 - final) * wave)
        start, previous = start + steps, stage
    raise ValueError(f"the schedule has no step {step}")


class _Line(nn.Module):
    """The smallest thing that can be trained: `model(batch)` is a loss."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_random(seed, 7))

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return ((batch[0] @ self.weight - batch[1]) ** 2).mean()


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _batch_at(step: int) -> tuple[Tensor, Tensor]:
    inputs = _random(1000 + step, 5, 7)
    return inputs, inputs.sum(1) + _random(step, 5)


def _rate_of(step: int) -> float:
    return 0.05 * min(1.0, (step + 1) / 4) * (1 - step / 16)


RATE = 'group["lr"] = rate_at(step)'
LOADED = 'optimizer.load_state_dict(saved["optimizer"])'
DONE = 'first = saved["step"]'


def _trained(function: Function, *lengths: int) -> dict[str, Tensor]:
    """Train in parts, each in a new process as it were, and give the weights at the end."""
    saved, optimizers = None, list[torch.optim.Optimizer]()

    def make_optimizer(module: nn.Module) -> torch.optim.Optimizer:
        adam = torch.optim.AdamW(module.parameters(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.1)
        optimizers.append(adam)
        return adam

    for number, steps in enumerate(lengths):
        model = _Line(number)  # a new process begins with other weights
        saved = function(model, make_optimizer, _batch_at, _rate_of, steps, saved)
        result = model.weight.detach().clone()
        for tensor in [model.weight.data, *(  # a process takes what it held in memory with it
            value for one in optimizers for state in one.state.values() for value in state.values()
        )]:  # fmt: skip
            tensor.fill_(1.0)
    return {"the weight vector": result}


def _not_bit_for_bit(got: dict[str, Tensor], want: dict[str, Tensor]) -> str | None:
    off = (got["the weight vector"] - want["the weight vector"]).abs().max()
    if off:
        return f"the weights are right up to rounding, but not bit for bit: {off:.1g} is missing."
    return None


@exercise(
    cases=lambda: [(9,), (4, 5), (2, 3, 4)],
    observe=_trained,
    limits=_not_bit_for_bit,
    shown=lambda *lengths: (
        f" after a stop: in one piece it is right, in parts of {' + '.join(map(str, lengths))} "
        "steps it is not" if len(lengths) > 1 else
        " after 9 steps, even without a stop. Each step should set the rate, call backward on "
        "model(batch_at(step)), step, and zero the gradients"
    ),
    returns="saved",
    says="4 + 5 and 2 + 3 + 4 steps end with the weights of 9 steps, bit for bit",
    mistakes={
        "even without a stop the weights differ: the gradients are never zeroed, so they pile up "
        "from step to step.": ("optimizer.zero_grad()", "pass"),
        "even without a stop the weights differ: the learning rate of rate_at(step) is not set. "
        'Set group["lr"] for every group before the step.': (RATE, "pass"),
        "even without a stop the weights differ: they should move, but do not. Does the optimizer "
        "step, and are the gradients still there when it does?": ("optimizer.step()", "pass"),
        "even without a stop the weights differ: your steps count from 1. They count from 0.": (
            "range(first, first + steps)", "range(first + 1, first + steps + 1)"),
        "the weights are not carried over: a new process begins with other weights. Load them.": (
            'model.load_state_dict(saved["model"])', "pass"),
        "the optimizer's state is forgotten. Adam's two running means begin at zero again, so the "
        "steps after the stop differ. Save and load optimizer.state_dict().": (LOADED, "pass"),
        "the step starts again at 0 after a stop: the same batches and the warm-up come once more. "
        "Save the number of steps done.": (DONE, "pass"),
        "the order of the data starts again after a stop: batch_at wants the step of the whole "
        "run, counted over all parts.": ("batch_at(step)", "batch_at(step - first)"),
        "the learning rate starts again after a stop: rate_at wants the step of the whole run.": (
            RATE, RATE.replace("step", "step - first")),
        "only the weights are carried over: optimizer and step begin anew.": (
            (LOADED, "pass"), (DONE, "pass")),
        "what you saved is gone when the process ends: state_dict() gives the live tensors, not "
        "copies, also inside a dict of your own or after .copy(). Use copy.deepcopy on that of the "
        "model and that of the optimizer.": [
            ("copy.deepcopy", ""), ("copy.deepcopy(model", "(model"),
            ("copy.deepcopy(optimizer", "(optimizer")],
        "after a stop, the model that you are given does not change. Do you go on training the old "
        "one? The weights have to go into the new one: load_state_dict.": (
            'model.load_state_dict(saved["model"])', "model = copy.deepcopy(model)"),
        "after a stop, steps are done twice: save how many are done in all, which is the last step "
        "+ 1, not how many this part had.": [
            ('"step": first + steps', '"step": steps'), ('"step": first + steps', '"step": step')],
        "after a stop, there are too few steps: `steps` is how many to do now, not where to end.": (
            "range(first, first + steps)", "range(first, steps)"),
    },
)  # fmt: skip
def train_part(
    model: nn.Module, make_optimizer: Function, batch_at: Function, rate_at: Function,
    steps: int, saved: Any = None,
) -> Any:  # fmt: skip
    """Exercise 3: a run in parts ends with the very weights of a run in one piece."""
    optimizer, first = make_optimizer(model), 0
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    for step in range(first, first + steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        model(batch_at(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {
        "model": copy.deepcopy(model.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "step": first + steps,
    }
