"""The checks of 04's exercises 3 and 4: going on after a stop, and accumulating gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from coconut_lab.checks.base import CheckFailed, Function, Mistake, call, compare, passed
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.curriculum import Curriculum
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.recipe import ModelPart
from coconut_lab.training.start import new_model

# --- exercise 3 -----------------------------------------------------------------------------------


class _Line(nn.Module):
    """The smallest thing that can be trained: `model(batch)` is a loss."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(6, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(1, generator=generator, dtype=torch.float64))

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        return ((inputs @ self.weight + self.bias - targets) ** 2).mean()


def _batch_at(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    inputs = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    return inputs, inputs.sum(1) + torch.randn(5, generator=generator, dtype=torch.float64)


def _rate_of(step: int) -> float:
    return 0.05 * min(1.0, (step + 1) / 4) * (1 - step / 16)


def _go_on(
    model: nn.Module,
    make_optimizer: Function,
    batch_at: Function,
    rate_at: Function,
    steps: int,
    saved: Any = None,
    *,
    keeps: str = "weights optimizer data rate copies",
    zeroes: bool = True,
    sets_rate: bool = True,
) -> Any:
    """The right way; `keeps` lists what is carried over."""
    kept = keeps.split()
    optimizer = make_optimizer(model)
    first = 0
    if saved is not None:
        first = saved["step"]
        if "weights" in kept:
            model.load_state_dict(saved["model"])
        if "optimizer" in kept:
            optimizer.load_state_dict(saved["optimizer"])
    for step in range(first, first + steps):
        for group in optimizer.param_groups:
            if sets_rate:
                group["lr"] = rate_at(step if "rate" in kept else step - first)
        model(batch_at(step if "data" in kept else step - first)).backward()
        optimizer.step()
        if zeroes:
            optimizer.zero_grad()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": first + steps,
    }
    return copy.deepcopy(state) if "copies" in kept else state


def _trained(function: Function, lengths: tuple[int, ...]) -> Tensor:
    """Train in parts, each in a new process as it were, and give the weights at the end."""
    saved = None
    model = _Line(0)
    for number, steps in enumerate(lengths):
        model = _Line(number)  # a new process begins with other weights
        made: list[torch.optim.Optimizer] = []

        def make_optimizer(
            module: nn.Module, made: list[torch.optim.Optimizer] = made
        ) -> torch.optim.Optimizer:
            made.append(
                torch.optim.AdamW(module.parameters(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.1)
            )
            return made[-1]

        saved = function(model, make_optimizer, _batch_at, _rate_of, steps, saved)
        if number + 1 < len(lengths):
            _end_process(model, made)
    return torch.cat([model.weight, model.bias]).detach().clone()


@torch.no_grad()
def _end_process(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
    """Wipe what a process held in memory: only what was copied outlives it."""
    for parameter in model.parameters():
        parameter.zero_()
    for optimizer in optimizers:
        for values in optimizer.state.values():
            for value in values.values():
                if isinstance(value, Tensor):
                    value.zero_()


def _without(*missing: str) -> Function:
    keeps = "weights optimizer data rate copies".split()
    left = " ".join(word for word in keeps if word not in missing)
    return lambda *arguments: _go_on(*arguments, keeps=left)


_WHOLE_SLIPS: tuple[tuple[str, Function], ...] = (
    (
        "even without a stop the weights differ: the gradients are never zeroed, so they pile up "
        "from step to step.",
        lambda *arguments: _go_on(*arguments, zeroes=False),
    ),
    (
        "even without a stop the weights differ: the learning rate of rate_at(step) is not set. "
        'Set group["lr"] for every group before the step.',
        lambda *arguments: _go_on(*arguments, sets_rate=False),
    ),
)
_STOP_SLIPS: tuple[tuple[str, Function], ...] = (
    (
        "the weights are not carried over: a new process begins with other weights. Load them.",
        _without("weights"),
    ),
    (
        "the optimizer's state is forgotten. Adam's two running means begin at zero again, so the "
        "steps after the stop differ. Save and load optimizer.state_dict().",
        _without("optimizer"),
    ),
    (
        "the step starts again at 0 after a stop: the same batches and the warm-up come once "
        "more. Save the number of steps done.",
        _without("data", "rate"),
    ),
    (
        "the order of the data starts again after a stop: batch_at wants the step of the whole "
        "run, counted over all parts.",
        _without("data"),
    ),
    (
        "the learning rate starts again after a stop: rate_at wants the step of the whole run.",
        _without("rate"),
    ),
    (
        "only the weights are carried over: optimizer and step begin anew.",
        _without("optimizer", "data", "rate"),
    ),
    (
        "what you saved is gone when the process ends: state_dict() gives the live tensors, not "
        "copies. Use copy.deepcopy.",
        _without("copies"),
    ),
)


def train_part(function: Function) -> None:
    """Check exercise 3: a run in parts ends with the very weights of a run in one piece.

    Args:
        function: `(model, make_optimizer, batch_at, rate_at, steps, saved)` to what the next call
            gets as `saved`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "train_part"

    def written(*arguments: Any) -> Any:
        return call(name, function, *arguments)

    whole, want = _trained(written, (9,)), _trained(_go_on, (9,))
    if not torch.equal(whole, want):
        for message, slip in _WHOLE_SLIPS:
            if torch.equal(whole, _trained(slip, (9,))):
                raise CheckFailed(f"{name}: {message}")
        raise CheckFailed(
            f"{name}: even without a stop the weights after 9 steps are off by up to "
            f"{(whole - want).abs().max():.2g}. Each step should set the rate, call backward on "
            "model(batch_at(step)), step, and zero the gradients."
        )
    for lengths in ((4, 5), (2, 3, 4)):
        got = _trained(written, lengths)
        if torch.equal(got, want):
            continue
        for message, slip in _STOP_SLIPS:
            if torch.equal(got, _trained(slip, lengths)):
                raise CheckFailed(f"{name}: {message}")
        raise CheckFailed(
            f"{name}: in one piece it is right, but in parts of {' + '.join(map(str, lengths))} "
            f"steps the weights are off by up to {(got - want).abs().max():.2g}."
        )
    passed(name, "4 + 5 and 2 + 3 + 4 steps end with the weights of 9 steps, bit for bit")


# --- exercise 4 -----------------------------------------------------------------------------------


class _Watched(nn.Module):
    """A model that notes how many rows go through it at once."""

    def __init__(self, model: Coconut) -> None:
        super().__init__()
        self.model = model
        self.rows: list[int] = []

    def forward(self, **batch: Tensor) -> Any:
        self.rows.append(len(batch["input_ids"]))
        return self.model(**batch)


def _model_and_batch() -> tuple[_Watched, dict[str, Tensor]]:
    """A small model in float64, and a batch whose rows have between 4 and 10 labelled tokens."""
    preset = PRESETS["tiny"]
    part = ModelPart(layers=1, heads=2, head_dim=4, width=8, feed_forward=16)
    model = new_model(part, [*preset.entities, *preset.concepts], seed=0).double()
    curriculum = Curriculum("coconut", max_stage=3)
    problems = generate_prosqa(7, seed=5)
    stages = (0, 3, 1, 0, 3, 3, 2)
    examples = [
        curriculum.encode(problem, model.tokenizer, stage)
        for problem, stage in zip(problems, stages, strict=True)
    ]
    return _Watched(model), collate(examples, model.tokenizer)


def _flat(model: nn.Module) -> Tensor:
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()]
    )


def _split(model: _Watched, batch: dict[str, Tensor], size: int) -> list[tuple[int, int, Any]]:
    """Labelled tokens, rows and gradient of every part, each by itself."""
    found = []
    for start in range(0, len(batch["labels"]), size):
        rows = {key: value[start : start + size] for key, value in batch.items()}
        model.zero_grad()
        loss = model(**rows).loss
        loss.backward()
        labelled = int((rows["labels"][:, 1:] != -100).sum())
        found.append((labelled, len(rows["labels"]), (_flat(model), loss.detach())))
    model.zero_grad()
    return found


def accumulate(function: Function) -> None:
    """Check exercise 4: the gradient of a whole batch, from parts of it.

    Args:
        function: `(model, batch, size)` to the loss of the whole batch; leaves the gradient in
            the parameters.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "accumulate"
    model, batch = _model_and_batch()
    for size in (3, 2, 7):
        model.zero_grad()
        split = _split(model, batch, size)
        whole = _split(model, batch, 7)[0][2]
        for stale in (None, whole[0]):  # the second call finds the gradient of the first
            model.rows = []
            loss = call(name, function, model, batch, size)
            if isinstance(loss, (str, bytes)) or not _is_number(loss):
                raise CheckFailed(
                    f"{name} should return the loss of the whole batch, one number, "
                    f"not {type(loss).__name__}."
                )
            if max(model.rows, default=0) > size:
                raise CheckFailed(
                    f"{name}: you put {max(model.rows)} rows through the model at once; no part "
                    f"may have more than size={size}. Cut every tensor of the batch."
                )
            if all(p.grad is None for p in model.parameters()):
                raise CheckFailed(
                    f"{name}: no parameter has a gradient afterwards. Each part should call "
                    ".backward(), and nothing may be zeroed after that."
                )
            got = {
                "the gradient": _flat(model).detach(),
                "the loss": torch.as_tensor(loss).detach().double().reshape(()),
            }
            want = {"the gradient": whole[0], "the loss": whole[1]}
            compare(name, got, want, _accumulate_mistakes(split, whole, stale))
    passed(name, "gradient and loss are those of the whole batch, for parts of 3, 2 and 7 rows")


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _accumulate_mistakes(split: list[Any], whole: Any, stale: Tensor | None) -> list[Mistake]:
    labelled = sum(count for count, _, _ in split)
    rows = sum(count for _, count, _ in split)

    def weighed(weight: Callable[[int, int], float]) -> Callable[[], Mapping[str, Tensor]]:
        def result() -> Mapping[str, Tensor]:
            terms = [weight(tokens, count) * found[0] for tokens, count, found in split]
            return {"the gradient": torch.stack(terms).sum(0)}

        return result

    mistakes = [
        Mistake(
            "your gradient is the mean of the parts' means. The parts have different numbers of "
            "labelled tokens, so a token weighs more in a part that has few. Weigh each part by "
            "its labelled tokens.",
            weighed(lambda tokens, count: 1 / len(split)),
        ),
        Mistake(
            "your gradient is the sum of the parts' means: it grows with the number of parts. "
            "Multiply each part's loss by its share of the labelled tokens.",
            weighed(lambda tokens, count: 1.0),
        ),
        Mistake(
            "you weigh the parts by their rows. The loss is a mean over labelled tokens, and rows "
            "have different numbers of these.",
            weighed(lambda tokens, count: count / rows),
        ),
        Mistake(
            "you divide twice: the shares of the labelled tokens add up to 1 already, do not "
            "divide by the number of parts as well.",
            weighed(lambda tokens, count: tokens / labelled / len(split)),
        ),
        Mistake(
            "your gradient is that of the sum over tokens. Divide by the labelled tokens of the "
            "whole batch.",
            weighed(lambda tokens, count: float(tokens)),
        ),
        Mistake(
            "only the last part is left in the gradient: you zero the gradients inside the loop. "
            "Zero them once, before it.",
            lambda: {"the gradient": split[-1][0] / labelled * split[-1][2][0]},
        ),
        Mistake(
            "the last, smaller part is missing. Let slices run past the end: Python cuts them.",
            lambda: {
                "the gradient": sum(t / labelled * found[0] for t, _, found in split[:-1])
                if len(split) > 1
                else whole[0]
            },
        ),
        Mistake(
            "the gradient is right, but the loss you return is that of the last part.",
            lambda: {"the gradient": whole[0], "the loss": split[-1][2][1]},
        ),
        Mistake(
            "the gradient is right, but the loss you return is the mean of the parts' means. "
            "Weigh it as you weigh the gradient.",
            lambda: {
                "the gradient": whole[0],
                "the loss": torch.stack([found[1] for _, _, found in split]).mean(),
            },
        ),
    ]
    if stale is not None:
        mistakes.insert(
            0,
            Mistake(
                "called twice, the second gradient has the first one in it: you do not zero the "
                "gradients before you begin.",
                lambda: {"the gradient": whole[0] + stale},
            ),
        )
    return mistakes
