"""The exercises of notebook 03 on labels: which tokens have one, and how far its gradient goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.checks.engine import Function, exercise
from coconut_lab.checks.models import EOS, EOT, PAD, THOUGHT, labelled_rows, random_row
from coconut_lab.checks.nb02_batch_and_gradient import align
from coconut_lab.checks.nb02_latent_forward import think_without_cache


def padded_on_both_sides() -> Iterator[tuple[Tensor, Tensor, int]]:
    """Rows at different stages; the padding may be the end of sequence."""
    shapes = ((3, 6, 2), (0, 5, 5), (1, 3, 9))  # thoughts, question, tail
    rows = [[*random_row(*shape, seed), EOS] for seed, shape in enumerate(shapes)]
    for fill in (PAD, EOS):
        batch = align.right(rows, THOUGHT, fill)
        yield batch["input_ids"], batch["attention_mask"], EOT


def labels_and_inputs(function: Function, ids: Tensor, mask: Tensor, eot: int) -> dict[str, Tensor]:
    """The labels, and what the function left of its inputs."""
    labels = {"labels": function(ids, mask, eot)}
    return labels | {"input_ids after the call": ids, "attention_mask after the call": mask}


LEARNED, AFTER = "is_eot.cumsum(1) - is_eot", "(is_eot.cumsum(1) - is_eot) * attention_mask"
MASKED = "torch.where(learned.bool(), input_ids, -100)"


@exercise(
    cases=padded_on_both_sides,
    observe=labels_and_inputs,
    returns="labels",
    axes={"labels": "(B, T)"},
    says="only what comes after <eot> is learned, and no padding",
    mistakes={
        "your labels are shifted by hand. The label of a column is the token of that very column: "
        "the loss itself compares the logits of column t with label t + 1. Shifted twice, the "
        "model learns to predict the token after the next.": [
            (MASKED, f"{MASKED}.roll(-1, 1)"), (MASKED, f"{MASKED}.roll(1, 1)")],
        "nothing is masked, or only padding. Mask the question, the markers and the thoughts, too.":
            [(MASKED, "input_ids"), (AFTER, "attention_mask")],
        "there is a loss on the question. The model is given it and need not predict it.": (
            AFTER, "(input_ids < eot_id - 1) * attention_mask"),
        "there is a loss on the thoughts: the label of a placeholder is the id of <thought>. The "
        "model would learn to say <thought>. Mask everything up to <eot>.": [
            (LEARNED, f"{LEARNED} + (input_ids == eot_id + 1)"),
            (LEARNED, "(input_ids == eot_id - 1).cumsum(1) - (input_ids == eot_id - 1).long()")],
        "there is a loss on <bot>, the thoughts and <eot>. Only the question is masked; mask "
        "everything up to and including <eot>.": (LEARNED, "(input_ids == eot_id - 1).cumsum(1)"),
        "a marker has a label. The model is given <bot> and <eot>: it does not decide how many "
        "thoughts there are. Mask both.": [
            (" - is_eot", ""), (LEARNED, "is_eot.cumsum(1) + (input_ids == eot_id - 1)")],
        "the first token after <eot> has no label. The hidden state at <eot> has to predict it, so "
        "it needs one.": (LEARNED, f"{LEARNED} - is_eot.roll(1, 1)"),
        "padding has labels. A label is -100 wherever the attention mask is 0.": (
            " * attention_mask", ""),
        "rows are padded on both sides: a row does not end at column attention_mask.sum().": (
            "attention_mask\n",
            "(torch.arange(len(is_eot[0])) < attention_mask.sum(1)[:, None])\n"),
        "the end of sequence has no label. Here padding is filled with the same token: take "
        "padding from the attention mask, not from the ids.": (
            "attention_mask\n", "(input_ids != input_ids[0, -1])\n"),
        "the value that the loss leaves out is -100; 0 is a token like any other.": [
            ("-100", "0"), ("-100", "-1")],
        "the mask is upside down: what comes after <eot> is learned, not what comes before it.": [
            (MASKED, "torch.where(learned.bool(), -100, input_ids)"),
            (LEARNED, "1 - is_eot.cumsum(1)")],
        "<eot> is in a different column in each row. You take that of the first row for all.": (
            "input_ids == eot_id", "input_ids[:1] == eot_id"),
        "only the last token of a row has a label, or none. All that comes after <eot> has one.": [
            (AFTER, "attention_mask * (attention_mask.roll(-1, 1) == 0)"), (AFTER, "is_eot * 0")],
        "the labels are right, but you write them into input_ids, so the model would read -100. "
        "Work on a copy: input_ids.clone().": (MASKED, f"input_ids.copy_({MASKED})"),
    },
)  # fmt: skip
def make_labels(input_ids: Tensor, attention_mask: Tensor, eot_id: int) -> Tensor:
    """Exercise 2 of 03: the labels (B, T) of a padded batch, -100 where nothing is learned."""
    is_eot = (input_ids == eot_id).long()
    learned = (is_eot.cumsum(1) - is_eot) * attention_mask
    return torch.where(learned.bool(), input_ids, -100)


LOSS, LENGTH = "F.cross_entropy(logits[column - 1], labels[0, column])", ".norm(dim=-1)"
PUSHED = "columns.append(torch.cat(gradients)"


@exercise(
    cases=lambda: [(*case, cut) for case in labelled_rows() for cut in (False, True)],
    returns="lengths",
    axes={"lengths": "(n, m): one row for each thought, one column for each label"},
    says="the length of every gradient is right, with all its paths and with the direct one",
    mistakes={
        "with cut=True you give the gradient with all its paths. Feed each thought back as a new "
        "leaf, thought.detach().requires_grad_(), and differentiate by these leaves.": (
            "if cut else", "if False else"),
        "with cut=False you give the direct path only. Feed back the thoughts themselves, without "
        ".detach(), so that the path through later thoughts counts.": ("if cut", "if True"),
        "cut is upside down: True leaves the direct path only.": ("if cut else", "if not cut else"),
        "off by one position: the loss of a label comes from the logits of the column before it, "
        "logits[column - 1].": ("logits[column - 1]", "logits[column]"),
        "the gradients pile up from label to label: .grad is added to, not replaced. Set it to "
        "None before each backward, or use torch.autograd.grad.": (
            ("columns = []", "columns, total = [], 0"),
            (PUSHED, "total = total + torch.cat(gradients)\n        columns.append(total")),
        "every column holds the gradient of the whole loss. Take that of one label at a time.": [
            (LOSS, "F.cross_entropy(logits[:-1], labels[0, 1:])"),
            (LOSS, 'F.cross_entropy(logits[:-1], labels[0, 1:], reduction="sum")')],
        "you divide by the number of labels. Here each label's own loss counts in full.": (
            LOSS, f"{LOSS} / (labels != -100).sum()"),
        "the loss of a label is −log of its probability; you take the probability or the logit.": [
            (LOSS, "logits[column - 1].softmax(-1)[labels[0, column]]"),
            (LOSS, "logits[column - 1, labels[0, column]]")],
        "the length is the square root of the sum of squares, .norm(), not that sum, the sum of "
        "absolute values or the largest entry.": [
            (LENGTH, ".pow(2).sum(-1)"), (LENGTH, ".abs().sum(-1)"), (LENGTH, ".abs().amax(-1)")],
        "each length is that of all thoughts together. Measure every thought's own gradient.": (
            LENGTH, ".norm().expand(len(thoughts))"),
        "the thoughts are in reverse order. Row 0 belongs to the first thought.": (
            "torch.stack(columns, dim=1)", "torch.stack(columns, dim=1).flip(0)"),
        "rows and columns are swapped: lengths is (n, m), one row for each thought, one column for "
        "each label.": ("dim=1", "dim=0"),
        "a thought that is only detached has no gradient: it needs .requires_grad_() too.": (
            ".requires_grad_()", ""),
        "the graph is gone after the first label. Keep it: retain_graph=True.": (
            ", retain_graph=True", ""),
    },
)  # fmt: skip
def reach(
    language_model: Any, input_ids: Tensor, labels: Tensor, thought_id: int, cut: bool
) -> Tensor:
    """Exercise 4 of 03: the length (n, m) of the gradient of each label's own loss at each thought.

    Of n thoughts and m labels; with `cut`, the path from thought to thought does not count.
    """
    feed = (lambda hidden: hidden.detach().requires_grad_()) if cut else (lambda hidden: hidden)
    hidden, thoughts = think_without_cache.right(language_model, input_ids, thought_id, feed)
    logits = language_model.lm_head(hidden)[0]  # (T, V)
    columns = []
    for column in (labels[0] != -100).nonzero().flatten().tolist():
        loss = F.cross_entropy(logits[column - 1], labels[0, column])
        gradients = torch.autograd.grad(loss, thoughts, retain_graph=True)
        columns.append(torch.cat(gradients).norm(dim=-1))
    return torch.stack(columns, dim=1)
