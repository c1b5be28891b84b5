"""The checks of 03's exercises 2 and 4: what has a label, and how far its gradient reaches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.checks.base import CheckFailed, Function, Mistake, call, compare, passed, tensor
from coconut_lab.checks.models import (
    BOT,
    EOS,
    EOT,
    PAD,
    THOUGHT,
    Batch,
    columns_of,
    random_models,
    random_row,
    unroll,
)

IGNORED = -100


# --- exercise 2 -----------------------------------------------------------------------------------


def make_labels(function: Function) -> None:
    """Check exercise 2: the labels of a padded batch.

    Args:
        function: `(input_ids (B, T), attention_mask (B, T), eot_id)` to labels (B, T) int64.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "make_labels"
    for fill in (PAD, EOS):
        batch = _batch(fill)
        ids, mask = batch["input_ids"], batch["attention_mask"]
        value = call(name, function, ids.clone(), mask.clone(), EOT)
        labels = tensor(name, "the result", value)
        if labels.dtype.is_floating_point:
            raise CheckFailed(f"{name}: labels are token ids; they should be int64.")
        compare(
            name, {"labels": labels}, {"labels": _labels(ids, mask)}, _mistakes(batch), " = (B, T)"
        )
    passed(name, "only what stands behind <eot> is learned, and no padding")


def _batch(fill: int) -> Batch:
    """Rows at different stages, padded on both sides."""
    shapes = ((3, 6, 2, 2), (0, 5, 5, 0), (1, 3, 4, 4))  # thoughts, question, tail, padding before
    rows = [[*random_row(*shape[:3], seed), EOS] for seed, shape in enumerate(shapes)]
    width = max(len(row) + shape[3] for row, shape in zip(rows, shapes, strict=True)) + 1
    ids = torch.full((len(rows), width), fill)
    mask = torch.zeros_like(ids)
    for index, (row, shape) in enumerate(zip(rows, shapes, strict=True)):
        ids[index, shape[3] : shape[3] + len(row)] = torch.tensor(row)
        mask[index, shape[3] : shape[3] + len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _labels(ids: Tensor, mask: Tensor) -> Tensor:
    """The reference: row by row, in plain Python."""
    labels = torch.full_like(ids, IGNORED)
    for row in range(len(ids)):
        end = ids[row].tolist().index(EOT)
        for column in range(end + 1, ids.shape[1]):
            if mask[row, column]:
                labels[row, column] = ids[row, column]
    return labels


def _mistakes(batch: Batch) -> list[Mistake]:
    ids, real = batch["input_ids"], batch["attention_mask"].bool()
    right = _labels(ids, real)
    behind = (ids == EOT).cumsum(1) > 0  # <eot> and everything after it
    answer = right.roll(1, 1) != IGNORED
    latent = torch.isin(ids, torch.tensor([BOT, THOUGHT, EOT]))
    before = (ids == BOT).cumsum(1) == 0

    def kept(where: Tensor) -> Tensor:
        return torch.where(where, ids, IGNORED)

    shifted = F.pad(right[:, 1:], (0, 1), value=IGNORED)
    entries = (
        (
            "your labels are shifted by hand. The label of a column is the token of that very "
            "column: the loss itself compares the logits of column t with label t + 1. "
            "Shifted twice, the model learns to predict the token after the next.",
            shifted,
        ),
        (
            "the labels are shifted to the right by one column.",
            F.pad(right[:, :-1], (1, 0), value=IGNORED),
        ),
        ("nothing is masked, so there is a loss on everything, padding included.", ids),
        ("only padding is masked. Mask the question, the markers and the thoughts.", kept(real)),
        (
            "there is a loss on the question. The model is given it and need not predict it.",
            kept(real & ~latent),
        ),
        (
            "there is a loss on the question. The model is given it and need not predict it.",
            kept(real & (before | (right != IGNORED))),
        ),
        (
            "there is a loss on the thoughts: the label of a placeholder is the id of <thought>. "
            "The model would learn to say <thought>. Mask everything up to <eot>.",
            kept(real & ~before & (ids != BOT)),
        ),
        (
            "there is a loss on <bot>, the thoughts and <eot>. Only the question is masked; "
            "mask everything up to and including <eot>.",
            kept(real & ~before),
        ),
        (
            "the placeholders have the label <thought>; mask them too.",
            kept(real & ((ids == THOUGHT) | (right != IGNORED))),
        ),
        (
            "<eot> has a label. Here it is not predicted: the number of thoughts is fixed, and "
            "<eot> is put behind them. Mask it as well.",
            kept(real & behind),
        ),
        (
            "<bot> and <eot> have labels. The model is given them; mask both markers.",
            kept(real & ((ids == BOT) | behind)),
        ),
        (
            "the first token behind <eot> has no label. The hidden state at <eot> has to predict "
            "it, so it needs one.",
            torch.where(answer & (right != IGNORED), right, IGNORED),
        ),
        (
            "padding has labels. A label is -100 wherever the attention mask is 0.",
            kept(behind & (ids != EOT)),
        ),
        (
            "the end of sequence has no label. Here padding is filled with the same token: take "
            "padding from the attention mask, not from the ids.",
            torch.where(ids == EOS, IGNORED, right),
        ),
        (
            "the masked columns are 0. Token 0 exists; the value that the loss leaves out is -100.",
            torch.where(right == IGNORED, 0, right),
        ),
        (
            "the mask is upside down: what should be learned is masked, and the other way round.",
            kept(right == IGNORED),
        ),
        ("no column has a label, so there is no loss.", torch.full_like(ids, IGNORED)),
    )
    return [Mistake(text, partial(dict, labels=labels)) for text, labels in entries]


# --- exercise 4 -----------------------------------------------------------------------------------


def reach(function: Function) -> None:
    """Check exercise 4: the gradient of each label's own loss at each thought.

    Args:
        function: `(language_model, input_ids (1, T), labels (1, T), thought_id, cut)` to a tensor
            (n, m): n thoughts, m labelled columns.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "reach"
    for model in random_models():
        for count, tail in ((3, 4), (1, 2)):
            ids = torch.tensor([random_row(count, question=5, tail=tail, seed=count)])
            labels = torch.where(torch.arange(ids.shape[1]) > columns_of(ids)[-1] + 1, ids, IGNORED)
            for cut in (False, True):
                value = call(name, function, model, ids.clone(), labels.clone(), THOUGHT, cut)
                got = tensor(name, "the result", value)
                want = _lengths(model, ids, labels, cut)
                if got.shape == want.T.shape != want.shape:
                    raise CheckFailed(
                        f"{name}: the result has shape {tuple(got.shape)}, it should be "
                        f"{tuple(want.shape)}: one row for each thought, one column for each label."
                    )
                what = "the result with cut=True" if cut else "the result with cut=False"
                mistakes = _reach_mistakes(model, ids, labels, cut)
                compare(name, {what: got}, {what: want}, _named(what, mistakes), " = (n, m)")
    passed(name, "the length of every gradient is right, with all its ways and with the direct one")


Measure = Callable[[Tensor], Tensor]


def _lengths(
    model: Any,
    ids: Tensor,
    labels: Tensor,
    cut: bool,
    *,
    shift: int = 1,
    measure: Measure = lambda gradient: gradient.norm(dim=-1),
    combine: Callable[[Tensor], Tensor] = lambda gradients: gradients,
    scale: float = 1.0,
) -> Tensor:
    """The lengths (n, m); `combine` may spoil the gradients (n, m, d) before they are measured."""
    if cut:
        leaves = [thought.detach().requires_grad_() for thought in unroll(model, ids)[1]]
        hidden, _ = unroll(model, ids, pick=lambda _, index: leaves[index])
    else:
        hidden, leaves = unroll(model, ids)
    logits = model.lm_head(hidden)[0]  # (T, V)
    columns = (labels[0] != IGNORED).nonzero().flatten().tolist()
    gradients = []
    for column in columns:
        loss = F.cross_entropy(logits[column - shift], labels[0, column]) * scale
        gradients.append(torch.cat(torch.autograd.grad(loss, leaves, retain_graph=True)))  # (n, d)
    return measure(combine(torch.stack(gradients, dim=1))).detach()  # (n, m)


def _reach_mistakes(
    model: Any, ids: Tensor, labels: Tensor, cut: bool
) -> list[tuple[str, Callable[[], Tensor]]]:
    count = int((labels != IGNORED).sum())
    other = (
        "with cut=True you give the gradient with all its ways. Feed each thought back as a new "
        "leaf, thought.detach().requires_grad_(), and differentiate by these leaves."
        if cut
        else "with cut=False you give the direct way only. Feed back the thoughts themselves, "
        "without .detach(), so that the way through later thoughts counts."
    )

    def lengths(**how: Any) -> Callable[[], Tensor]:
        return lambda: _lengths(model, ids, labels, cut, **how)

    return [
        (other, lambda: _lengths(model, ids, labels, not cut)),
        (
            "off by one position: the loss of a label comes from the logits of the column before "
            "it, logits[column - 1].",
            lengths(shift=0),
        ),
        (
            "the gradients pile up from label to label: .grad is added to, not replaced. Set it "
            "to None before each backward, or use torch.autograd.grad.",
            lengths(combine=lambda g: g.cumsum(1)),
        ),
        (
            "every column holds the gradient of the whole loss. Take the loss of one label at a "
            "time.",
            lengths(combine=lambda g: g.mean(1, keepdim=True).expand_as(g)),
        ),
        (
            "every column holds the gradient of the whole loss, as a sum. Take the loss of one "
            "label at a time.",
            lengths(combine=lambda g: g.sum(1, keepdim=True).expand_as(g)),
        ),
        (
            "you divide by the number of labels. Here each label's own loss counts in full.",
            lengths(scale=1 / count),
        ),
        (
            "these are squared lengths; take the square root, or .norm().",
            lengths(measure=lambda g: g.pow(2).sum(-1)),
        ),
        (
            "these are sums of absolute values; the length is the square root of the sum of "
            "squares, .norm().",
            lengths(measure=lambda g: g.abs().sum(-1)),
        ),
        (
            "the thoughts are in reverse order. Row 0 belongs to the first thought.",
            lengths(combine=lambda g: g.flip(0)),
        ),
    ]


def _named(what: str, mistakes: list[tuple[str, Callable[[], Tensor]]]) -> list[Mistake]:
    def under_its_name(make: Callable[[], Tensor]) -> dict[str, Tensor]:
        return {what: make()}

    return [Mistake(text, partial(under_its_name, make)) for text, make in mistakes]
