"""Which facts a thought looks at: its attention to every fact of the question, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.interpretability.thinking import rows_with_thoughts, thoughts_in
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.notation import FACT, read_statement
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of


@torch.no_grad()
def fact_attention(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    layer: int = -1,
    batch_size: int = 64,
) -> pd.DataFrame:
    """How much attention the column of each thought pays to each fact (Zhu et al. 2025).

    Thought k holds nodes k hops from the root, and makes the next one from the facts that lead on
    from there; so a fact belongs to the group of the node that it starts at.

    Args:
        model, problems, curriculum, count: as for `think`; problems in symbols.
        layer: which layer's attention, the mean over its heads; -1 is the last.
        batch_size: how many problems go through the model at once.

    Returns:
        One row per problem, thought and fact: value (attention to its two names and to the mark
        after them, which has read both; 0 to 1), and of the node that it starts at, as in
        `node_values`: name, hop, distance, frontier, on_path, hops. `by_group` averages it.

    Raises:
        ProblemError: a problem that is not in symbols with one token a name.
    """
    count = thoughts_in(curriculum) if count is None else count
    rows = rows_with_thoughts(model, problems, curriculum, count)
    mark = model.tokenizer.convert_tokens_to_ids(FACT)
    found = []
    for start in range(0, len(rows), batch_size):
        part = range(start, min(start + batch_size, len(rows)))
        batch = pad_prompts([rows[i] for i in part], model.tokenizer)
        ids = batch["input_ids"]
        states = model.latent_states(
            *(value.to(model.device) for value in batch.values()), output_attentions=True
        )
        assert states.attentions is not None
        weights = states.attentions[layer].mean(1).float().cpu()  # (b, T, T)
        for number, tokens, weight in zip(part, ids, weights, strict=True):
            graph = graph_of(problems[number])
            facts = read_statement(problems[number].question).facts
            starts = (tokens == mark).nonzero().flatten()
            if len(starts) != len(facts) or len(rows[number]) != 3 * len(facts) + 6 + count:
                raise ProblemError(f"problem {number} is not in symbols with one token a name")
            down = graph.distances(graph.root)
            paths = {node for path in graph.shortest_paths() for node in path}
            for k in range(1, count + 1):
                row = weight[len(tokens) - count - 1 + k]  # of the column that holds thought k
                for (parent, _), column in zip(facts, starts.tolist(), strict=True):
                    node = graph.names.index(parent)
                    found.append(
                        (number, k, parent, row[column + 1 : column + 4].sum().item(), k,
                         down[node], node in paths, graph.hops)
                    )  # fmt: skip
    columns = ["problem", "thought", "name", "value", "hop", "distance", "on_path", "hops"]
    table = pd.DataFrame(found, columns=columns).astype({"distance": float})
    return table.assign(frontier=table.distance == table.hop)
