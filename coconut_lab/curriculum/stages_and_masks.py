"""The curriculum: which steps a stage replaces by thoughts, and what the loss sees.

Order of tokens, masking, padding and the number of thoughts are those of the published code
(Hao et al. 2024): question, `<bot>`, thoughts, `<eot>`, remaining steps, `### answer`, end of
sequence; question, steps and answer are tokenized apart.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from coconut_lab.curriculum.methods import METHODS, Method
from coconut_lab.curriculum.tokenizer import (
    ANSWER_MARK,
    TokenizerError,
    pause_token,
    special_ids,
    thought_tokens,
    words_known,
)
from coconut_lab.errors import check_whole, checks_kinds
from coconut_lab.tasks.problems import Problem, ProblemError

IGNORED = -100


#: How fast iCoT's random extra removal falls off: P(o) is proportional to exp(-4 o) (Deng et al.).
ICOT_LAMBDA = 4.0


class Example(NamedTuple):
    """One encoded problem: token ids and labels of equal length, -100 where nothing is learned."""

    input_ids: list[int]
    labels: list[int]


class Tokenized(NamedTuple):
    """The token ids of a problem's parts, before a stage arranges them."""

    question: list[int]
    steps: list[list[int]]
    answer: list[int]


@checks_kinds(ProblemError)
def tokenize(problems: Iterable[Problem], tokenizer: PreTrainedTokenizerBase) -> list[Tokenized]:
    """Tokenize the parts of problems: question and every step end in a line break, `### answer`.

    Args:
        problems: the problems.
        tokenizer: a Hugging Face tokenizer with an end-of-sequence token.

    Returns:
        One `Tokenized` per problem; the answer ends with the end of sequence.

    Raises:
        ProblemError: a word that a word-level tokenizer does not know, or a text that holds a
            special token, such as `<eot>`: it would be a marker, or end the row.
        TokenizerError: no end-of-sequence token.
    """
    if tokenizer.eos_token_id is None:
        raise TokenizerError("the tokenizer has no end-of-sequence token; set tokenizer.eos_token")
    problems = list(problems)
    if not problems:
        return []
    if (known := words_known(tokenizer)) is not None:
        for index, problem in enumerate(problems):
            for part in (problem.question, *problem.steps, problem.answer):
                unknown = [word for word in part.split() if word not in known]
                if unknown:
                    raise ProblemError(
                        f"problem {index}: the tokenizer does not know the word {unknown[0]!r} "
                        f"(in {part[:60]!r}); use names of its vocabulary"
                    )
    # One call each: a fast tokenizer is much faster on a list than on its elements.
    questions = tokenizer([problem.question + "\n" for problem in problems]).input_ids
    answers = _tokenize_parts(
        [f"{ANSWER_MARK} {problem.answer}" for problem in problems], tokenizer
    )
    steps = _tokenize_parts(
        [step + "\n" for problem in problems for step in problem.steps], tokenizer
    )
    special = special_ids(tokenizer)
    own = tokenizer.num_special_tokens_to_add()  # such as the start of the text
    rows = []
    for index, (problem, question) in enumerate(zip(problems, questions, strict=True)):
        row = Tokenized(question, [next(steps) for _ in problem.steps], next(answers))
        found = [i for part in (question, *row.steps, row.answer) for i in part if i in special]
        if len(found) > own:
            raise ProblemError(
                f"problem {index}: its text holds {tokenizer.decode(found[own : own + 1])}, which "
                "would be read as that token and not as text; take it out or write it otherwise"
            )
        row.answer.append(tokenizer.eos_token_id)
        rows.append(row)
    return rows


def _tokenize_parts(texts: list[str], tokenizer: Any) -> Iterator[list[int]]:
    """Give the token ids of each text; equal ones, of which there are many, are read once."""
    unlike = list(dict.fromkeys(texts))
    ids = tokenizer(unlike, add_special_tokens=False).input_ids if unlike else []
    known = dict(zip(unlike, ids, strict=True))
    return (list(known[text]) for text in texts)


@dataclass(frozen=True)
class Curriculum:
    """How a method turns a problem into tokens at each stage.

    Args:
        method: a name in `METHODS`.
        max_stage: the last stage that still replaces one step more than the one before it.
        thoughts_per_step: c, how many thoughts stand in for one step.
        pad_to_max: past the last stage, and in prompts, give every problem the same number of
            thoughts; otherwise no more than c for each of its steps.
        mix_probability: how often training takes a random stage instead of the scheduled one.

    Raises:
        ValueError: a setting is out of range or the method is unknown; the message lists them.
    """

    method: str = "coconut"
    max_stage: int = 6
    thoughts_per_step: int = 1
    pad_to_max: bool = True
    mix_probability: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in list(METHODS):
            known = ", ".join(METHODS)
            raise ValueError(f"unknown method {self.method!r:.80}; choose from {known}")
        check_whole("max_stage", self.max_stage, 0)
        check_whole("thoughts_per_step", self.thoughts_per_step, 1)
        if not isinstance(mix := self.mix_probability, int | float) or not 0 <= mix <= 1:
            raise ValueError(f"mix_probability is {mix!r:.80}; it must be in [0, 1]")

    @property
    def rule(self) -> Method:
        """The row of `METHODS` that applies."""
        return METHODS[self.method]

    def _past_last(self, stage: int) -> bool:
        return stage > self.max_stage or self.rule.last_stage_only or self.rule.removes == "all"

    def thoughts_in_training(self, steps: int, stage: int) -> int:
        """Count the thoughts (or pauses) of a problem with `steps` steps at `stage` of training."""
        if self.rule.stand_in is None:
            return 0
        if self._past_last(stage):
            stage = self.max_stage if self.pad_to_max else min(steps, self.max_stage)
        return stage * self.thoughts_per_step

    def thoughts_in_prompt(self, steps: int, stage: int) -> int:
        """Count the thoughts (or pauses) that a prompt gives a problem with `steps` steps."""
        if self.rule.stand_in is None:
            return 0
        limit = self.max_stage if self.pad_to_max else min(self.max_stage, steps)
        # Pauses of the baseline are there from the first stage on, in training and in prompts.
        stage = limit if self.rule.removes == "all" else min(stage, limit)
        return stage * self.thoughts_per_step

    def steps_kept(self, steps: list[list[int]], stage: int, extra: int = 0) -> list[int]:
        """Give the step tokens that are left at `stage`; iCoT drops some `extra` ones."""
        tokens = [token for step in steps for token in step]
        if self.rule.removes == "nothing":
            return tokens
        if self._past_last(stage):
            return []
        if self.rule.removes == "tokens":
            # Nothing is dropped before the removal has begun.
            return tokens[stage + extra :] if stage else tokens
        return [token for step in steps[stage:] for token in step]

    def draw_stage(self, stage: int, steps: int, rng: random.Random) -> int:
        """Mix stages: with `mix_probability` a random stage from 0 to `steps`, else `stage`."""
        if self.mix_probability and rng.random() < self.mix_probability:
            return rng.randrange(steps + 1)
        return stage

    def draw_extra(self, rng: random.Random) -> int:
        """Draw iCoT's extra removal o, P(o) proportional to exp(-4 o); 0 for other methods."""
        if self.rule.removes != "tokens":
            return 0
        extra, share = 0, math.exp(-ICOT_LAMBDA)
        while rng.random() < share:
            extra += 1
        return extra

    @checks_kinds(ProblemError)
    def encode(self, problem: Problem, tokenizer: Any, stage: int) -> Example:
        """Encode one problem for training at a stage.

        Args:
            problem: the problem.
            tokenizer: a Hugging Face tokenizer with the thought tokens.
            stage: 0 is all language; past `max_stage` no language step is left. With iCoT, how many
                tokens are dropped.

        Returns:
            Token ids and labels. The question, both markers and the thoughts are masked.

        Raises:
            ProblemError: a word that the tokenizer does not know.
            TokenizerError: missing thought or end-of-sequence tokens.
            ValueError: a negative stage.
        """
        return self.arrange(tokenize([problem], tokenizer)[0], tokenizer, stage)

    def arrange(self, parts: Tokenized, tokenizer: Any, stage: int, extra: int = 0) -> Example:
        """Do what `encode` does, for a tokenized problem; `extra` as from `draw_extra`."""
        if stage < 0:
            raise ValueError(f"stage is {stage}; the first stage is 0")
        count = self.thoughts_in_training(len(parts.steps), stage)
        masked = parts.question + self._latent(count, tokenizer)
        learned = self.steps_kept(parts.steps, stage, extra) + parts.answer
        return Example(masked + learned, [IGNORED] * len(masked) + learned)

    @checks_kinds(ProblemError)
    def prompt(self, problem: Problem, tokenizer: Any, stage: int) -> list[int]:
        """Encode one problem for inference: question, `<bot>`, placeholders, `<eot>`.

        Args:
            problem: the problem; of its steps only their number is used.
            tokenizer: a Hugging Face tokenizer with the thought tokens.
            stage: how many steps are left to thoughts; more than `max_stage` changes nothing.

        Returns:
            Token ids, for `generate`.

        Raises:
            ProblemError, TokenizerError, ValueError: as for `encode`.
        """
        if stage < 0:
            raise ValueError(f"stage is {stage}; the first stage is 0")
        parts = tokenize([problem], tokenizer)[0]
        return parts.question + self._latent(
            self.thoughts_in_prompt(len(parts.steps), stage), tokenizer
        )

    def _latent(self, count: int, tokenizer: Any) -> list[int]:
        if not count and not self.rule.markers:
            return []
        tokens = thought_tokens(tokenizer)
        fill = tokens.thought if self.rule.stand_in == "thoughts" else pause_token(tokenizer)
        if not self.rule.markers:
            return [fill] * count
        return [tokens.bot, *[fill] * count, tokens.eot]
