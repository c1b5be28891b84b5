"""How often a model is right, with an interval that says how sure we can be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coconut_lab.coconut import Coconut
from coconut_lab.curriculum import Curriculum
from coconut_lab.generation import Generation, generate
from coconut_lab.problems import Problem
from coconut_lab.tokenizer import ANSWER_MARK


@dataclass(frozen=True)
class Score:
    """A proportion of right answers.

    Attributes:
        right: how many were right.
        total: how many were asked.
    """

    right: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson score interval of the accuracy (Wilson 1927)."""
        z = 1.959963984540054
        share, n = self.accuracy, self.total
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.1%} ({low:.1%} to {high:.1%}, n={self.total})"


def answer_of(text: str) -> str | None:
    """Take the answer from what a model wrote: the words behind the last `###`, or None."""
    _, mark, answer = text.rpartition(ANSWER_MARK)
    return " ".join(answer.split()) if mark else None


def is_right(generation: Generation, problem: Problem) -> bool:
    """Say whether a model ended by itself with the problem's answer."""
    return generation.finished and answer_of(generation.text) == " ".join(problem.answer.split())


def score(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    stage: int,
    *,
    answer_now: bool = False,
    batch_size: int = 500,
    max_new_tokens: int = 24,
) -> Score:
    """Let a model answer problems at a stage's number of thoughts.

    A model that was given fewer thoughts than it was trained with may write the missing steps in
    words, and get it right that way. `answer_now` puts `###` behind `<eot>`, so that it must answer
    on the strength of its thoughts alone.

    Args:
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        problems: what to ask; at least one.
        curriculum: makes the prompts.
        stage: how many steps are left to thoughts.
        answer_now: allow no words between thoughts and answer.
        batch_size: how many problems go through the model at once.
        max_new_tokens: where to cut an answer; one that is cut counts as wrong.

    Returns:
        How many answers were right.
    """
    if not problems:
        raise ValueError("there are no problems to score")
    right = 0
    forced = ANSWER_MARK if answer_now else ""
    head = tokenizer(forced, add_special_tokens=False).input_ids if answer_now else []
    for start in range(0, len(problems), batch_size):
        part = problems[start : start + batch_size]
        prompts = [[*curriculum.prompt(problem, tokenizer, stage), *head] for problem in part]
        written = generate(model, tokenizer, prompts, max_new_tokens)
        right += sum(
            is_right(dataclasses.replace(one, text=forced + one.text), problem)
            for one, problem in zip(written, part, strict=True)
        )
    return Score(right, len(problems))
