"""Typical mistakes in 02, exercises 4 and 5: a batch and its gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from planted_mistakes.models import states, thought_by_thought
from planted_mistakes.table import planted

# --- exercise 4: align ----------------------------------------------------------------------------


def padded(rows, lefts, pad_id, *, first_position=0):
    """Rows behind so much padding on the left each; the rest is right."""
    width = max(left + len(row) for left, row in zip(lefts, rows, strict=True))
    ids = torch.full((len(rows), width), pad_id)
    mask, positions = torch.zeros_like(ids), torch.zeros_like(ids)
    for index, (left, row) in enumerate(zip(lefts, rows, strict=True)):
        here = slice(left, left + len(row))
        ids[index, here] = torch.tensor(row)
        mask[index, here] = 1
        positions[index, here] = torch.arange(first_position, first_position + len(row))
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def lefts_of(rows, thought_id):
    firsts = [row.index(thought_id) if thought_id in row else None for row in rows]
    most = max((first for first in firsts if first is not None), default=0)
    return [0 if first is None else most - first for first in firsts]


@planted("align", "All padding is on the right")
def aligned_on_the_right(rows, thought_id, pad_id):
    return padded(rows, [0] * len(rows), pad_id)


@planted("align", "All padding is on the left")
def aligned_at_the_end(rows, thought_id, pad_id):
    width = max(map(len, rows))
    return padded(rows, [width - len(row) for row in rows], pad_id)


@planted("align", "1 everywhere")
def aligned_without_mask(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"attention_mask": torch.ones_like(batch["input_ids"])}


@planted("align", "input_ids != pad_id")
def aligned_mask_from_ids(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"attention_mask": (batch["input_ids"] != pad_id).long()}


@planted("align", "upside down")
def aligned_mask_upside_down(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"attention_mask": 1 - batch["attention_mask"]}


@planted("align", "count columns, padding included")
def aligned_positions_of_columns(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    columns = torch.arange(batch["input_ids"].shape[1])
    return batch | {"position_ids": columns.expand_as(batch["input_ids"])}


@planted("align", "positions start at 1")
def aligned_positions_from_one(rows, thought_id, pad_id):
    return padded(rows, lefts_of(rows, thought_id), pad_id, first_position=1)


@planted("align", "negative")
def aligned_positions_below_zero(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"position_ids": batch["attention_mask"].cumsum(1) - 1}


@planted("align", "never between")
def aligned_by_padding_in_the_middle(rows, thought_id, pad_id):
    most = max((row.index(thought_id) for row in rows if thought_id in row), default=0)
    spread = []
    for row in rows:
        first = row.index(thought_id) if thought_id in row else 0
        spread.append([*row[:first], *[pad_id] * (most - first), *row[first:]])
    return padded(spread, [0] * len(rows), pad_id)


# --- exercise 5: thought_gradients ----------------------------------------------------------------


def loss_of(model, hidden, labels, shift=1, reduction="mean"):
    logits = model.lm_head(hidden)[0]
    return F.cross_entropy(logits[: len(logits) - shift], labels[0, shift:], reduction=reduction)


def right_thoughts(model, ids, thought_id):
    def right(inputs, column):
        return states(model, inputs[:, :column])[:, -1]

    return thought_by_thought(model, ids, thought_id, right)


@planted("thought_gradients", "detached between the thoughts")
def gradient_of_leaves(model, ids, labels, thought_id):
    def wrong(inputs, column):
        return states(model, inputs[:, :column])[:, -1].detach().requires_grad_()

    hidden, thoughts = thought_by_thought(model, ids, thought_id, wrong)
    loss_of(model, hidden, labels).backward()
    return [thought.grad for thought in thoughts]


@planted("thought_gradients", "loss is off by one position")
def gradient_of_an_unshifted_loss(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    return list(torch.autograd.grad(loss_of(model, hidden, labels, shift=0), thoughts))


@planted("thought_gradients", "counts every token")
def gradient_of_an_unmasked_loss(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    return list(torch.autograd.grad(loss_of(model, hidden, ids), thoughts))


@planted("thought_gradients", "is a sum")
def gradient_of_a_sum(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    loss = loss_of(model, hidden, labels, reduction="sum")
    return list(torch.autograd.grad(loss, thoughts))


@planted("thought_gradients", "not the ones that were fed back")
def gradient_of_copies(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    copies = [thought.clone() for thought in thoughts]
    return list(torch.autograd.grad(loss_of(model, hidden, labels), copies))


@planted("thought_gradients", "nothing to differentiate")
def gradient_without_a_graph(model, ids, labels, thought_id):
    with torch.no_grad():
        hidden, thoughts = right_thoughts(model, ids, thought_id)
    return list(torch.autograd.grad(loss_of(model, hidden, labels), thoughts))


@planted("thought_gradients", "the thoughts themselves")
def gradient_is_the_thoughts(model, ids, labels, thought_id):
    return right_thoughts(model, ids, thought_id)[1]
