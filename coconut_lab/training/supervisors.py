"""What supervises a thought itself, beside the words that follow it.

Coconut supervises words only: what a thought holds is found out by the curriculum. Here each
thought may have a loss, with or without stages (`Recipe.supervisor`):

    step      thought k is read by the head as step k of the chain (SIM-CoT, Wei et al. 2025,
              arXiv 2509.20317, whose decoder is a model of its own: here it is the head)
    frontier  thought k is read as all nodes k hops from the root, evenly (CoT2, Gozeten et al.
              2025, arXiv 2505.23648, which feeds back the mixture of embeddings: here it is h)
    teacher   the same weights also read the steps in words; where the answer begins, the hidden
              state after thoughts is drawn to that after words (CODI, Shen et al. 2025, arXiv
              2502.21074, which has a projection after each thought and more of them: here none)

The first two are oracles: they need a chain or a graph, which real tasks do not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum
from coconut_lab.curriculum.tokenizer import ANSWER_MARK, token_id, words_known
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import CoconutOutput
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of
from coconut_lab.training.recipe import Recipe, RecipeError


def check_supervisor(recipe: Recipe, problems: Sequence[Problem], tokenizer: Any) -> None:
    """Raise a RecipeError for a tokenizer, a ProblemError for a problem, that it cannot read."""
    kind = recipe.supervisor
    if kind == "teacher" and token_id(tokenizer, ANSWER_MARK) is None:
        raise RecipeError(f"supervisor: the teacher needs a tokenizer with the token {ANSWER_MARK}")
    if kind in ("step", "frontier") and words_known(tokenizer) is None:
        raise RecipeError(
            f"supervisor: {kind!r} reads a thought as single tokens, but this tokenizer cuts names "
            "into pieces; take a model with names as tokens, such as tiny-base, or 'teacher'"
        )
    for index, problem in enumerate(problems if kind != "none" else ()):
        lacks = "graph" if kind == "frontier" and problem.graph is None else None
        if kind in ("step", "teacher") and not problem.steps:
            lacks = "steps"
        if kind == "step" and any(len(step.split()) != 1 for step in problem.steps):
            lacks = "steps of one word each (`in_symbols`)"
        if lacks:
            raise ProblemError(f"problem {index} has no {lacks}, which supervisor {kind!r} needs")


def target_tokens(
    kind: str, problem: Problem, curriculum: Curriculum, count: int, tokenizer: Any
) -> list[list[int]]:
    """What each of `count` thoughts should be read as, as token ids; empty where there is nothing.

    With c thoughts per step, c thoughts in a row have the same target.
    """
    if kind == "step":
        words = [[step] for step in problem.steps]
    else:
        graph = graph_of(problem)
        words = [[] for _ in range(count)]
        for name, far in zip(graph.names, graph.distances(graph.root), strict=True):
            if far and far <= count:
                words[far - 1].append(name)
    steps = [number // curriculum.thoughts_per_step for number in range(count)]
    return [tokenizer.convert_tokens_to_ids(words[k]) if k < len(words) else [] for k in steps]


def pad_targets(rows: Sequence[list[list[int]]]) -> Tensor:
    """Arrange the targets of rows as (B, n, m) int64, `IGNORED` where there are fewer."""
    count = max(map(len, rows), default=0)
    most = max((len(ids) for thoughts in rows for ids in thoughts), default=0)
    found = torch.full((len(rows), count, most), IGNORED)
    for row, thoughts in zip(found, rows, strict=True):
        for place, ids in zip(row, thoughts, strict=False):
            place[: len(ids)] = torch.tensor(ids, dtype=torch.long)
    return found


def reading_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """How far thoughts are from being read as their targets: cross-entropy to the even mixture.

    Args:
        logits: (B, n, V), the head's of the bare thoughts.
        targets: (B, n, m) token ids, `IGNORED` where there are fewer than m.

    Returns:
        (B,) a mean over the thoughts of a row that have a target; 0 where none has.
    """
    wanted = targets != IGNORED  # (B, n, m)
    chances = logits.float().log_softmax(-1).gather(-1, targets.clamp(min=0))  # (B, n, m)
    each = -(chances * wanted).sum(-1) / wanted.sum(-1).clamp(min=1)  # (B, n)
    return each.sum(-1) / wanted.any(-1).sum(-1).clamp(min=1)


def teacher_loss(layers: Sequence[Tensor], marks: Tensor) -> Tensor:
    """How far the states after thoughts are from those after words, where the answer begins.

    Args:
        layers: of each layer the hidden states (2B, T, d); a row with thoughts is followed by the
            same problem in words.
        marks: (2B,) the column of the answer's marker.

    Returns:
        (B,) smooth L1, a mean over layers and numbers. The teacher gets no gradient, and its states
        are divided by their spread: a layer with large numbers does not count for more.
    """
    states = torch.stack([one[torch.arange(len(marks)), marks] for one in layers]).float()
    student, teacher = states[:, ::2], states[:, 1::2].detach()  # (layers, B, d)
    spread = teacher.std(-1, keepdim=True)
    return F.smooth_l1_loss(student / spread, teacher / spread, reduction="none").mean((0, 2))


def supervision(
    model: Coconut, output: CoconutOutput, batch: Mapping[str, Tensor], targets: Tensor | None
) -> Tensor:
    """The supervisor's loss of each problem (B,) in a batch of `Batches.curriculum`."""
    if targets is not None:
        return reading_loss(model.head(output.thoughts), targets[:, : output.thoughts.shape[1]])
    if output.hidden_states is None:
        raise ValueError("the teacher needs output_hidden_states=True")
    ids = batch["input_ids"]  # (2B, T)
    columns = torch.arange(ids.shape[1], device=ids.device)
    mark: Any = token_id(model.tokenizer, ANSWER_MARK)
    return teacher_loss(output.hidden_states[1:], ((ids == mark) * columns).argmax(1))
