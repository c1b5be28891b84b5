"""Random walks on graphs: what the tiny base models are trained on."""

from __future__ import annotations

import random
from typing import Any

from coconut_lab.curriculum.stages_and_masks import IGNORED, Example, Tokenized
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.problems import Graph
from coconut_lab.training.recipe import WalksPart


@checks_kinds(ValueError)
def encode_walks(
    graph: Graph | None,
    parts: Tokenized,
    tokenizer: Any,
    settings: WalksPart,
    rng: random.Random,
) -> Example:
    """Encode a graph's facts and random walks on it, `[R] start <bot> next next <eot> next …`.

    This is the pre-training of the tiny models. Where Coconut will put thoughts there are words
    here. Each marker comes and goes, so that the position of either learns to predict the next
    node, as any position of a pre-trained language model does. Only the nodes walked to are
    supervised.

    Args:
        graph: the graph of the problem; a ValueError if it has none.
        parts: the tokenized problem, in symbols.
        tokenizer: its word-level tokenizer.
        settings: how many walks, how long, how often with markers.
        rng: makes the choices.
    """
    if graph is None:
        raise ValueError("random walks need problems that have a graph")
    tokens = thought_tokens(tokenizer)
    names = tokenizer.convert_tokens_to_ids(list(graph.names))
    start = tokenizer.convert_tokens_to_ids("[R]")
    children: dict[int, list[int]] = {}
    for parent, child in graph.edges:
        children.setdefault(parent, []).append(child)
    starts = sorted(children)
    ids = parts.question[: 3 * len(graph.edges)]
    labels = [IGNORED] * len(ids)
    for _ in range(settings.per_problem):
        node = rng.choice(starts)
        path = [node]
        while path[-1] in children and len(path) <= settings.max_hops:
            path.append(rng.choice(children[path[-1]]))
        head = [start, names[node]]
        if rng.random() < settings.bot_probability:
            head.append(tokens.bot)
        walked = [names[node] for node in path[1:]]
        learned = list(walked)
        if len(walked) > 1 and rng.random() < settings.eot_probability:
            place = rng.randrange(1, len(walked))
            walked.insert(place, tokens.eot)
            learned.insert(place, IGNORED)
        ids += head + walked
        labels += [IGNORED] * len(head) + learned
    return Example(ids, labels)
