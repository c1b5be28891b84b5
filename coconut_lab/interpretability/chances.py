"""How probable names are as what comes next: the product over their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, Example
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.inference.states_and_answers import last_states
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import ProblemError


def name_tokens(before: str, names: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of names as they are after `before` in a text."""
    head, *whole = tokenizer(
        [before, *(f"{before} {name}" for name in names)], add_special_tokens=False
    ).input_ids
    return [ids[len(head) :] for ids in whole]


def one_token(model: Coconut, name: str) -> int:
    """The token id of a name; ProblemError if it takes several."""
    (ids,) = name_tokens(ANSWER_MARK, [name], model.tokenizer)
    if len(ids) != 1:
        raise ProblemError(
            f"{name!r} takes {len(ids)} tokens; words can be written where a name is one token, "
            "as in symbols"
        )
    return ids[0]


@torch.no_grad()
def chances(
    model: Coconut, rows: list[tuple[list[int], list[list[int]]]], batch_size: int
) -> list[Any]:
    """Probability that a row goes on with each of its continuations: the product over tokens."""
    if all(len(ids) == 1 for _, names in rows for ids in names):  # one pass reads all of them
        states = torch.cat([*last_states(model, [row for row, _ in rows], 1, batch_size)])[:, 0]
        chances = model.head(states).float().softmax(-1).cpu()  # (B, V)
        return [
            chance[[ids[0] for ids in names]].numpy()
            for chance, (_, names) in zip(chances, rows, strict=True)
        ]
    flat = [Example(row + ids, [IGNORED] * len(row) + ids) for row, names in rows for ids in names]
    found: list[float] = []
    for start in range(0, len(flat), batch_size):
        batch = collate(flat[start : start + batch_size], model.tokenizer)
        found += _row_probabilities(model, batch).tolist()
    left = iter(found)
    return [np.array([next(left) for _ in names]) for _, names in rows]


def _row_probabilities(model: Coconut, batch: dict[str, Tensor]) -> Tensor:
    """Multiply the probabilities of the labelled tokens of each row: (B,)."""
    output = model(**batch)
    assert output.labelled is not None
    row, column = output.labelled.nonzero(as_tuple=True)  # (M,), in row order as the logits
    logs = output.logits.float().log_softmax(-1)  # (M, V)
    chosen = logs.gather(1, batch["labels"][row, column + 1, None])[:, 0]
    return chosen.new_zeros(len(batch["labels"])).index_add(0, row, chosen).exp().cpu()
