"""What a model has in mind, and what it would answer, after every number of thoughts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.errors import check_whole, checks_kinds
from coconut_lab.inference.halting import FixedThoughts
from coconut_lab.inference.prompts import split_prompt
from coconut_lab.inference.scoring import is_right, write_answers
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem


@checks_kinds(ValueError)
def heads_of(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem]
) -> list[list[int]]:
    """Make prompts that end at `<bot>`, where thinking begins.

    Raises:
        ModelError: the curriculum's method has no markers, so there is no such place.
    """
    return [
        split_prompt(curriculum.prompt(problem, model.tokenizer, 0), model, index)[0]
        for index, problem in enumerate(problems)
    ]


@torch.no_grad()
def last_states(
    model: Coconut, rows: Sequence[Sequence[int]], count: int, batch_size: int
) -> Iterator[Tensor]:
    """Give the hidden states (b, count, d) in the last columns of rows of token ids, in parts."""
    for start in range(0, len(rows), batch_size):
        batch = pad_prompts(rows[start : start + batch_size], model.tokenizer)
        states = model.latent_states(*(value.to(model.device) for value in batch.values()))
        yield states.hidden[:, -count:]


@checks_kinds(ValueError)
def states_while_thinking(
    model: Coconut, heads: Sequence[Sequence[int]], max_thoughts: int, batch_size: int = 500
) -> Tensor:
    """Let a model think as long as allowed, and keep the state after every number of thoughts.

    Args:
        model: the model, in evaluation mode.
        heads: prompts that end at `<bot>`.
        max_thoughts: K, how many thoughts.
        batch_size: how many prompts go through the model at once.

    Returns:
        (N, K + 1, d): the last hidden state after k thoughts, k = 0 … K. That at k is what would be
        fed back as thought k + 1.
    """
    check_whole("max_thoughts", max_thoughts, 0)
    rows = [[*head, *[model.tokens.thought] * max_thoughts] for head in heads]
    return torch.cat([*last_states(model, rows, max_thoughts + 1, batch_size)])


def answers_after(
    model: Coconut,
    curriculum: Curriculum,
    problems: Sequence[Problem],
    max_thoughts: int,
    **how: Any,
) -> dict[str, NDArray[Any]]:
    """Let a model answer after k = 0 … K thoughts; `how` as for `write_answers`.

    Gives `right`, `tokens` (how many it wrote), `passes` and `cut_off`, each (N, K + 1).
    """
    columns = []
    for thoughts in range(max_thoughts + 1):
        halting = FixedThoughts(thoughts)
        written = write_answers(
            model, model.tokenizer, problems, curriculum, 0, halting=halting, **how
        )
        columns.append(
            [
                (len(one.token_ids), one.passes, is_right(one, problem), not one.finished)
                for one, problem in zip(written, problems, strict=True)
            ]
        )
    tokens, passes, right, cut = np.array(columns).transpose(2, 1, 0)
    truths = {"right": right.astype(bool), "cut_off": cut.astype(bool)}
    return {"tokens": tokens, "passes": passes, **truths}
