"""The exercises of 02 on a batch of rows, and on the slope of the loss at a thought."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.checks.engine import CheckFailed, Function, exercise, kind
from coconut_lab.checks.models import EOS, PAD, THOUGHT, labelled_rows, random_row
from coconut_lab.checks.nb02_latent_forward import think_without_cache


def unaligned() -> Iterator[tuple[list[list[int]], int, int]]:
    """Rows with different numbers of thoughts; padding may look like a real token."""
    shapes = ((3, 6, 2), (1, 3, 4), (2, 4, 1))  # thoughts, words of the question, tokens after it
    given = [[*random_row(*shape, seed), EOS] for seed, shape in enumerate(shapes)]
    none = [*random_row(0, 2, 1, seed=9), EOS]
    for batch, fill in ((given, PAD), (given, EOS), ([*given, none], PAD), ([none], PAD)):
        yield [list(row) for row in batch], THOUGHT, fill


def batch_of(function: Function, given: list[list[int]], *rest: int) -> dict[str, Any]:
    before = [list(row) for row in given]
    batch = function(given, *rest)
    if not isinstance(batch, dict):
        raise CheckFailed(f"align should return a dict, not {kind(batch)}.")
    found = {}
    for name in ("input_ids", "attention_mask", "position_ids"):
        if name not in batch:
            break
        if not isinstance(batch[name], Tensor) or batch[name].is_floating_point():
            text = f"{name} should be a tensor of int64, not {kind(batch[name])}."
            raise CheckFailed(f"align: {text}")
        found[name] = batch[name].long().tolist()  # a list is compared place by place
    return {**found, "whether the rows that were given stay as they were": given == before}


LEFTS = "[0 if first is None else latest - first for first in firsts]"
RETURNED = '"attention_mask": mask'
COUNTED = "(mask.cumsum(1) - 1) * mask"
APART = "the first thoughts do not share a column. "


@exercise(
    cases=unaligned,
    observe=batch_of,
    returns="a dict",
    says="thoughts share columns, padding is masked, positions count real tokens",
    mistakes={
        f"{APART}Put padding on both sides, so that <bot>s meet.": [
            (LEFTS, "[0] * len(rows)"),
            (LEFTS, "[max(map(len, rows)) - len(row) for row in rows]")],
        f"{APART}The last ones do. Shift each row by the column of its own first thought.": (
            "row.index(thought_id)", "len(row) - 1 - row[::-1].index(thought_id)"),
        "a row without thoughts has padding on the left; it needs none there.": (
            "0 if first is None", "latest if first is None"),
        "the batch has more columns than it needs. It ends with the row that ends last.": (
            "max(left + len(row) for left, row in zip(lefts, rows, strict=True))",
            "max(lefts) + max(map(len, rows))"),
        "a row is torn apart: its tokens should be in one piece. Padding goes before and after "
        "them, never between.": ("    firsts = [", """
    at = [r.index(thought_id) if thought_id in r else 0 for r in rows]
    pads = [[pad_id] * (max(at) - first) if first else [] for first in at]
    rows = [r[:first] + pad + r[first:] for r, first, pad in zip(rows, at, pads, strict=True)]
    firsts = ["""),
        "padding is filled with 0. Fill it with pad_id.": ("width), pad_id", "width), 0"),
        "the attention mask is 1 everywhere, so padding is attended to. It is 0 at padding.": (
            RETURNED, '"attention_mask": torch.ones_like(mask)'),
        "the attention mask is upside down: 1 is for real tokens, 0 for padding.": (
            RETURNED, '"attention_mask": 1 - mask'),
        "the attention mask comes from input_ids != pad_id. Here padding and the end of sequence "
        "are the same token, as they are for GPT-2, so a real token is masked. Make the mask from "
        "the lengths.": (RETURNED, '"attention_mask": ids != pad_id'),
        "the positions count columns, padding included. Count real tokens only.": [
            (COUNTED, "torch.arange(width).expand_as(ids)"),
            (COUNTED, "torch.arange(width) * mask")],
        "the positions start at 1. The first real token of a row has position 0.": (
            COUNTED, "mask.cumsum(1) * mask"),
        "a position is negative, at padding. Give padding position 0; an absolute position table "
        "has no entry below it.": (COUNTED, "mask.cumsum(1) - 1"),
        "the positions go on at padding. Give all padding position 0.": [
            (COUNTED, "(mask.cumsum(1) - 1).clamp(min=0)"),
            (COUNTED, "(torch.arange(width) - torch.tensor(lefts)[:, None]).clamp(min=0)")],
        "padding has position 1. Give it position 0.": (
            COUNTED, "(mask.cumsum(1) - 1).masked_fill(mask == 0, 1)"),
        "you change the rows that you were given: they are longer afterwards. Build new lists, "
        "such as [pad_id] * left + row.": (
            "return {", "for row in rows: row += [pad_id] * (width - len(row))\n    return {"),
    },
)  # fmt: skip
def align(rows: list[list[int]], thought_id: int, pad_id: int) -> dict[str, Tensor]:
    """Exercise 4 of 02: rows with different numbers of thoughts in one batch."""
    firsts = [row.index(thought_id) if thought_id in row else None for row in rows]
    latest = max((first for first in firsts if first is not None), default=0)
    lefts = [0 if first is None else latest - first for first in firsts]
    width = max(left + len(row) for left, row in zip(lefts, rows, strict=True))
    ids = torch.full((len(rows), width), pad_id)  # (B, T)
    mask = torch.zeros_like(ids)
    for index, (left, row) in enumerate(zip(lefts, rows, strict=True)):
        ids[index, left : left + len(row)] = torch.tensor(row)
        mask[index, left : left + len(row)] = 1
    positions = (mask.cumsum(1) - 1) * mask
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def nudges() -> Iterator[tuple[Any, ...]]:
    """Every thought of the GPT-2's rows, which are in float64, and a direction."""
    direction = torch.linspace(-1, 1, 16, dtype=torch.float64)[None]
    for model, ids, labels, thought in islice(labelled_rows(), 2):
        for number in range(1, int((ids == thought).sum()) + 1):
            yield model, ids, labels, thought, number, direction


LOSS = "F.cross_entropy(logits[0, :-1], labels[0, 1:])"
SLOPE = "(loss_after(step) - loss_after(-step)) / (2 * step)"
MOVED = "(len(seen) == number)"


@exercise(
    cases=nudges,
    returns="slope",
    says="the slope at every thought is right, through later thoughts too",
    mistakes={
        "the later thoughts are those of the run without the nudge. Make them anew: each is "
        "computed from the thoughts before it.": (
            ("seen = list[Tensor]()",
             "seen, (_, kept) = [], think_without_cache.right(model, ids, thought_id)"),
            ("return thought", "return kept[len(seen) - 1]")),
        "you move another thought. `number` counts from 1.": [
            (MOVED, "(len(seen) == number + 1)"), (MOVED, "(len(seen) == number - 1)")],
        "you move several thoughts. Only thought `number` is nudged; the later ones are made anew "
        "from it.": [(MOVED, "1"), (MOVED, "(len(seen) >= number)")],
        "nothing changes with your nudge. Is it added to a placeholder's embedding, which never "
        "goes in? Add it to the hidden state before it is fed back.": (MOVED, "0"),
        "the two losses are 2ε apart: divide by 2ε, and move by ε · direction as it is.": [
            ("(2 * step)", "step"), (" / (2 * step)", ""),
            ("direction *", "direction / direction.norm() *")],
        "the sign is wrong: the loss after the step forwards, less that after the step back.": (
            SLOPE, f"-{SLOPE}"),
        "it is nearly right: your step is too long, or only to one side. Take about 1e-5 in both "
        "directions.": [
            ("step = 1e-5", "step = 0.1"),
            (("step = 1e-5", "step = 0.01"), ("-step)) / (2 *", "0)) / (1 *"))],
        "your step is so short that rounding is all you see. Take about 1e-5.": (
            "step = 1e-5", "step = 1e-14"),
        "your loss is off by one position: the logits at column t predict the token of t + 1.": [
            (LOSS, "F.cross_entropy(logits[0], labels[0])"),
            (LOSS, "F.cross_entropy(logits[0, 1:], labels[0, :-1])")],
        "your loss counts every token. The labels mask the question, the markers and the thoughts "
        "with -100: use labels, not input_ids.": ("labels[0, 1:]", "ids[0, 1:]"),
        "your loss is a sum, or a mean over all columns, or takes probabilities for logits. "
        "F.cross_entropy(logits, labels) gives the mean over the labelled tokens.": [
            (LOSS, LOSS.replace("1:])", '1:], reduction="sum")')),
            (LOSS, LOSS.replace("1:])", '1:], reduction="none").mean()')),
            ("logits[0, :-1]", "logits[0, :-1].softmax(-1)")],
    },
)  # fmt: skip
def slope_at_thought(
    model: Any, ids: Tensor, labels: Tensor, thought_id: int, number: int, direction: Tensor
) -> float:
    """Exercise 5 of 02: how the loss changes as one thought is nudged, by forward passes alone."""

    def loss_after(step: float) -> float:
        seen = list[Tensor]()

        def feed(thought: Tensor) -> Tensor:
            seen.append(thought)
            return thought + step * direction * (len(seen) == number)

        hidden, _ = think_without_cache.right(model, ids, thought_id, feed)
        logits = model.lm_head(hidden)  # (1, T, V)
        return F.cross_entropy(logits[0, :-1], labels[0, 1:]).item()

    step = 1e-5
    return (loss_after(step) - loss_after(-step)) / (2 * step)
