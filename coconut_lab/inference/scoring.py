"""How often a model is right and at what cost, with an interval that says how sure we can be."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from coconut_lab.curriculum.stages_and_masks import Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import checks_kinds
from coconut_lab.inference.answers import answer_of, numeric_answer
from coconut_lab.inference.generation import Generation, generate
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem

#: Two-sided 95% of a normal distribution.
Z = 1.959963984540054
#: However short the right answers are, a model may write this many tokens.
FEWEST_TOKENS = 24


@dataclass(frozen=True)
class Score:
    """A proportion of right answers, and what they cost.

    Attributes:
        right: how many were right.
        total: how many were asked.
        outcomes: right or wrong, one per problem in order; empty where only the counts are known.
        tokens, thoughts, passes: means per problem, or None where nothing was measured: of tokens
            written, without the end of sequence, and of passes counted as if it were alone.
        seconds: wall-clock time per problem, in the batches it was run in.
        cut_off: how many answers did not end within the limit of new tokens, and so are wrong;
            None where that was not measured.
    """

    right: int
    total: int
    outcomes: tuple[bool, ...] = field(default=(), repr=False)
    tokens: float | None = None
    thoughts: float | None = None
    passes: float | None = None
    cut_off: int | None = None
    seconds: float | None = field(default=None, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.right / self.total

    def to_dict(self, *also: str) -> dict[str, Any]:
        """Give it as plain data, rounded; `also` names costs, or `"outcomes"`, as 0 and 1."""
        low, high = self.interval
        rounded = {"accuracy": self.accuracy, "low": low, "high": high}
        found: dict[str, Any] = {"right": self.right, "total": self.total}
        found |= {name: round(value, 4) for name, value in rounded.items()}
        found |= {"cut_off": self.cut_off} if self.cut_off else {}
        for name in also:
            value = getattr(self, name)
            if name == "outcomes":
                found[name] = "".join(str(int(right)) for right in value)
            else:
                found[name] = None if value is None else round(value, 3)
        return found

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson score interval of the accuracy (Wilson 1927)."""
        share, n = self.accuracy, self.total
        middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        cut = f", {self.cut_off} cut off" if self.cut_off else ""
        return f"{self.accuracy:.1%} ({low:.1%} to {high:.1%}, n={self.total}){cut}"


@dataclass(frozen=True)
class Comparison:
    """How many problems each of two models got right: both, only one of them, or neither.

    Only problems on which they differ say which one is better, so those are counted separately.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def total(self) -> int:
        """The number of problems."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def first(self) -> Score:
        """What the first model scored."""
        return Score(self.both + self.only_first, self.total)

    @property
    def second(self) -> Score:
        """What the second model scored."""
        return Score(self.both + self.only_second, self.total)

    @property
    def difference(self) -> float:
        """Accuracy of the first minus accuracy of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the difference: adjusted Wald for pairs (Bonett and Price 2012)."""
        n = self.total + 2
        better, worse = (self.only_first + 1) / n, (self.only_second + 1) / n
        half = Z * math.sqrt((better + worse - (better - worse) ** 2) / n)
        return max(-1.0, better - worse - half), min(1.0, better - worse + half)

    @property
    def p_value(self) -> float:
        """The exact McNemar test, two-sided; 1 where they never differ.

        How probable is so uneven a split of the problems on which they differ, with a fair coin?
        """
        differ, fewer = self.only_first + self.only_second, min(self.only_first, self.only_second)
        tail = sum(math.comb(differ, count) for count in range(fewer + 1))
        return min(1.0, 2 * tail / 2**differ)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.first.accuracy:.1%} against {self.second.accuracy:.1%}: "
            f"{self.difference * 100:+.1f} points ({low * 100:+.1f} to {high * 100:+.1f}), "
            f"{self.only_first} right only for the first and {self.only_second} only for the "
            f"second, p = {self.p_value:.3g}, n={self.total}"
        )


@checks_kinds(ValueError)
def compare_paired(first: Sequence[bool], second: Sequence[bool]) -> Comparison:
    """Compare two models by their outcomes on the same problems, as `Score.outcomes` has them.

    Raises:
        ValueError: no problems, or not equally many.
    """
    if len(first) != len(second):
        raise ValueError(
            f"the first model answered {len(first)} problems but the second {len(second)}; a "
            "paired comparison needs the same problems in the same order"
        )
    if not first:
        raise ValueError("there are no problems to compare on")
    pairs = [(bool(one), bool(other)) for one, other in zip(first, second, strict=True)]
    kinds = ((True, True), (True, False), (False, True), (False, False))
    return Comparison(*map(pairs.count, kinds))


def is_right(generation: Generation, problem: Problem) -> bool:
    """Say whether a model ended by itself with the problem's answer."""
    return generation.finished and answer_of(generation.text) == " ".join(problem.answer.split())


@checks_kinds(ValueError)
def is_right_number(generation: Generation, problem: Problem) -> bool:
    """The same, with answers compared as numbers, for GSM8K."""
    number = numeric_answer(problem.answer)
    return generation.finished and number is not None and numeric_answer(generation.text) == number


@checks_kinds(ValueError)
def answer_limit(
    problems: Sequence[Problem], tokenizer: Any, curriculum: Curriculum, stage: int
) -> int:
    """Give a number of new tokens within which every right answer ends, with room.

    That is half as many again as the longest right continuation of a prompt has at this stage (the
    steps that are left to words, the answer, the end of sequence), and no fewer than 24.
    """
    lengths = (
        len(curriculum.steps_kept(parts.steps, stage)) + len(parts.answer)
        for parts in tokenize(problems, tokenizer)
    )
    return max(FEWEST_TOKENS, max(lengths, default=0) * 3 // 2)


@checks_kinds(ValueError)
def write_answers(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    stage: int,
    *,
    answer_now: bool = False,
    max_new_tokens: int | None = None,
    **how: Any,
) -> list[Generation]:
    """Let a model answer problems at a stage's number of thoughts.

    A model that was given fewer thoughts than it was trained with may write the missing steps in
    words, and get it right that way. `answer_now` puts `###` after `<eot>`, so that it must answer
    on the strength of its thoughts alone.

    Args:
        model, tokenizer: as for `generate`.
        problems: what to ask.
        curriculum: makes the prompts.
        stage: how many steps are left to thoughts.
        answer_now: allow no words between thoughts and answer.
        max_new_tokens: where to cut an answer; None is `answer_limit`, or what is left of the
            model's positions.
        how: `halting`, in place of the stage's number of thoughts, or what else `generate` takes.

    Returns:
        What it wrote for each problem. A `###` that was put there starts the text, but is no new
        token.
    """
    forced = ANSWER_MARK if answer_now else ""
    mark = tokenizer(forced, add_special_tokens=False).input_ids if answer_now else []
    prompts = [[*curriculum.prompt(problem, tokenizer, stage), *mark] for problem in problems]
    if max_new_tokens is None:
        max_new_tokens = answer_limit(problems, tokenizer, curriculum, stage)
        if model.positions is not None:
            left = model.positions - max(map(len, prompts), default=0)
            max_new_tokens = min(max_new_tokens, max(FEWEST_TOKENS, left))
    written = generate(model, tokenizer, prompts, max_new_tokens, **how)
    return [dataclasses.replace(one, text=forced + one.text) for one in written]


@checks_kinds(ValueError)
def score(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    stage: int,
    *,
    judge: Callable[[Generation, Problem], bool] = is_right,
    **how: Any,
) -> Score:
    """Let a model answer problems as `write_answers` does, and judge what it wrote.

    Args:
        judge: says whether an answer is right: `is_right`, or `is_right_number` for GSM8K; both
            count one that was cut at `max_new_tokens` as wrong. The rest as for `write_answers`.

    Raises:
        ValueError: there are no problems.
    """
    if not problems:
        raise ValueError("there are no problems to score")
    began = time.perf_counter()
    written = write_answers(model, tokenizer, problems, curriculum, stage, **how)
    seconds = (time.perf_counter() - began) / len(problems)
    outcomes = tuple(map(judge, written, problems))
    return Score(
        sum(outcomes),
        len(problems),
        outcomes,
        tokens=fmean(len(one.token_ids) for one in written),
        thoughts=fmean(one.thoughts_used for one in written),
        passes=fmean(one.passes for one in written),
        seconds=seconds,
        cut_off=sum(not one.finished for one in written),
    )
