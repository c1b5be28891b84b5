"""What thoughts say about each node of a graph, as one table, and what can be read off it.

The table has a row for every node of every problem after every thought. Everything else is a group
and a mean: mass on the frontier, evenness, parallelism, value against height (section 4 of the
paper, v3 and v4; 5 in v1 and v2). A control is such a table made otherwise, so each figure can be
had of each control by the same line.

Mind the numbers: the bare thought k can hold the nodes k hops from the root. After k thoughts and
`<eot>` the model speaks step k + 1. In symbols a step is the next concept, k + 1 hops from the
root; in English its first concept is where the step starts, k hops from the root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import ANSWER_MARK, thought_tokens
from coconut_lab.errors import checks_kinds
from coconut_lab.inference.scoring import Z
from coconut_lab.interpretability.chances import chances, name_tokens
from coconut_lab.interpretability.thinking import rows_with_thoughts, think, thoughts_in
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.tasks.notation import is_symbolic
from coconut_lab.tasks.problems import Graph, Problem, graph_of

#: Controls that change the table of a model; others are another model: `tiny-base`, `untrained`.
CONTROLS = {
    "another problem": "the thoughts of the next problem in the list, read on this one's names",
    "shuffled names": "the same probabilities, dealt out to the nodes at random",
    "uniform": "every node equally probable",
}
#: A node with less is no branch that a thought holds.
BRANCH = 0.05


@checks_kinds(ValueError)
def node_values(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    through: str | int = "head",
    control: str | None = None,
    edit: Edit | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> pd.DataFrame:
    """Read every thought of every problem: one row per problem, thought and node.

    Args:
        model: the model, in evaluation mode.
        problems: problems with a graph.
        curriculum: makes the prompts.
        count: n, how many thoughts; None for as many as the last stage has.
        through: what a thought is read through: `"head"`, softmax(W h) of the bare thought; a layer
            number, the same of that layer; `"inner product"` with the name's input embedding (then
            value is no probability); `"<eot>"`, the probability of each name as the next concept
            after `<eot>`, the product over its tokens (then thoughts count from 0).
        control: a key of `CONTROLS`, or None.
        edit: changes thoughts before they are fed back, not as they are read; see `Edit`.
        seed: of the control `"shuffled names"`.
        batch_size: how many rows go through the model at once.

    Returns:
        A table with the columns problem, thought, node, name, value (0 to 1), hop (how far from the
        root the nodes are that this reading can hold), distance (hops from the root, nan where no
        path leads), frontier, reachable, on_path (all bool), hops (of the problem), shortest and
        longest (height above a leaf, by either definition).

    Raises:
        ProblemError: a problem without a graph, or with a word that the tokenizer does not know.
        ValueError: a method without thoughts, an unknown reading, control or layer.
    """
    if control is not None and control not in CONTROLS:
        raise ValueError(f"unknown control {control!r}; choose from {', '.join(CONTROLS)}")
    if not problems:
        raise ValueError("there are no problems to read thoughts of")
    if not (through in ("head", "inner product", "<eot>") or isinstance(through, int)):
        raise ValueError(
            f"through={through!r}; give 'head', 'inner product', '<eot>' or the number of a layer"
        )
    count = thoughts_in(curriculum) if count is None else count
    asked, graphs = list(problems), list(map(graph_of, problems))
    tokenize(problems, model.tokenizer)  # which names a word that is unknown
    # What comes before a name: in English, a step begins with "Every".
    before = ANSWER_MARK if is_symbolic(problems[0].question) else "Every"
    names = [name_tokens(before, graph.names, model.tokenizer) for graph in graphs]
    if control == "another problem":
        asked = asked[1:] + asked[:1]
    if through == "<eot>":
        if edit is not None:
            raise ValueError("what is said after <eot> is read without edits; see `outcomes`")
        tables = _after_eot(model, asked, names, curriculum, count, batch_size)
        numbers = np.arange(count + 1)
        hops = numbers + is_symbolic(asked[0].question)
    else:
        layer = through if isinstance(through, int) else None
        how: dict[str, Any] = {"layer": layer, "edit": edit, "batch_size": batch_size}
        thoughts = think(model, asked, curriculum, count, **how)
        tables = _through_head(model, thoughts, names, through == "inner product")
        numbers = np.arange(1, count + 1)
        hops = -(-numbers // curriculum.thoughts_per_step)
    generator = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = defaultdict(list)
    for number, (graph, table) in enumerate(zip(graphs, tables, strict=True)):
        if control == "uniform":
            table = np.full_like(table, 1 / len(graph.names))
        elif control == "shuffled names":
            table = generator.permuted(table, axis=1)
        block = {"problem": number, "hops": graph.hops, "value": table, **_of_nodes(graph)}
        block |= {"thought": numbers[:, None], "hop": hops[:, None]}
        for name, value in block.items():
            columns[name].append(np.broadcast_to(value, table.shape).ravel())
    found = pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
    return found.assign(frontier=found.distance == found.hop, reachable=found.distance.notna())


def _of_nodes(graph: Graph) -> dict[str, Any]:
    nodes = range(len(graph.names))
    paths = {node for path in graph.shortest_paths() for node in path}
    return {
        "node": np.array(nodes),
        "name": np.array(graph.names, dtype=object),
        "distance": np.array(graph.distances(graph.root), dtype=float),  # None becomes nan
        "on_path": np.array([node in paths for node in nodes]),
        "leads_on": np.array([graph.distances(n)[graph.target] is not None for n in nodes]),
        "shortest": np.array([graph.height(node) for node in nodes]),
        "longest": np.array([graph.height(node, "longest") for node in nodes]),
    }


@torch.no_grad()
def _through_head(
    model: Coconut, thoughts: Tensor, names: list[list[list[int]]], inner: bool
) -> list[Any]:
    """Probability of each name, (n, nodes) a problem: of its first token, shared by its owners."""
    tables, weight = [], model.language_model.get_input_embeddings().weight
    for vectors, ids in zip(thoughts.to(model.device, weight.dtype), names, strict=True):
        firsts = [one[0] for one in ids]
        if inner:
            table = vectors @ weight[firsts].T
        else:
            shared = torch.tensor([firsts.count(token) for token in firsts]).to(vectors)
            table = model.head(vectors).float().softmax(-1)[:, firsts] / shared
        tables.append(table.float().cpu().numpy())
    return tables


@torch.no_grad()
def _after_eot(
    model: Coconut,
    problems: Sequence[Problem],
    names: list[list[list[int]]],
    curriculum: Curriculum,
    count: int,
    batch_size: int,
) -> list[Any]:
    """Probability of each name as the next concept after k = 0 … n thoughts and `<eot>`."""
    english = not is_symbolic(problems[0].question)
    every = model.tokenizer("Every", add_special_tokens=False).input_ids if english else []
    after = [thought_tokens(model.tokenizer).eot, *every]
    tables = [np.empty((count + 1, len(ids))) for ids in names]
    for k in range(count + 1):
        heads = rows_with_thoughts(model, problems, curriculum, k)
        rows = [([*head, *after], ids) for head, ids in zip(heads, names, strict=True)]
        for table, found in zip(tables, chances(model, rows, batch_size), strict=True):
            table[k] = found
    return tables


@checks_kinds(ValueError)
def masses(values: pd.DataFrame) -> pd.DataFrame:
    """Where the probability of each thought lies: a mean over problems and its 95% half-width.

    Args:
        values: from `node_values`. Only problems with at least as many hops as the reading looks
            ahead count: past its target a problem has nothing left to search.

    Returns:
        One row per thought: frontier, reachable, on_path (mass on those nodes), elsewhere (on what
        the root does not reach, other words included), each with its half-width `… ±`, and n.
    """
    values = values[values.hops >= values.hop]
    kinds = ["frontier", "reachable", "on_path"]
    each = values[kinds].mul(values.value, axis=0).groupby([values.problem, values.thought]).sum()
    each["elsewhere"] = 1 - each.reachable
    groups = each.groupby("thought")
    half = Z * groups.std() / np.sqrt(groups.count())
    return groups.mean().join(half.add_suffix(" ±")).assign(n=groups.size())


@dataclass(frozen=True)
class FrontierMass:
    """How much of a thought's probability lies on the frontier, as a mean over problems.

    Attributes:
        number: which thought, from 1.
        hop: its frontier.
        mass: mean probability on the nodes of that frontier.
        uniform: the same for a uniform distribution over each graph's nodes: the control.
        problems: how many problems have a path of at least that many hops; the others do not count.
    """

    number: int
    hop: int
    mass: float
    uniform: float
    problems: int


def frontier_mass(
    model: Coconut, tokenizer: Any, problems: Sequence[Problem], curriculum: Curriculum
) -> list[FrontierMass]:
    """The frontier mass of each thought beside its control: `masses` in short, for cards.

    Takes and raises what `node_values` does; gives one entry per thought that any problem has.
    """
    values = node_values(model, problems, curriculum)
    kept = values[values.hops >= values.hop]
    kept = kept.assign(mass=kept.value * kept.frontier)
    each = kept.groupby(["thought", "hop", "problem"]).agg({"mass": "sum", "frontier": "mean"})
    groups = each.groupby(["thought", "hop"])
    means, sizes = groups.mean(), groups.size()
    return [
        FrontierMass(number, hop, float(row.mass), float(row.frontier), int(sizes[number, hop]))
        for (number, hop), row in means.iterrows()
    ]


@checks_kinds(ValueError)
def by_group(values: pd.DataFrame) -> pd.DataFrame:
    """Mean value of a node by what it is to the search (Zhu et al. 2025, arXiv 2505.12514).

    Args:
        values: from `node_values` through `"inner product"`, or from `fact_attention`; only
            problems with more hops than the reading's, or as many, count.

    Returns:
        One row per thought and group, with the mean, its 95% half-width over nodes, and n:
        "optimal" (on the frontier and on a shortest path), "frontier" (the rest of it), "reachable"
        (fewer hops away), "not reachable" (within that many hops).
    """
    kept = values[values.hops >= values.hop]
    group = np.select(
        [kept.frontier & kept.on_path, kept.frontier, kept.distance < kept.hop],
        ["optimal", "frontier", "reachable"],
        "not reachable",
    )
    groups = kept.value.groupby([kept.thought, pd.Series(group, kept.index, name="group")])
    half = Z * groups.std() / np.sqrt(groups.size())
    return pd.DataFrame({"mean": groups.mean(), "±": half, "n": groups.size()})


def _shares(values: pd.DataFrame) -> pd.DataFrame:
    """The nodes of each frontier, with its size and each node's share of the frontier's mass."""
    kept = values[values.frontier & (values.hops >= values.hop)]
    groups = kept.groupby(["problem", "thought"]).value
    return kept.assign(size=groups.transform("size"), share=kept.value / groups.transform("sum"))


@checks_kinds(ValueError)
def evenness(values: pd.DataFrame) -> pd.DataFrame:
    """How evenly a thought holds its frontier, problem by problem, given the frontier's size.

    A sum over a frontier says nothing of this: a thought on one node and a thought on all of them
    can have the same mass.

    Returns:
        One row per thought and frontier size: branches (the effective number, exp of the entropy
        of the shares), smallest (the smallest share), held (the share of nodes with a value above
        .05), leads_on (how often the largest share is on a node from which the target can be
        reached, where the frontier has both kinds; nan where none has), and n.
    """
    nodes = _shares(values)
    nodes = nodes.assign(
        entropy=-nodes.share * np.log(nodes.share.clip(1e-30)), held=nodes.value > BRANCH
    )
    groups = nodes.groupby(["thought", "size", "problem"])
    each = groups.agg(
        branches=("entropy", lambda part: np.exp(part.sum())),
        smallest=("share", "min"),
        held=("held", "mean"),
        right=("leads_on", "mean"),
    )
    largest = nodes.loc[groups.share.idxmax()].set_index(["thought", "size", "problem"]).leads_on
    each["leads_on"] = largest.astype(float).where(each.right.between(0, 1, "neither"))
    found = each.drop(columns="right").groupby(["thought", "size"])
    return found.mean().assign(n=found.size())


@checks_kinds(ValueError)
def parallelism(
    values: pd.DataFrame,
    percentiles: Sequence[float] = (5, 10, 25, 50, 75, 90),
    smallest_frontier: int = 1,
) -> pd.DataFrame:
    """Cumulative value of the 1, 2 and 3 likeliest nodes, at percentiles over problems.

    The paper's figure of section 4.3 (v4): a wide gap between the lines means several branches. The
    gap also narrows where frontiers narrow, so look at it given their size.

    Args:
        values: from `node_values`.
        percentiles: of the problems, 0 to 100.
        smallest_frontier: count only problems whose frontier has at least as many nodes.

    Returns:
        One row per thought and top (1, 2, 3), one column per percentile.
    """
    sizes = _shares(values).groupby(["problem", "thought"]).size()
    wide = sizes[sizes >= smallest_frontier].index
    indexed = values.set_index(["problem", "thought"]).value
    ordered = indexed[indexed.index.isin(wide)].sort_values(ascending=False)
    sums = ordered.groupby(["problem", "thought"]).cumsum()
    top = ordered.groupby(["problem", "thought"]).cumcount() + 1
    table = sums[top <= 3].groupby(["thought", top[top <= 3].rename("top")])
    return table.quantile([p / 100 for p in percentiles]).unstack()


@checks_kinds(ValueError)
def by_height(values: pd.DataFrame, which: str = "shortest") -> pd.DataFrame:
    """The value of a frontier's nodes against their height, for right and for wrong ones.

    In the paper, wrong nodes get low values where they are low (section 4.4, v4).

    Args:
        values: from `node_values`.
        which: the definition of a height: "shortest" (the paper's text) or "longest" (its caption).

    Returns:
        One row per thought, leads_on (whether the target can be reached from there) and height:
        relative (the node's share times the size of its frontier: 1 is even), its 95% half-width,
        and n. Only frontiers of two nodes or more.
    """
    nodes = _shares(values)
    nodes = nodes[nodes["size"] > 1].assign(relative=nodes.share * nodes["size"])
    groups = nodes.groupby(["thought", "leads_on", nodes[which].rename("height")]).relative
    half = Z * groups.std() / np.sqrt(groups.size())
    return pd.DataFrame({"relative": groups.mean(), "±": half, "n": groups.size()})
