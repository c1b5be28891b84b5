"""What the search tree shows, as one plain dictionary: a pure function, without a model.

names, facts, options, asked, target, distances, layout, source
           as in `stepper/data.py`
model      its name
trained    how many thoughts it was trained with
trees      after 0, 1, … n thoughts and `<eot>`: the branches, each a list of nodes, with its
           value and the chance that it answers next (null at the last depth)
thoughts   the probability of every node in the bare thought 1, 2, … n
offset     how many hops from `asked` the first node of a tree after 0 thoughts is
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from coconut_lab.explorers.stepper.data import Question, stepper_data

SHARED = ("names", "facts", "options", "asked", "target", "distances", "layout", "source")


def tree_data(
    question: Question,
    trees: Sequence[pd.DataFrame],
    thoughts: Sequence[Sequence[float]],
    *,
    model: str,
    trained: int,
    offset: int,
    source: str = "",
) -> dict[str, Any]:
    """Put together all that the search tree shows of one question.

    Args:
        question: the question that the model read.
        trees: after 0, 1, … n thoughts, as `search_tree` gives them for one problem.
        thoughts: probabilities of the nodes in the bare thoughts 1 … n.
        model, trained, offset, source: as in the schema above.

    Returns:
        A dictionary of the schema above; JSON can hold it.
    """
    reading: dict[str, Any] = {"thoughts": [], "answers": []}
    whole = stepper_data(question, reading, {}, trained=trained, source=source)
    return {key: whole[key] for key in SHARED} | {
        "model": model,
        "trained": trained,
        "offset": offset,
        "trees": [
            [
                {
                    "path": list(row.path),
                    "value": round(float(row.value), 6),
                    "answers": None if pd.isna(row.answers) else round(float(row.answers), 6),
                }
                for row in tree.itertuples()
            ]
            for tree in trees
        ],
        "thoughts": [[round(float(share), 6) for share in row] for row in thoughts],
    }
