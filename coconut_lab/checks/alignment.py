"""The check of 02's exercise 4: rows with different numbers of thoughts in one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.base import CheckFailed, call, passed, tensor
from coconut_lab.checks.models import EOS, PAD, THOUGHT, Batch, random_row


def align(function: Callable[..., Any]) -> None:
    """Check exercise 4: rows with different numbers of thoughts in one batch.

    Args:
        function: `(rows, thought_id, pad_id)`, the rows lists of ids, to a dict of `input_ids`,
            `attention_mask` and `position_ids`, each (B, T) int64.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "align"
    shapes = ((3, 6, 2), (1, 3, 4), (2, 4, 1))  # thoughts, words of the question, tokens after it
    rows = [[*random_row(*shape, seed), EOS] for seed, shape in enumerate(shapes)]
    none = [*random_row(0, 2, 1, seed=9), EOS]
    for given, fill in ((rows, PAD), (rows, EOS), ([*rows, none], PAD), ([none], PAD)):
        result = call(name, function, [list(row) for row in given], THOUGHT, fill)
        if not isinstance(result, dict):
            raise CheckFailed(f"{name} should return a dict, not {type(result).__name__}.")
        batch = {}
        for key in ("input_ids", "attention_mask", "position_ids"):
            if key not in result:
                raise CheckFailed(f"{name}: the dict has no {key!r}, only {', '.join(result)}.")
            batch[key] = tensor(name, key, result[key])
            if batch[key].ndim != 2 or batch[key].shape != batch["input_ids"].shape:
                raise CheckFailed(
                    f"{name}: {key} has shape {tuple(batch[key].shape)}, "
                    f"it should be ({len(given)}, T) like the others."
                )
        if len(batch["input_ids"]) != len(given):
            raise CheckFailed(
                f"{name}: {len(given)} rows came in, {len(batch['input_ids'])} went out."
            )
        starts = _starts(name, batch, given)
        _check_columns(name, batch["input_ids"].shape[1], starts, given)
        real = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
        for index, (start, row) in enumerate(zip(starts, given, strict=True)):
            real[index, start : start + len(row)] = True
        _check_mask(name, batch, real, fill)
        _check_positions(name, batch["position_ids"], real)
    passed(name, "thoughts share columns, padding is masked, positions count real tokens")


def _starts(name: str, batch: Batch, rows: list[list[int]]) -> list[int]:
    """Find where each row's own tokens begin."""
    starts = []
    for index, (ids, row) in enumerate(zip(batch["input_ids"].tolist(), rows, strict=True)):
        places = [c for c in range(len(ids) - len(row) + 1) if ids[c : c + len(row)] == row]
        if not places:
            raise CheckFailed(
                f"{name}: row {index} of input_ids does not hold the tokens of its row in one "
                "piece. Padding goes before and after them, never between."
            )
        starts.append(places[0])
    return starts


def _check_columns(name: str, width: int, starts: list[int], rows: list[list[int]]) -> None:
    placed = list(zip(starts, rows, strict=True))
    columns = {start + row.index(THOUGHT) for start, row in placed if THOUGHT in row}
    ends = {start + len(row) for start, row in placed}
    if len(columns) > 1:
        if not any(starts):
            why = "All padding is on the right; put some on the left, so that <bot>s meet"
        elif len(ends) == 1:
            why = "All padding is on the left, so the rows end together, but thoughts need not"
        else:
            why = "Shift each row by the column of its own first thought"
        raise CheckFailed(
            f"{name}: the first thoughts do not share a column; they stand in columns "
            f"{', '.join(map(str, sorted(columns)))}. {why}."
        )
    aligned = max((row.index(THOUGHT) for row in rows if THOUGHT in row), default=0)
    if columns and columns != {aligned}:
        raise CheckFailed(
            f"{name}: the thoughts start in column {columns.pop()}; with as little padding as "
            f"possible it is {aligned}."
        )
    if any(start for start, row in placed if THOUGHT not in row):
        raise CheckFailed(
            f"{name}: a row without thoughts has padding on the left; it needs none there."
        )
    if width != max(ends):
        raise CheckFailed(f"{name}: the batch has {width} columns; {max(ends)} are enough.")


def _check_mask(name: str, batch: Batch, real: Tensor, fill: int) -> None:
    ids, mask, want = batch["input_ids"], batch["attention_mask"].long(), real.long()
    if torch.equal(mask, want):
        return
    if bool(mask.all()):
        why = "the attention mask is 1 everywhere, so padding is attended to. It is 0 at padding"
    elif torch.equal(mask, 1 - want):
        why = "the attention mask is upside down: 1 is for real tokens, 0 for padding"
    elif torch.equal(mask, (ids != fill).long()):
        why = (
            "the attention mask comes from input_ids != pad_id. Here padding and the end of "
            "sequence are the same token, as they are for GPT-2, so a real token is masked. "
            "Make the mask from the lengths"
        )
    else:
        row = int((mask != want).any(1).nonzero()[0])
        why = f"the attention mask of row {row} is {mask[row].tolist()}, not {want[row].tolist()}"
    raise CheckFailed(f"{name}: {why}.")


def _check_positions(name: str, positions: Tensor, real: Tensor) -> None:
    want = (real.long().cumsum(1) - 1).clamp(min=0)
    if bool((positions < 0).any()):
        raise CheckFailed(
            f"{name}: a position is negative, at padding. Give padding position 0; "
            "an absolute position table has no entry below it."
        )
    if torch.equal(positions[real], want[real]):
        return
    if torch.equal(positions[real], torch.arange(positions.shape[1]).expand_as(positions)[real]):
        why = "the positions count columns, padding included. Count real tokens only"
    elif torch.equal(positions[real], want[real] + 1):
        why = "the positions start at 1. The first real token of a row has position 0"
    else:
        row = int(((positions != want) & real).any(1).nonzero()[0])
        why = (
            f"the positions of row {row} are {positions[row].tolist()}, "
            f"not {want[row].tolist()} (anything from 0 on at padding)"
        )
    raise CheckFailed(f"{name}: {why}.")
