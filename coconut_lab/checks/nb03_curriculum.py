"""The check of 03's exercise 1: the token ids of a problem at a stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from coconut_lab.checks.base import CheckFailed, Function, call, passed
from coconut_lab.checks.blame import Slip, blame
from coconut_lab.curriculum.tokenizer import add_thought_tokens, word_tokenizer
from coconut_lab.tasks.problems import Problem

SYMBOLS = (
    Problem("| a b | b c [Q] f d [R] a", ("b", "c", "d", "e", "f"), "f"),
    Problem("| a b [Q] b c [R] a", ("b",), "b"),
)
SUMS = (
    Problem("Tom has 2 boxes of 3 pens. How many?", ("<<2*3=6>>", "<<6+1=7>>", "<<7*2=14>>"), "14"),
)


@cache
def sum_tokenizer() -> Any:
    """A BPE tokenizer whose tokens reach over line breaks, and that begins texts with `<s>`."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    whole = "\n".join((SUMS[0].question, *SUMS[0].steps, f"### {SUMS[0].answer}"))
    trainer = BpeTrainer(
        vocab_size=400,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    backend.train_from_iterator([whole, "How many?\n<<", ">>\n<<", ">>\n### "] * 4, trainer)
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    add_thought_tokens(tokenizer)
    return tokenizer


@cache
def symbol_tokenizer() -> Any:
    """The word-level tokenizer of the symbolic problems above."""
    return word_tokenizer("a b c d e f".split())


class _Pieces(NamedTuple):
    """What a row is made of, before somebody puts it together."""

    question: list[int]
    bot: list[int]
    thoughts: list[int]
    eot: list[int]
    steps: list[list[int]]
    answer: list[int]
    end: list[int]


def _pieces(
    problem: Problem,
    tokenizer: Any,
    stage: int,
    max_stage: int,
    c: int,
    *,
    line_end: str = "\n",
    special: bool = False,
    answer: str = "### {}",
) -> _Pieces:
    def ids(text: str, special: bool = special) -> list[int]:
        return list(tokenizer(text, add_special_tokens=special).input_ids)

    bot, eot, thought = tokenizer.convert_tokens_to_ids(["<bot>", "<eot>", "<thought>"])
    return _Pieces(
        ids(problem.question + line_end, special=True),
        [bot],
        [thought] * (min(stage, max_stage) * c),
        [eot],
        [ids(step + line_end) for step in problem.steps],
        ids(answer.format(problem.answer)),
        [tokenizer.eos_token_id],
    )


def _kept(pieces: _Pieces, stage: int, max_stage: int) -> list[int]:
    return list(chain(*pieces.steps[stage:])) if stage <= max_stage else []


def _row(problem: Problem, tokenizer: Any, stage: int, max_stage: int, c: int, **how: Any) -> Any:
    p = _pieces(problem, tokenizer, stage, max_stage, c, **how)
    kept = _kept(p, stage, max_stage)
    return [*p.question, *p.bot, *p.thoughts, *p.eot, *kept, *p.answer, *p.end]


def _spoiled(spoil: Callable[..., list[int]]) -> Function:
    """A result made by `spoil(pieces, kept, stage, max_stage, c)`, which puts pieces together."""

    def result(problem: Problem, tokenizer: Any, stage: int, max_stage: int, c: int) -> list[int]:
        p = _pieces(problem, tokenizer, stage, max_stage, c)
        return spoil(p, _kept(p, stage, max_stage), stage, max_stage, c)

    return result


def _with(kept: Callable[..., Any] | None = None, count: Callable[..., int] | None = None) -> Any:
    """A result whose steps or number of thoughts are wrong, in the right order."""

    def spoil(p: _Pieces, right: list[int], stage: int, max_stage: int, c: int) -> list[int]:
        steps = right if kept is None else list(chain(*kept(p.steps, stage, max_stage, c)))
        n = len(p.thoughts) if count is None else count(p.steps, stage, max_stage, c)
        marked = [*p.bot, *_placeholder(p) * n, *p.eot]
        return [*p.question, *marked, *steps, *p.answer, *p.end]

    return _spoiled(spoil)


def _placeholder(p: _Pieces) -> list[int]:
    return [p.eot[0] + 1]  # the thought tokens are added in the order <bot>, <eot>, <thought>


def _joint(problem: Problem, tokenizer: Any, stage: int, max_stage: int, c: int) -> list[int]:
    """The question apart, everything behind `<eot>` in one go."""
    p = _pieces(problem, tokenizer, stage, max_stage, c)
    steps = problem.steps[stage:] if stage <= max_stage else ()
    text = "\n".join((*steps, f"### {problem.answer}"))
    behind = tokenizer(text, add_special_tokens=False).input_ids
    return [*p.question, *p.bot, *p.thoughts, *p.eot, *behind, *p.end]


_ENCODE_SLIPS = (
    Slip(
        "you drop the last steps. Stage k replaces the first k: thoughts stand at the beginning "
        "of the reasoning, words at its end.",
        _with(kept=lambda s, k, most, c: s[: max(0, len(s) - k)] if k <= most else []),
    ),
    Slip(
        "the thoughts are there, but the steps that they replace are there too. "
        "Leave out the first `stage` steps.",
        _with(kept=lambda s, k, most, c: s if k <= most else []),
    ),
    Slip(
        "you drop one step only. Stage k replaces all of the first k steps.",
        _with(kept=lambda s, k, most, c: (s[1:] if k else s) if k <= most else []),
    ),
    Slip(
        "c counts thoughts, not steps: stage k inserts k·c thoughts and drops k steps. "
        "You drop k·c steps.",
        _with(kept=lambda s, k, most, c: s[k * c :] if k <= most else []),
    ),
    Slip(
        "you keep steps after the last stage. A stage past max_stage drops every step, however "
        "many the problem has.",
        _with(kept=lambda s, k, most, c: s[k:]),
    ),
    Slip(
        "you keep steps after the last stage: you treat a stage past max_stage like max_stage. "
        "It drops every step.",
        _with(kept=lambda s, k, most, c: s[min(k, most) :]),
    ),
    Slip(
        "max_stage itself is not past the last stage: it still keeps the steps behind the first "
        "max_stage ones. Compare with >, not with >=.",
        _with(kept=lambda s, k, most, c: s[k:] if k < most else []),
    ),
    Slip(
        "you forget c: stage k inserts k·c thoughts, c for each step.",
        _with(count=lambda s, k, most, c: min(k, most)),
    ),
    Slip(
        "your thoughts are not capped: past max_stage there are max_stage·c of them.",
        _with(count=lambda s, k, most, c: k * c),
    ),
    Slip(
        "you give a problem with few steps fewer thoughts. In training, stage k inserts k·c "
        "thoughts whatever the number of steps.",
        _with(count=lambda s, k, most, c: min(k, most, len(s)) * c),
    ),
    Slip(
        "you cap the thoughts at max_stage. max_stage counts steps; the cap is max_stage·c.",
        _with(count=lambda s, k, most, c: min(k * c, most)),
    ),
    Slip(
        "you put one thought in place of each token of a removed step. It is c for each step, "
        "however long the step.",
        _with(count=lambda s, k, most, c: len(list(chain(*s[: min(k, most)]))) * c),
    ),
    Slip(
        "the markers are missing at stage 0. <bot> and <eot> stand there side by side, "
        "without thoughts in between.",
        _spoiled(
            lambda p, kept, k, most, c: [
                *p.question, *([*p.bot, *p.thoughts, *p.eot] if k else []),
                *kept, *p.answer, *p.end,
            ]
        ),
    ),
    Slip(
        "the markers are missing at every stage. <bot> stands before the thoughts, <eot> behind.",
        _spoiled(lambda p, kept, *_: [*p.question, *p.thoughts, *kept, *p.answer, *p.end]),
    ),
    Slip(
        "<eot> is missing. It ends latent mode, and its hidden state predicts the first token "
        "behind the thoughts.",
        _spoiled(lambda p, kept, *_: [*p.question, *p.bot, *p.thoughts, *kept, *p.answer, *p.end]),
    ),
    Slip(
        "the end of sequence is missing. Without it the model never learns to stop.",
        _spoiled(lambda p, kept, *_: [*p.question, *p.bot, *p.thoughts, *p.eot, *kept, *p.answer]),
    ),
    Slip(
        "the order is wrong: the remaining steps come before <bot>. Thoughts stand in for the "
        "first steps, so they come right behind the question.",
        _spoiled(
            lambda p, kept, *_: [
                *p.question, *kept, *p.bot, *p.thoughts, *p.eot, *p.answer, *p.end,
            ]
        ),
    ),
    Slip(
        "the order is wrong: the latent part comes before the question. A thought can only use "
        "what stands to its left.",
        _spoiled(
            lambda p, kept, *_: [
                *p.bot, *p.thoughts, *p.eot, *p.question, *kept, *p.answer, *p.end,
            ]
        ),
    ),
    Slip(
        "the question is missing. It begins the row; only its labels are masked.",
        _spoiled(lambda p, kept, *_: [*p.bot, *p.thoughts, *p.eot, *kept, *p.answer, *p.end]),
    ),
    Slip(
        "the mark ### is missing before the answer. It tells the model, and whoever reads its "
        "answer, that no further step comes.",
        lambda *case: _row(*case, answer="{}"),
    ),
    Slip(
        "there is a line break behind the answer. Only the question and the steps end in one.",
        lambda *case: _row(*case, answer="### {}\n"),
    ),
    Slip(
        "the line breaks are missing: the question and every step end in one.",
        lambda *case: _row(*case, line_end=""),
    ),
    Slip(
        "a begin-of-sequence token stands in the middle of the row. Tokenize steps and answer with "
        "add_special_tokens=False.",
        lambda *case: _row(*case, special=True),
    ),
    Slip(
        "steps and answer are tokenized in one go, and this tokenizer has tokens that reach over "
        "a line break. Tokenize each step and the answer apart, so that a step is the same tokens "
        "at every stage.",
        _joint,
    ),
)  # fmt: skip


def encode_stage(function: Function) -> None:
    """Check exercise 1: the token ids of a problem at a stage.

    Args:
        function: `(problem, tokenizer, stage, max_stage, c)` to a list of token ids.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "encode_stage"
    cases = [
        (problem, tokenizer, stage, max_stage, c)
        for problems, tokenizer in ((SYMBOLS, symbol_tokenizer()), (SUMS, sum_tokenizer()))
        for problem in problems
        for max_stage, c in ((2, 1), (3, 2))
        for stage in range(max_stage + 3)
    ]
    got = []
    for case in cases:
        row = call(name, function, *case)
        if not isinstance(row, list) or any(type(token) is not int for token in row):
            raise CheckFailed(
                f"{name} should return a list of token ids, not {type(row).__name__}"
                f"{' with other things in it' if isinstance(row, list) else ''}."
            )
        got.append(row)
    blame(name, cases, got, _row, _ENCODE_SLIPS, _describe_row)
    passed(name, f"{len(cases)} rows are right, of two tokenizers, from stage 0 to past the last")


def _describe_row(case: tuple[Any, ...], got: list[int], want: list[int]) -> str:
    problem, tokenizer, stage, max_stage, c = case
    index = next(
        (i for i, pair in enumerate(zip(got, want, strict=False)) if pair[0] != pair[1]),
        min(len(got), len(want)),
    )

    def word(row: list[int]) -> str:
        return repr(tokenizer.decode(row[index : index + 1])) if index < len(row) else "the end"

    return (
        f"at stage {stage} (max_stage={max_stage}, c={c}) of a problem with {len(problem.steps)} "
        f"steps, token {index} is {word(got)}, it should be {word(want)}. The whole row should be "
        f"{tokenizer.decode(want)!r}."
    )
