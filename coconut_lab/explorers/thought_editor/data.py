"""What the editor of thoughts shows, as one plain dictionary: a pure function, without a model.

names, facts, options, asked, target, distances, layout, source
           as in `stepper/data.py`
model, index, note
           its name; the problem's number in the list; a further remark
donors     whose thoughts this problem can be given: [name, in words]
rewirings  hop → the facts that are changed, each [number of the fact, new child]
directions names of the reader's own vectors
plain, edited
           the run as it is and the edited one: thoughts (of each: made, what came out of the model,
           and fed, what it was given: the probability of every node; others, [text, probability] of
           the likeliest other words as fed), answers (probabilities of the two options), changed
           (numbers of the thoughts that were fed changed), bits (what that costs: see `run.py`)
settings   the edit: whose, words, doses, direction, rewired, since, as the widget's traits
edit       the same in words; "" if nothing is changed
row        the same edit over many problems, or null: name, right, low, high, distractor, before
           (right without it) and problems (how many), each of these two perhaps null
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from coconut_lab.explorers.search_tree.data import SHARED
from coconut_lab.explorers.stepper.data import Question, stepper_data

DONORS = {
    "own": "its own", "twin": "the twin’s", "another problem": "another problem’s",
    "mean": "the mean thought", "noise": "noise", "zero": "zeros", "words": "its words alone",
}  # fmt: skip
COLUMNS = ("right", "low", "high", "distractor")


def editor_data(
    question: Question, settings: Mapping[str, Any], table: pd.DataFrame | None, **more: Any
) -> dict[str, Any]:
    """Put together all that the editor shows of one problem.

    Args:
        question: the question that the model read.
        settings: as in the schema above.
        table: as `compare_edits` gives it, with rows such as "twin 1" and "zero all".
        more: the entries of the schema that need the model.
    """
    whole = stepper_data(question, {"thoughts": [], "answers": []}, {}, trained=0) | more
    found = {"settings": dict(settings), "edit": in_words(settings), "row": row(settings, table)}
    return {key: whole[key] for key in (*SHARED, *more)} | found


def in_words(settings: Mapping[str, Any]) -> str:
    """Say what is changed."""
    said, each = [], zip(settings["whose"], settings["words"], settings["doses"], strict=True)
    for k, (who, words, dose) in enumerate(each, 1):
        parts = [DONORS[who]] * (who != "own")
        parts += [f"{name} at {share:.2f}" for name, share in words.items()]
        parts += [f"{dose:+g} × {settings['direction']}"] if dose else []
        said += [f"thought {k}: {', '.join(parts)}"] if parts else []
    if hop := settings["rewired"]:
        said.append(f"facts of hop {hop} rewired from pass {settings['since']} on")
    return "; ".join(said)


def row(settings: Mapping[str, Any], table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Find the row of an edit: one donor, of one thought or of all, and nothing else."""
    by_hand = any(settings["words"]) or any(settings["doses"]) or settings["rewired"]
    given = [(who, k) for k, who in enumerate(settings["whose"], 1) if who != "own"]
    names = [f"{who} {k}" for who, k in given]
    if 1 < len(given) == len(settings["whose"]) and len({who for who, _ in given}) == 1:
        names = [f"{given[0][0]} all"]
    if table is None or by_hand or len(names) != 1 or names[0] not in table.index:
        return None
    found = {key: round(float(table.loc[names[0], key]), 6) for key in COLUMNS}
    before = round(float(table.loc["none", "right"]), 6) if "none" in table.index else None
    return {"name": names[0], "before": before, "problems": table.attrs.get("problems")} | found
