"""Typical mistakes in 03, exercises 4 and 5: what a thought learns from, and when stages begin."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from planted_mistakes.models import states, thought_by_thought
from planted_mistakes.table import planted

# --- exercise 5: plan -----------------------------------------------------------------------------


def stages_of(phases, steps_per_epoch):
    return [stage for stage, epochs in phases for _ in range(epochs * steps_per_epoch)]


def news(stages, steps_per_epoch, reset):
    """The right resets of a list of stages."""
    found = []
    for step, stage in enumerate(stages):
        begins = step % steps_per_epoch == 0 if reset == "epoch" else stage != stages[step - 1]
        found.append(begins or step == 0)
    return found


@planted("plan", "never say that the optimizer is new")
def plan_without_resets(phases, steps_per_epoch, reset):
    return [(stage, False) for stage in stages_of(phases, steps_per_epoch)]


@planted("plan", "very first step")
def plan_without_a_first_optimizer(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    new = [False, *news(stages, steps_per_epoch, reset)[1:]]
    return list(zip(stages, new, strict=True))


@planted("plan", "reset at every step")
def plan_with_resets_everywhere(phases, steps_per_epoch, reset):
    return [(stage, True) for stage in stages_of(phases, steps_per_epoch)]


@planted("plan", "at every epoch although")
def plan_by_epochs(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    return list(zip(stages, news(stages, steps_per_epoch, "epoch"), strict=True))


@planted("plan", "leave out reset='epoch'")
def plan_by_stages(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    return list(zip(stages, news(stages, steps_per_epoch, "stage"), strict=True))


@planted("plan", "reset at every phase")
def plan_by_phases(phases, steps_per_epoch, reset):
    entries = []
    for stage, epochs in phases:
        for step in range(epochs * steps_per_epoch):
            entries.append((stage, step % (steps_per_epoch if reset == "epoch" else 10**6) == 0))
    return entries


@planted("plan", "one step too late")
def plan_one_step_late(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    new = news(stages, steps_per_epoch, reset)
    late = [True, False, *new[1:-1]]
    return list(zip(stages, late, strict=True))


@planted("plan", "one step too early")
def plan_one_step_early(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    new = news(stages, steps_per_epoch, reset)
    early = [True, *new[2:], reset == "epoch"]
    return list(zip(stages, early, strict=True))


@planted("plan", "one entry for each epoch")
def plan_of_epochs(phases, steps_per_epoch, reset):
    stages = stages_of(phases, 1)
    return list(zip(stages, news(stages, 1, reset), strict=True))


@planted("plan", "you number the phases")
def plan_with_numbered_phases(phases, steps_per_epoch, reset):
    numbered = [(number, epochs) for number, (_, epochs) in enumerate(phases)]
    stages = stages_of(numbered, steps_per_epoch)
    return list(zip(stages, news(stages, steps_per_epoch, reset), strict=True))


# --- exercise 4: reach ----------------------------------------------------------------------------


def reached(model, ids, labels, thought_id, cut, *, shift=1, loss_for=None, spoil=None):
    """The right gradients per label, (m, n, d), then spoiled; lengths (n, m)."""

    def feed(inputs, column):
        thought = states(model, inputs[:, :column])[:, -1]
        return thought.detach().requires_grad_() if cut else thought

    hidden, thoughts = thought_by_thought(model, ids, thought_id, feed)
    logits, rows = model.lm_head(hidden)[0], []
    for column in (labels[0] != -100).nonzero().flatten().tolist():
        loss = F.cross_entropy(logits[column - shift], labels[0, column])
        loss = loss if loss_for is None else loss_for(logits, loss)
        rows.append(torch.cat(torch.autograd.grad(loss, thoughts, retain_graph=True)))
    gradients = torch.stack(rows)  # (m, n, d)
    gradients = gradients if spoil is None else spoil(gradients)
    return gradients.norm(dim=-1).T


@planted("reach", "with cut=True you give the gradient with all its ways")
def reached_without_cutting(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, False)


@planted("reach", "with cut=False you give the direct way only")
def reached_with_leaves_always(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, True)


@planted("reach", "off by one position")
def reached_from_the_column_itself(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut, shift=0)


@planted("reach", "pile up from label to label")
def reached_with_gradients_added(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut, spoil=lambda g: g.cumsum(0))


@planted("reach", "gradient of the whole loss. ")
def reached_by_the_whole_loss(model, ids, labels, thought_id, cut):
    def whole(logits, loss):
        return F.cross_entropy(logits[:-1], labels[0, 1:])

    return reached(model, ids, labels, thought_id, cut, loss_for=whole)


@planted("reach", "as a sum")
def reached_by_the_summed_loss(model, ids, labels, thought_id, cut):
    def whole(logits, loss):
        return F.cross_entropy(logits[:-1], labels[0, 1:], reduction="sum")

    return reached(model, ids, labels, thought_id, cut, loss_for=whole)


@planted("reach", "divide by the number of labels")
def reached_by_a_share_of_the_loss(model, ids, labels, thought_id, cut):
    count = (labels != -100).sum()
    return reached(model, ids, labels, thought_id, cut, loss_for=lambda _, loss: loss / count)


@planted("reach", "squared lengths")
def reached_squared(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut) ** 2


@planted("reach", "sums of absolute values")
def reached_in_absolute_values(model, ids, labels, thought_id, cut):
    def spoil(gradients):
        return gradients.abs().sum(-1, keepdim=True)

    return reached(model, ids, labels, thought_id, cut, spoil=spoil)


@planted("reach", "reverse order")
def reached_backwards(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut).flip(0)


@planted("reach", "one row for each thought, one column for each label")
def reached_transposed(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut).T
