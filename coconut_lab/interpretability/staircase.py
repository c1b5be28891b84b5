"""Change the facts behind a model's back, and see which answer it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.interpretability.chances import one_token
from coconut_lab.interpretability.thinking import rows_with_thoughts, thoughts_in
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.passes import Passes
from coconut_lab.tasks.counterfactuals import rewire
from coconut_lab.tasks.problems import Problem, graph_of


class Behind(Passes):
    """Passes that find other keys and values in the columns of the question from pass t on."""

    def __init__(self, model: Coconut, other: Any, columns: int, at: int) -> None:
        super().__init__(model)
        self.other, self.columns, self.left = other, columns, at

    def __call__(self, inputs: Tensor, position_ids: Tensor) -> Tensor:
        if self.left == 0:
            for own, other in zip(self.cache.layers, self.other.layers, strict=True):
                own.keys[:, :, : self.columns] = other.keys[:, :, : self.columns]
                own.values[:, :, : self.columns] = other.values[:, :, : self.columns]
        self.left -= 1
        return super().__call__(inputs, position_ids)


@torch.no_grad()
def staircase(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    batch_size: int = 128,
) -> pd.DataFrame:
    """Rewire a hop's facts behind the model's back, from some pass on; which answer does it give?

    The model reads the question as it was. From pass t on it finds the keys and values of the
    rewired question (`rewire`) in the question's columns. Pass 0 reads the question and `<bot>`,
    where thought 1 is made; pass k reads thought k; pass n + 1 reads `<eot> ###`. If hop j is taken
    when thought j is made, and nowhere else, the answer follows the new facts exactly for t < j.

    Args:
        model, curriculum, count: as for `think`; names must be single tokens.
        problems: problems of one number of hops that can be rewired at each of them.

    Returns:
        One row per hop that was rewired; for each t from 0, and "never", the share of answers that
        name the option that was right before.

    Raises:
        ProblemError: a problem that cannot be rewired.
    """
    count = thoughts_in(curriculum) if count is None else count
    mark = model.tokenizer(ANSWER_MARK, add_special_tokens=False).input_ids
    old = torch.tensor([one_token(model, graph_of(p).names[graph_of(p).target]) for p in problems])
    table: dict[int, list[float]] = {}
    for hop in range(1, graph_of(problems[0]).hops + 1):
        changed = [rewire(problem, hop) for problem in problems]
        kept = torch.zeros(count + 3)
        for start in range(0, len(problems), batch_size):
            part = slice(start, start + batch_size)
            batches: list[Any] = []
            for version in (problems[part], changed[part]):
                rows = rows_with_thoughts(model, version, curriculum, count)
                rows = [[*row, model.tokens.eot, *mark] for row in rows]
                padded = pad_prompts(rows, model.tokenizer)
                batches.append({name: value.to(model.device) for name, value in padded.items()})
            eot = batches[0]["input_ids"].shape[1] - 1 - len(mark)
            other = model.latent_states(**batches[1]).cache
            for at in range(count + 3):
                # From pass 0 on, the rewired question is all that the model ever sees.
                passes = Behind(model, other, eot - count - 1, at) if at else None
                batch = batches[0] if at else batches[1]
                states = model.latent_states(**batch, also_cut=[eot], passes=passes)
                said = model.head(states.hidden[:, -1]).argmax(-1).cpu()
                kept[at] += (said == old[part]).sum()
        table[hop] = (kept / len(problems)).tolist()
    columns = [*range(count + 2), "never"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis("hop")
