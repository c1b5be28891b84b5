"""What a picture of the curriculum is made from: the encodings of one problem, token by token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, Tokenized, tokenize
from coconut_lab.curriculum.tokenizer import PAUSE, thought_tokens, token_id
from coconut_lab.tasks.problems import Problem

#: What each letter stands for, in the order in which a row shows them.
LETTERS = {
    "Q": "question, masked",
    "B": "<bot>, masked",
    "T": "thought, masked",
    "P": "pause token, masked",
    "E": "<eot>, masked",
    "D": "dropped step, not there",
    "S": "step, the loss sees it",
    "A": "answer, the loss sees it",
}


class Cell(NamedTuple):
    """One token of a row."""

    letter: str  # a key of LETTERS
    text: str  # the token, for the reader
    position: int | None  # its place in the row; None for a dropped token
    label: int  # the id that the loss asks for, -100 where it asks for nothing


class Row(NamedTuple):
    """The encoding of a problem at one stage; dropped tokens are where they would have been."""

    cells: tuple[Cell, ...]

    def of(self, letters: str) -> list[Cell]:
        """The cells that have one of these letters."""
        return [cell for cell in self.cells if cell.letter in letters]

    @property
    def counts(self) -> Counter[str]:
        """How many cells have each letter."""
        return Counter(cell.letter for cell in self.cells)

    @property
    def supervised(self) -> int:
        """At how many positions the loss asks for a token."""
        return len(self.of("SA"))

    @property
    def masked(self) -> int:
        """At how many positions it asks for none."""
        return len(self.of("QBTPE"))


@dataclass(frozen=True)
class CurriculumState:
    """One picture of the curriculum: a problem at a stage of a method."""

    curriculum: Curriculum
    stage: int
    steps: int  # of the problem
    rows: tuple[Row, ...]  # the encoding at every stage, from 0 to one past the last
    prompts: tuple[Row, ...]  # the inference prompt of every stage

    def __post_init__(self) -> None:
        if not 0 <= self.stage < len(self.rows):
            raise ValueError(f"stage is {self.stage}; it goes from 0 to {len(self.rows) - 1}")

    @property
    def row(self) -> Row:
        """The encoding at the stage that is looked at."""
        return self.rows[self.stage]

    @property
    def prompt(self) -> Row:
        """The inference prompt at that stage."""
        return self.prompts[self.stage]


def read_curriculum(
    problem: Problem, tokenizer: Any, curriculum: Curriculum, stage: int = 0
) -> CurriculumState:
    """Encode a problem at every stage and say of every token what it is.

    Tokens and labels are those of `Curriculum.arrange` and `Curriculum.prompt`.
    """
    parts, rows, prompts = tokenize([problem], tokenizer)[0], [], []
    for at in range(curriculum.max_stage + 2):
        rows.append(_row(*curriculum.arrange(parts, tokenizer, at), parts, tokenizer))
        prompt = curriculum.prompt(problem, tokenizer, at)
        prompts.append(_row(prompt, [IGNORED] * len(prompt), parts, tokenizer))
    return CurriculumState(curriculum, stage, len(parts.steps), tuple(rows), tuple(prompts))


def _row(ids: Sequence[int], labels: Sequence[int], parts: Tokenized, tokenizer: Any) -> Row:
    """Name every token of an encoding; where its parts begin is read off its labels."""
    known, pause = thought_tokens(tokenizer), token_id(tokenizer, PAUSE)
    letters = {known.bot: "B", known.eot: "E", known.thought: "T", pause: "P"}
    left = sum(label != IGNORED for label in labels)  # tokens of steps and answer; 0 in a prompt
    masked, answer = len(ids) - left, len(ids) - len(parts.answer)
    cells, thoughts = [], 0
    texts = _texts(ids, tokenizer)
    for index, (token, label, text) in enumerate(zip(ids, labels, texts, strict=True)):
        if index < masked:
            letter = "Q" if index < len(parts.question) else letters[token]
        else:
            letter = "S" if index < answer else "A"
        if letter == "T":
            thoughts += 1
            text = f"thought {thoughts}"
        cells.append(Cell(letter, text, index, label))
    steps = [token for step in parts.steps for token in step]
    gone = steps[: len(steps) + len(parts.answer) - left] if left else []
    cells[masked:masked] = [Cell("D", text, None, IGNORED) for text in _texts(gone, tokenizer)]
    return Row(tuple(cells))


def _texts(ids: Sequence[int], tokenizer: Any) -> list[str]:
    """Write tokens so that they can be told apart: a blank and a line break show as signs."""
    signs = str.maketrans({"\n": "⏎", "\t": "⇥", " ": "␣"})
    return [tokenizer.decode([token]).translate(signs) for token in ids]
