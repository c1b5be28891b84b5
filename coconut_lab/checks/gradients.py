"""The check of 02's exercise 5: the gradient of the loss at every thought."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.base import CheckFailed, Mistake, call, compare, passed, tensors
from coconut_lab.checks.models import (
    THOUGHT,
    columns_of,
    next_token_loss,
    random_models,
    random_row,
    unroll,
)


def thought_gradients(function: Callable[..., Any]) -> None:
    """Check exercise 5: the gradient of the loss at every thought.

    Args:
        function: `(language_model, input_ids (1, T), labels (1, T), thought_id)` to a list of n
            gradients (1, d).

    Raises:
        CheckFailed: what is wrong.
    """
    name = "thought_gradients"
    for model in random_models():
        for count in (3, 1):
            ids = torch.tensor([random_row(count, question=5, tail=4, seed=count)])
            labels = ids.clone()
            labels[:, : columns_of(ids)[-1] + 2] = -100
            try:
                value = call(name, function, model, ids, labels, THOUGHT)
            except CheckFailed as error:
                raise _explained(name, error) from error.__cause__
            why = f"the row has {count} thoughts"
            listed = tensors(name, "the result", value, count, why)
            got = {f"gradient {index}": vector for index, vector in enumerate(listed, start=1)}
            compare(
                name,
                got,
                _gradients(model, ids, labels),
                _gradient_mistakes(model, ids, labels),
                " = (1, d)",
            )
    passed(name, "the gradient at every thought is right, through later thoughts too")


def _explained(name: str, error: CheckFailed) -> CheckFailed:
    """Say in the course's words what autograd complains about."""
    text = str(error.__cause__)
    if "not have been used in the graph" in text:
        return CheckFailed(
            f"{name}: autograd finds no way from the loss to your thoughts. The tensors that you "
            "differentiate by are not the ones that were fed back, or they were detached."
        )
    if "does not require grad" in text:
        return CheckFailed(
            f"{name}: the graph is detached, so there is nothing to differentiate. "
            "Leave out torch.no_grad(), .data and .detach()."
        )
    return error


def _gradients(
    model: Any, ids: Tensor, labels: Tensor, shift: int = 1, scale: float = 1.0
) -> dict[str, Tensor]:
    hidden, thoughts = unroll(model, ids)
    loss = scale * next_token_loss(model, hidden, labels, shift)
    found = torch.autograd.grad(loss, thoughts)
    return {f"gradient {index}": vector for index, vector in enumerate(found, start=1)}


def _direct_gradients(model: Any, ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient with every other thought held fixed."""
    leaves = [thought.detach().requires_grad_() for thought in unroll(model, ids)[1]]
    hidden, _ = unroll(model, ids, pick=lambda moment: leaves[len(moment.thoughts)])
    found = torch.autograd.grad(next_token_loss(model, hidden, labels), leaves)
    return {f"gradient {index}": vector for index, vector in enumerate(found, start=1)}


def _gradient_mistakes(model: Any, ids: Tensor, labels: Tensor) -> list[Mistake]:
    labelled = int((labels != -100).sum())
    return [
        Mistake(
            "your graph is detached between the thoughts: only the direct way to the loss is "
            "counted, not the way through the later thoughts. Differentiate by the tensors that "
            "you fed back, without .detach() or new leaves.",
            lambda: _direct_gradients(model, ids, labels),
        ),
        Mistake(
            "your loss is off by one position: it compares the logits at a column with the label "
            "of the same column. The logits at column t predict the token of column t + 1.",
            lambda: _gradients(model, ids, labels, shift=0),
        ),
        Mistake(
            "your loss counts every token. The labels mask the question, the markers and the "
            "thoughts with -100: use labels, not input_ids.",
            lambda: _gradients(model, ids, ids),
        ),
        Mistake(
            "your loss is a sum over the labelled tokens. The loss of a batch is their mean.",
            lambda: _gradients(model, ids, labels, scale=float(labelled)),
        ),
        Mistake(
            "these are the thoughts themselves, not the gradient of the loss at them.",
            lambda: {
                f"gradient {index}": thought
                for index, thought in enumerate(unroll(model, ids)[1], start=1)
            },
        ),
    ]
