"""Where thoughts lie: their lengths and angles, and how much of one is a sum of its words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.interpretability.chances import name_tokens
from coconut_lab.interpretability.thinking import think
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem, graph_of


def geometry(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the thoughts of many problems.

    Args:
        model, problems, curriculum, count: as for `think`; problems have a graph.
        seed: of the random nodes.

    Returns:
        One row per thought: norm and its standard deviation over problems (word is the mean norm of
        the names' embeddings); cosine with the next thought (nan for the last), and with the same
        thought of another problem; and the share of a thought's variance (around the mean over
        problems; least squares in each problem) that is explained by the embeddings of its frontier
        (frontier), of as many random nodes (random), and of all names of the graph (names). Those
        three count problems with at least as many hops.
    """
    thoughts = think(model, problems, curriculum, count)  # (B, n, d)
    weight = model.language_model.get_input_embeddings().weight.detach().float().cpu()
    graphs = [graph_of(problem) for problem in problems]
    embeddings = []  # of each problem's names, (nodes, d)
    for graph in graphs:
        names = name_tokens(ANSWER_MARK, graph.names, model.tokenizer)
        embeddings.append(torch.stack([weight[ids].mean(0) for ids in names]))
    word = torch.cat(embeddings).norm(dim=1).mean().item()
    middle = torch.cat(embeddings).unique(dim=0).mean(0)  # of all names of the problems
    hops, generator = torch.tensor([g.hops for g in graphs]), np.random.default_rng(seed)
    rows = {}
    for k in range(thoughts.shape[1]):
        hop = k // curriculum.thoughts_per_step + 1
        centred = thoughts[:, k] - thoughts[hops >= hop, k].mean(0)
        explained: dict[str, list[float]] = {"frontier": [], "random": [], "names": []}
        for graph, words, vector in zip(graphs, embeddings, centred, strict=True):
            if graph.hops < hop:
                continue
            frontier, words = sorted(graph.frontier(hop)), words - middle
            some = generator.choice(len(words), len(frontier), replace=False)
            for name, chosen in (("frontier", frontier), ("random", some), ("names", ...)):
                explained[name].append(_explained(vector, words[chosen]))
        here, length = thoughts[:, k], thoughts[:, k].norm(dim=1)
        after = thoughts[:, k + 1] if k + 1 < thoughts.shape[1] else torch.full_like(here, np.nan)
        rows[k + 1] = {
            "norm": length.mean().item(), "norm sd": length.std().item(), "word": word,
            "cosine next": F.cosine_similarity(here, after).mean().item(),
            "cosine other": F.cosine_similarity(here, here.roll(1, 0)).mean().item(),
        } | {name: float(np.mean(shares)) for name, shares in explained.items()}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("thought")


def _explained(vector: Tensor, directions: Tensor) -> float:
    """Share of a vector's squared length (d,) inside the span of directions (m, d)."""
    basis = torch.linalg.qr(directions.T).Q
    return (((vector @ basis) ** 2).sum() / (vector**2).sum()).item()
