"""Change the facts behind a model's back, and see which answer it gives.

What it looks back at are keys and values in columns: of the facts, and of its thoughts or pauses.
"""

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
from coconut_lab.tasks.counterfactuals import rewire, twin
from coconut_lab.tasks.problems import Problem, graph_of


class Behind(Passes):
    """Passes that find other keys and values in the columns from `first` to `columns`, from pass t.

    Those before `columns` are of the question, if it is where `<bot>` stands.
    """

    def __init__(self, model: Coconut, other: Any, columns: int, at: int, first: int = 0) -> None:
        super().__init__(model)
        self.other, self.columns, self.left = other, slice(first, columns), at

    def __call__(self, inputs: Tensor, position_ids: Tensor) -> Tensor:
        if self.left == 0:
            for own, other in zip(self.cache.layers, self.other.layers, strict=True):
                own.keys[:, :, self.columns] = other.keys[:, :, self.columns]
                own.values[:, :, self.columns] = other.values[:, :, self.columns]
        self.left -= 1
        return super().__call__(inputs, position_ids)


@torch.no_grad()
def _answers(
    model: Coconut,
    pairs: tuple[Sequence[Problem], Sequence[Problem]],
    curriculum: Curriculum,
    count: int,
    passes: Sequence[int],
    *,
    thoughts: bool = False,
    batch_size: int = 128,
) -> Tensor:
    """Token ids (T, B) of answers to problems that find columns of others from pass t on, of T.

    The columns of the question, or those of the thoughts.
    """
    mark = model.tokenizer(ANSWER_MARK, add_special_tokens=False).input_ids
    found = []
    for start in range(0, len(pairs[0]), batch_size):
        batches: list[Any] = []
        for version in pairs:
            part = version[start : start + batch_size]
            rows = rows_with_thoughts(model, part, curriculum, count)
            rows = [[*row, model.tokens.eot, *mark] for row in rows]
            padded = pad_prompts(rows, model.tokenizer)
            batches.append({name: value.to(model.device) for name, value in padded.items()})
        eot = batches[0]["input_ids"].shape[1] - 1 - len(mark)
        first, end = (eot - count, eot) if thoughts else (0, eot - count - 1)
        other = model.latent_states(**batches[1]).cache
        said = []
        for at in passes:
            # From pass 0 on, the other question is all that the model ever sees.
            run = Behind(model, other, end, at, first) if at else None
            cuts = range(eot - count, eot + 1)  # a pause has a pass of its own, as a thought has
            states = model.latent_states(**batches[not at], also_cut=cuts, passes=run)
            said.append(model.head(states.hidden[:, -1]).argmax(-1).cpu())
        found.append(torch.stack(said))
    return torch.cat(found, 1)


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
    old = torch.tensor([one_token(model, graph_of(p).names[graph_of(p).target]) for p in problems])
    table: dict[int, list[float]] = {}
    for hop in range(1, graph_of(problems[0]).hops + 1):
        pairs = (problems, [rewire(problem, hop) for problem in problems])
        passes = range(count + 3)
        said = _answers(model, pairs, curriculum, count, passes, batch_size=batch_size)
        table[hop] = (said == old).float().mean(1).tolist()
    columns = [*range(count + 2), "never"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis("hop")


def twin_columns(
    model: Coconut, problems: Sequence[Problem], curriculum: Curriculum, count: int | None = None
) -> list[str]:
    """Which option an answer names that finds, at its thoughts or pauses, the columns of the twin.

    What `<eot> ###` sees there are the keys and values that the twin left. At a pause there is no
    thought to exchange, as its input is always the same; what it has gathered is not.

    Args:
        model, problems, curriculum, count: as for `think`; names must be single tokens.

    Returns:
        `"right"`, `"distractor"` or `"other"` per problem.
    """
    count = thoughts_in(curriculum) if count is None else count
    pairs = (problems, [twin(problem) for problem in problems])
    (said,) = _answers(model, pairs, curriculum, count, [count + 1], thoughts=True).tolist()
    found = []
    for graph, token in zip(map(graph_of, problems), said, strict=True):
        kinds = {graph.target: "right", graph.distractor: "distractor"}
        tokens = {one_token(model, graph.names[node]): kind for node, kind in kinds.items()}
        found.append(tokens.get(token, "other"))
    return found
