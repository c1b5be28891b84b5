"""The latent search tree: what a model would say next, and after that, once its thoughts are cut.

After k thoughts and `<eot>` the model speaks language again, and the probability of each concept as
the next one is the value of that branch (section 4.3 of the paper, v4). `interpolate` lets it write
on instead, and says what came of it (section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
import torch

from coconut_lab.curriculum.stages_and_masks import Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import checks_kinds
from coconut_lab.inference.answers import answer_of, count_path_classes
from coconut_lab.inference.generation import generate
from coconut_lab.interpretability.chances import chances, name_tokens
from coconut_lab.interpretability.thinking import rows_with_thoughts, thoughts_in
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.notation import is_symbolic
from coconut_lab.tasks.problems import Problem, graph_of


@checks_kinds(ValueError)
@torch.no_grad()
def search_tree(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    thoughts: int,
    *,
    depth: int = 3,
    threshold: float = 0.01,
    batch_size: int = 256,
) -> pd.DataFrame:
    """Expand what a model would say after k thoughts and `<eot>`, concept by concept.

    Args:
        model: the model, in evaluation mode.
        problems: problems with a graph, all in one notation.
        curriculum: makes the prompts.
        thoughts: k. Where concepts begin differs between the notations: see `values.py`.
        depth: how many concepts, at most.
        threshold: a branch whose value is lower is neither kept nor expanded.
        batch_size: how many rows go through the model at once.

    Returns:
        One row per branch: problem, path (node indices from the first concept on), depth, name of
        the last node, chance (of that one after the others), value (the product along the path),
        and answers (the chance that `###` comes next instead of another concept; nan at the last
        depth and in English).
    """
    if not problems:
        raise ValueError("there are no problems to grow a tree for")
    symbolic = is_symbolic(problems[0].question)
    heads = rows_with_thoughts(model, problems, curriculum, thoughts)
    heads = [[*head, model.tokens.eot] for head in heads]
    graphs, tokens = list(map(graph_of, problems)), model.tokenizer
    mark = tokens(ANSWER_MARK, add_special_tokens=False).input_ids
    found: list[dict[str, Any]] = [
        {"problem": i, "path": (), "value": 1.0, "depth": 0} for i in range(len(problems))
    ]
    grown = found
    for level in range(1, depth + 1):
        rows = []
        for branch in grown:
            names = graphs[branch["problem"]].names
            said = [names[node] for node in branch["path"]]
            ids = tokens(_so_far(said, symbolic), add_special_tokens=False).input_ids
            words = name_tokens(ANSWER_MARK if symbolic else "Every", names, tokens)
            rows.append(([*heads[branch["problem"]], *ids], [*words, mark]))
        new = []
        for branch, (*nodes, end) in zip(grown, chances(model, rows, batch_size), strict=True):
            branch["answers"] = end if symbolic else float("nan")
            for node, chance in enumerate(nodes):
                if branch["value"] * chance >= threshold:
                    new.append(
                        {
                            "problem": branch["problem"], "path": (*branch["path"], node),
                            "depth": level, "name": graphs[branch["problem"]].names[node],
                            "chance": chance, "value": branch["value"] * chance,
                        }
                    )  # fmt: skip
        found = found + new
        grown = new
        if not grown:
            break
    columns = ["problem", "path", "depth", "name", "chance", "value", "answers"]
    table = pd.DataFrame(found).reindex(columns=columns)
    return table[table.depth > 0].sort_values(["problem", "path"], ignore_index=True)


def best_ends(tree: pd.DataFrame) -> pd.Series:
    """Name where the most valuable path that the answer mark follows ends, by problem.

    A path's value counts with the chance of `###` after it; problems without such a path are left
    out. In symbols only.
    """
    whole = (tree.value * tree.answers).dropna()
    return tree.loc[whole.groupby(tree.problem).idxmax()].set_index("problem").name


def _so_far(names: list[str], symbolic: bool) -> str:
    """What has been said before the next concept."""
    if symbolic:
        return " ".join(names)
    steps = "".join(f"Every {parent} is a {child}.\n" for parent, child in pairwise(names))
    return steps + (f"Every {names[-1]} is a" if names else "Every")


@checks_kinds(ValueError)
def interpolate(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
) -> pd.DataFrame:
    """Force `<eot>` after k = 0 … n thoughts, let the model write on, and class what it wrote.

    Returns:
        One row per k: how many outputs are in each of the six classes (`PATH_CLASSES`; a path that
        begins after thoughts takes the class of its best completion), and how many answers are
        right.
    """
    count = thoughts_in(curriculum) if count is None else count
    parts = tokenize(problems, model.tokenizer)
    longest = max(sum(map(len, part.steps)) + len(part.answer) for part in parts)
    found = {}
    for k in range(count + 1):
        rows = rows_with_thoughts(model, problems, curriculum, k)
        prompts = [[*row, model.tokens.eot] for row in rows]
        written = generate(model, model.tokenizer, prompts, 2 * longest)
        right = [
            one.finished and answer_of(one.text) == " ".join(problem.answer.split())
            for one, problem in zip(written, problems, strict=True)
        ]
        texts = [one.text for one in written]
        classes = count_path_classes(texts, problems, partial=k > 0)
        found[k] = classes | {"answer right": sum(right)}
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("thoughts")
