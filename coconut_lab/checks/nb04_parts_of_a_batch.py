"""Exercises of notebook 04 on one batch: its parts one after another, or in several processes."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from coconut_lab.checks.engine import Function, exercise


class _Bigrams(nn.Module):
    """A language model of one table; notes how many rows at once go through it and hold memory."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(9, 9, generator=generator, dtype=torch.float64))
        self.rows, self.most_held = list[int](), 0
        self.kept = WeakKeyDictionary[Any, int]()  # what autograd keeps for backward → its part

    def forward(self, input_ids: Tensor, labels: Tensor, attention_mask: Tensor) -> Any:
        if not input_ids.shape == labels.shape == attention_mask.shape:
            raise ValueError("input_ids, labels and attention_mask have different shapes")
        part = len(self.rows)
        self.rows.append(len(input_ids))

        def keep(tensor: Tensor) -> Function:
            kept = partial(tensor.detach().clone)
            self.kept[kept] = part
            return kept

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept()):
            logits = self.table[input_ids[:, :-1]]
            loss = nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:])
        self.most_held = max(self.most_held, sum(self.rows[p] for p in {*self.kept.values()}))
        return SimpleNamespace(loss=loss)


def _batch() -> dict[str, Tensor]:
    """Seven rows with between 2 and 8 labelled tokens, some of them in column 0, and padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(9, (7, 12), generator=generator)
    column, first = torch.arange(12), torch.tensor([4, 10, 8, 4, 9, 6, 9])[:, None]
    padding = column >= 13 - torch.arange(7)[:, None] % 3
    labels = ids.masked_fill((column < first) | padding, -100)
    labels[:4, 0] = ids[:4, 0]
    return {"input_ids": ids, "labels": labels, "attention_mask": (~padding).long()}


def _gradients(function: Function, size: int) -> dict[str, Any]:
    """Loss and gradient of two calls, the second of which finds the gradient of the first."""
    model, seen = _Bigrams(), dict[str, Any]()
    for when in ("", " of a second call"):
        loss = function(model, _batch(), size)
        gradient = model.table.grad
        seen[f"the gradient{when}"] = 0 * model.table if gradient is None else gradient.clone()
        seen[f"the loss{when}"] = loss
    return {**seen, "_size": size, "_rows": max(model.rows, default=0), "_held": model.most_held}


def _too_many_rows(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    if got["_rows"] > got["_size"]:
        return (
            f"you put {got['_rows']} rows through the model at once; no part may have more than "
            f"size={got['_size']}. Cut every tensor of the batch."
        )
    if got["_held"] > 2 * got["_size"]:  # twice: a part may be let go of only after the next
        return (
            "gradient and loss are right, but nothing is saved: you put all parts through the "
            f"model before you call backward, so memory is held for {got['_held']} rows at once. "
            "Call .backward() inside the loop, once for each part: it frees the part's memory."
        )
    return None


SHARE = "labelled[part].sum() / labelled.sum()"
PARTS = "-(-len(labelled) // size)"
REPORTED = "total += loss.item()"


@exercise(
    cases=lambda: [(3,), (2,), (7,)],
    observe=_gradients,
    limits=_too_many_rows,
    returns="loss",
    says="gradient and loss are those of the whole batch, for parts of 3, 2 and 7 rows",
    mistakes={
        "no parameter has a gradient afterwards. Each part should call .backward(), and nothing "
        "may be zeroed after that.": ("loss.backward()", "pass"),
        "called twice, the second gradient has the first one in it: you do not zero the gradients "
        "before you begin.": ("model.zero_grad()", "pass"),
        "your gradient is the mean of the parts' means. The parts have different numbers of "
        "labelled tokens, so a token weighs more in a part that has few. Weigh each part by its "
        "labelled tokens.": (SHARE, "1 / " + PARTS),
        "your gradient is the sum of the parts' means: it grows with the number of parts. Multiply "
        "each part's loss by its share of the labelled tokens.": (SHARE, "1.0"),
        "you weigh the parts by their rows, or by all their tokens. The loss is a mean over "
        "labelled tokens: count the labels that are not -100.": [
            (SHARE, "len(labelled[part]) / len(labelled)"), (SHARE, "size / len(labelled)"),
            ('(batch["labels"][:, 1:] != -100)', 'batch["attention_mask"]')],
        "you count labels of column 0 as well. Nothing comes before them, so they are never "
        "predicted: count in labels[:, 1:].": ("[:, 1:]", ""),
        "you divide twice: the shares of the labelled tokens add up to 1 already, do not divide by "
        "the number of parts as well.": (SHARE, f"{SHARE} / {PARTS}"),
        "your gradient is that of the sum over tokens. Divide by the labelled tokens of the whole "
        "batch.": (SHARE, "labelled[part].sum()"),
        "only the last part is left in the gradient: you zero the gradients inside the loop, or "
        "call backward after it. Zero them once, before it, and call backward for each part.": (
            "loss.backward()", "model.zero_grad(); loss.backward()"),
        "the last, smaller part is missing. Let slices run past the end: Python cuts them.": (
            "range(0, len(labelled), size)", "range(0, len(labelled) - size + 1, size)"),
        "the gradient is right, but the loss you return is that of the last part. Add up those of "
        "all parts.": [
            (REPORTED, "total = (loss / share).item()"), (REPORTED, "total = loss.item()")],
        "the gradient is right, but the loss you return is the mean or the sum of the parts' "
        "means. Weigh it as you weigh the gradient.": [
            (REPORTED, f"total += (loss / share).item() / {PARTS}"),
            (REPORTED, "total += (loss / share).item()")],
    },
)  # fmt: skip
def accumulate(model: nn.Module, batch: dict[str, Tensor], size: int) -> float:
    """Exercise 4: the gradient of a whole batch, from parts of it."""
    model.zero_grad()
    labelled = (batch["labels"][:, 1:] != -100).sum(1)  # (B,)
    total = 0.0
    for start in range(0, len(labelled), size):
        part = slice(start, start + size)
        share = labelled[part].sum() / labelled.sum()
        loss = share * model(**{name: value[part] for name, value in batch.items()}).loss
        loss.backward()
        total += loss.item()
    return total


@exercise(
    cases=lambda: [(0.8, 30, 100, 2), (1.2, 70, 100, 2), (0.5, 12, 12, 1), (2.0, 9, 64, 4)],
    returns="the result",
    says="the mean over the processes is the loss of the whole batch",
    mistakes={
        "your value is the mean loss of the process alone. The mean over the processes is then a "
        "mean of means: a token weighs more where there are fewer of them.": (
            " * labelled_here / labelled * processes", ""),
        "you forget that the gradients are averaged afterwards: the gradient comes out too small "
        "by the number of processes. Multiply by it.": (" * processes", ""),
        "you divide by the number of processes, and the averaging does that once more. Multiply by "
        "it instead.": ("* processes", "/ processes"),
        "the mean of this process counts with its share of the tokens, labelled_here / labelled: "
        "neither more nor less.": [
            (" / labelled * processes", ""), (" / labelled *", " *"),
            (" * labelled_here / labelled", "")],
        "your share is upside down: it is labelled_here / labelled.": (
            "labelled_here / labelled", "labelled / labelled_here"),
        "you round down: `//` is for whole numbers.": ("/ labelled", "// labelled"),
    },
)  # fmt: skip
def loss_share(mean: float, labelled_here: int, labelled: int, processes: int) -> float:
    """Exercise 5: what one of several processes differentiates."""
    return mean * labelled_here / labelled * processes
