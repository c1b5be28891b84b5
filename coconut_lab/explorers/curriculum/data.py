"""What the curriculum view shows, as one plain dictionary: a pure function, without a model.

question, steps, answer
             the problem's tokens, each [id, text]; those of all steps are in one list
units        what stages can count, "step" and "token" → how many stages this problem needs, and the
             largest max_stage there is
methods      name → in_words; stand_in: the letter of what takes the place of steps, "T" (thought),
             "P" (pause token) or ""; markers: whether `<bot>` and `<eot>` are there; unit: what its
             stages count; stages: "max_stage thoughts_per_step pad_to_max" → the numbers of the
             rows of stages 0 to max_stage + 1. Without stand-in only "max_stage 1 1" is there.
rows         stand-ins in training, step tokens that are dropped, stand-ins in the prompt, and
             which sentence says so
sentences    what a stage replaces, in words, with a # for its number
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from coconut_lab.curriculum.in_words import replaced
from coconut_lab.curriculum.stages_and_masks import ICOT_LAMBDA, METHODS, Curriculum, tokenize
from coconut_lab.tasks.problems import Problem

LETTERS = {"thoughts": "T", "pauses": "P", None: ""}
MOST_STAGES, MOST_TOKENS, MOST_THOUGHTS = 6, 64, 3


def curriculum_data(
    problem: Problem, tokenizer: Any, methods: Sequence[str] = tuple(METHODS)
) -> dict[str, Any]:
    """Put together all that the view shows of one problem: every method at every setting.

    Args:
        problem: the problem to encode.
        tokenizer: a Hugging Face tokenizer with the thought tokens and the pause token.
        methods: names of `METHODS`.

    Returns:
        A dictionary of the schema above; JSON can hold it.

    Raises:
        ProblemError, TokenizerError: the tokenizer cannot encode the problem.
    """
    parts = tokenize([problem], tokenizer)[0]
    steps = [token for step in parts.steps for token in step]
    rows: dict[tuple[int, ...], int] = {}
    sentences: dict[str, int] = {}

    def row(curriculum: Curriculum, stage: int) -> int:
        count, said = len(parts.steps), replaced(curriculum, stage, len(parts.steps))
        said = said.replace(f"Stage {stage} ", "Stage # ")  # many differ in nothing else
        if curriculum.rule.removes == "tokens" and 0 < stage <= curriculum.max_stage:
            said += (
                " In training, o further tokens go at random, with P(o) proportional to "
                f"exp(−{ICOT_LAMBDA:g}·o)."
            )
        found = (
            curriculum.thoughts_in_training(count, stage),
            len(steps) - len(curriculum.steps_kept(parts.steps, stage)),
            curriculum.thoughts_in_prompt(count, stage),
            sentences.setdefault(said, len(sentences)),
        )
        return rows.setdefault(found, len(rows))

    # iCoT removes tokens; the table of all its stages grows with the square of their number.
    needed = {"step": len(parts.steps), "token": min(len(steps), MOST_TOKENS)}
    units = {unit: [number, max(MOST_STAGES, number)] for unit, number in needed.items()}
    found: dict[str, Any] = {}
    for name in methods:
        rule, unit = METHODS[name], "token" if METHODS[name].removes == "tokens" else "step"
        each, padded = (range(1, MOST_THOUGHTS + 1), (0, 1)) if rule.stand_in else ([1], [1])
        found[name] = {
            "in_words": rule.in_words,
            "stand_in": LETTERS[rule.stand_in],
            "markers": rule.markers,
            "unit": unit,
            "stages": {
                f"{last} {c} {pad}": [
                    row(Curriculum(name, last, c, bool(pad)), stage) for stage in range(last + 2)
                ]
                for last, c, pad in product(range(units[unit][1] + 1), each, padded)
            },
        }
    return {
        "question": _named(parts.question, tokenizer),
        "steps": _named(steps, tokenizer),
        "answer": _named(parts.answer, tokenizer),
        "units": units,
        "methods": found,
        "rows": [list(one) for one in rows],
        "sentences": list(sentences),
    }


def _named(ids: Iterable[int], tokenizer: Any) -> list[list[Any]]:
    """Write tokens so that they can be told apart: a blank and a line break show as signs."""
    signs = str.maketrans({"\n": "⏎", "\t": "⇥", " ": "␣"})
    return [[token, tokenizer.decode([token]).translate(signs)] for token in ids]
