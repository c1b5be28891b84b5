"""What the comparison of models shows, as one plain dictionary: a pure function, without a model.

names, facts, options, asked, target, distances, layout, source
           as in `stepper/data.py`
models     in the order of the panels: name, in_words, thoughts (the probability of every node
           in the bare thought 1, 2, … n), answers (of both options, after 0 … n thoughts)
coconut    which of them is the one to be guessed
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from coconut_lab.explorers.search_tree.data import SHARED
from coconut_lab.explorers.stepper.data import Question, stepper_data

IN_WORDS = {
    "tiny-coconut": "trained to think: the curriculum",
    "tiny-base": "has never had a thought: what the curriculum starts from",
    "tiny-pause-as-thought": "the same curriculum with pause tokens: nothing is fed back",
    "tiny-mixed": "trained to think, with all stages mixed to the end",
}


def comparison_data(
    question: Question, readings: Mapping[str, Mapping[str, Any]], wanted: str, *, source: str = ""
) -> dict[str, Any]:
    """Put together all that the comparison shows of one question.

    Args:
        question: the question that all models read.
        readings: by model, a `reading` as in `stepper/data.py`, through the head.
        wanted: the model to be guessed.
        source: where the problem comes from; also what the order of the panels is drawn from.

    Returns:
        A dictionary of the schema above; JSON can hold it.
    """
    order = random.Random(source).sample(list(readings), len(readings))
    whole = stepper_data(question, {"thoughts": [], "answers": []}, {}, trained=0, source=source)
    return {key: whole[key] for key in SHARED} | {
        "models": [
            {
                "name": name,
                "in_words": IN_WORDS.get(name, ""),
                "thoughts": [
                    [round(float(share), 6) for share in one["nodes"]]
                    for one in readings[name]["thoughts"]
                ],
                "answers": [
                    [round(float(share), 6) for share in pair] for pair in readings[name]["answers"]
                ],
            }
            for name in order
        ],
        "coconut": order.index(wanted),
    }
