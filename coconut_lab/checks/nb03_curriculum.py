"""The exercises of notebook 03 on stages: the tokens of a row, the number of thoughts, the plan."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from coconut_lab.checks.engine import CheckFailed, Function, exercise
from coconut_lab.checks.models import bpe_tokenizer
from coconut_lab.checks.values import kind, plain
from coconut_lab.curriculum.tokenizer import add_thought_tokens, word_tokenizer
from coconut_lab.tasks.problems import Problem

SYMBOLS = (
    Problem("| a b | b c [Q] f d [R] a", ("b", "c", "d", "e", "f"), "f"),
    Problem("| a b [Q] b c [R] a", ("b",), "b"),
)
PENS = "Tom has 2 boxes of 3 pens. How many?"
SUM = Problem(PENS, ("<<2*3=6>>", "<<6+1=7>>", "<<7*2=14>>"), "14")


def sum_tokenizer() -> Any:
    """A BPE tokenizer that has tokens which reach over the line breaks of `SUM`."""
    whole = "\n".join((SUM.question, *SUM.steps, f"### {SUM.answer}"))
    tokenizer = bpe_tokenizer(whole, "How many?\n<<", ">>\n<<", ">>\n### ")
    add_thought_tokens(tokenizer)
    return tokenizer


def stages_of_problems() -> Iterator[tuple[Any, ...]]:
    """Every stage up to two past the last, of problems in symbols and of a sum in BPE."""
    symbols = word_tokenizer("a b c d e f".split())
    for problem, tokenizer in (*((one, symbols) for one in SYMBOLS), (SUM, sum_tokenizer())):
        for max_stage, c in ((2, 1), (3, 2)):
            for stage in range(max_stage + 3):
                yield problem, tokenizer, stage, max_stage, c


def row_in_words(function: Function, problem: Problem, tokenizer: Any, *rest: int) -> dict:
    """The row as the texts of its tokens, so that a message can show them."""
    row = plain(function(problem, copy.deepcopy(tokenizer), *rest))
    if not isinstance(row, list) or any(type(token) is not int for token in row):
        what = "list with other things in it" if isinstance(row, list) else kind(row)
        raise CheckFailed(f"encode_stage should return a list of token ids, not {what}.")
    return {"the row": [tokenizer.decode([token]) for token in row]}


def where(problem: Problem, tokenizer: Any, stage: int, max_stage: int, c: int) -> str:
    right = tokenizer.decode(encode_stage.right(problem, tokenizer, stage, max_stage, c))
    return (
        f" at stage {stage} (max_stage={max_stage}, c={c}) of a problem with {len(problem.steps)} "
        f"steps. The whole row should be {right!r}"
    )


KEPT = "problem.steps[stage:] if stage <= max_stage else ()"
COUNT, LATENT = "min(stage, max_stage) * c", "bot, *[thought] * count, eot, "
DROPPED = "problem.steps[: min(stage, max_stage)]"


@exercise(
    cases=stages_of_problems,
    observe=row_in_words,
    returns="the row",
    says="{} rows are right, of two tokenizers, from stage 0 to past the last",
    shown=where,
    mistakes={
        "you drop the last steps. Stage k replaces the first k: thoughts come at the beginning of "
        "the reasoning, words at its end.": (
            "steps[stage:]", "steps[: max(0, len(problem.steps) - stage)]"),
        "the thoughts are there, but the steps that they replace are there too. Leave out the "
        "first `stage` steps.": ("steps[stage:]", "steps"),
        "stage k replaces all of the first k steps: you drop one too many, or one alone.": [
            ("steps[stage:]", "steps[stage + 1 if stage else 0 :]"),
            ("steps[stage:]", "steps[min(stage, 1) :]")],
        "c counts thoughts, not steps: stage k inserts k·c thoughts and drops k steps. You drop "
        "k·c steps.": ("steps[stage:]", "steps[stage * c :]"),
        "you keep steps after the last stage. A stage past max_stage drops every step, however "
        "many the problem has.": [
            (" if stage <= max_stage else ()", ""),
            (KEPT, "problem.steps[min(stage, max_stage) :]")],
        "max_stage itself is not past the last stage: it still keeps the steps after the first "
        "max_stage ones. Compare with >, not with >=.": ("stage <= max", "stage < max"),
        "you forget c: stage k inserts k·c thoughts, c for each step.": (COUNT, COUNT[:-4]),
        "your thoughts are not capped as they should be: past max_stage there are still thoughts, "
        "max_stage·c of them. max_stage counts steps.": [
            (COUNT, "stage * c"), (COUNT, "min(stage * c, max_stage)"),
            (COUNT, "(stage * c if stage <= max_stage else 0)")],
        "you give a problem with few steps fewer thoughts. In training, stage k inserts k·c "
        "thoughts whatever the number of steps.": (
            COUNT, "min(stage, max_stage, len(problem.steps)) * c"),
        "you put one thought in place of each token of a removed step. It is c for each step, "
        "however long the step.": (
            COUNT, f"c * sum(len(tokens(step + '\\n')) for step in {DROPPED})"),
        "the markers are missing at stage 0. <bot> and <eot> are there side by side, without "
        "thoughts in between.": (LATENT, "*([bot, *[thought] * count, eot] if stage else []), "),
        "a marker is missing. <bot> begins latent mode: its hidden state is the first thought. "
        "<eot> ends it: its hidden state predicts the first token after the thoughts.": [
            (LATENT, "*[thought] * count, "), (LATENT, "bot, *[thought] * count, "),
            (LATENT, "*[thought] * count, eot, ")],
        "<eot> comes too late: latent mode ends right after the thoughts, and the remaining steps "
        "are words again.": ("eot, *steps, ", "*steps, eot, "),
        "<bot> and <eot> are exchanged: <bot> begins latent mode, <eot> ends it.": (
            LATENT, "eot, *[thought] * count, bot, "),
        "the end of sequence is missing. Without it the model never learns to stop.": (
            ", tokenizer.eos_token_id]", "]"),
        "the order is wrong: thoughts take the place of the first steps, so they come right after "
        "the question and before the remaining steps.": [
            (f"{LATENT}*steps, ", f"*steps, {LATENT}"),
            (f"*question, {LATENT}", f"{LATENT}*question, ")],
        "the question is missing. It begins the row; only its labels are masked.": (
            "*question, ", ""),
        "the answer begins with the mark ### and a space, which tells the model, and whoever reads "
        "its answer, that no further step comes.": [
            ('f"### {problem.answer}"', "problem.answer"), ("### {", "###{")],
        "the line breaks are wrong: the question and every step end in one, the answer does not.": [
            ('answer}"', 'answer}\\n"'), (r'\n"', '"'), (r"question}\n", "question}"),
            (r"step}\n", "step}")],
        "the question is tokenized as the tokenizer likes it, with a begin-of-sequence token if it "
        "has one; steps and answer with add_special_tokens=False, or one is in the middle of the "
        "row.": [
            (", add_special_tokens=False", ""),
            (("= tokenizer(f", "= tokens(f"), ('n").input_ids', 'n")'))],
        "steps and answer are tokenized in one go, and this tokenizer has tokens that reach over a "
        "line break. Tokenize each step and the answer separately, so that a step is the same "
        "tokens at every stage.": (
            (r'for step in kept for token in tokens(f"{step}\n")', "for token in ()"),
            ('tokens(f"', r'tokens("".join(f"{step}\n" for step in kept) + f"')),
    },
)  # fmt: skip
def encode_stage(problem: Problem, tokenizer: Any, stage: int, max_stage: int, c: int) -> list[int]:
    """Exercise 1 of 03: the token ids of a problem at a stage."""

    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False).input_ids

    bot, eot, thought = tokenizer.convert_tokens_to_ids(["<bot>", "<eot>", "<thought>"])
    question = tokenizer(f"{problem.question}\n").input_ids
    count = min(stage, max_stage) * c
    kept = problem.steps[stage:] if stage <= max_stage else ()
    steps = [token for step in kept for token in tokens(f"{step}\n")]
    answer = tokens(f"### {problem.answer}")
    return [*question, bot, *[thought] * count, eot, *steps, *answer, tokenizer.eos_token_id]


TRAINED, PROMPTED = "stage if stage <= max_stage else cap", "min(stage, cap)"


@exercise(
    cases=lambda: [
        (steps, stage, max_stage, c, pad)
        for pad in (True, False)
        for max_stage, c in ((3, 1), (3, 2), (2, 3))
        for steps in (1, 2, 3, 5)
        for stage in range(max_stage + 3)
    ],
    returns="in_training, in_prompt",
    says="{} cases are right, with padding and without",
    mistakes={
        "the two numbers are swapped. The first is for training, the second for the prompt.": (
            "return in_training * c, in_prompt * c", "return in_prompt * c, in_training * c"),
        "in both numbers you forget c: one step is replaced by c thoughts.": (" * c", ""),
        "you use the rule of training for the prompt. Without padding, a prompt never holds more "
        "than c thoughts for each step of its problem.": (PROMPTED, TRAINED),
        "you use the rule of the prompt for training. In training, a stage up to max_stage inserts "
        "stage·c thoughts even if the problem has fewer steps, padded or not.": (TRAINED, PROMPTED),
        "in training, a stage past max_stage has max_stage·c thoughts with padding, and without it "
        "no more than c for each of a problem's steps.": [
            (TRAINED, "stage"), (TRAINED, "min(stage, max_stage)")],
        "in training, max_stage itself is not past the last stage. Compare with <=, not with <.": (
            "stage <= max_stage", "stage < max_stage"),
        "without padding, your thoughts grow with the steps. They never exceed max_stage·c.": (
            "min(steps, max_stage)", "steps"),
        "in the prompt, a problem gets min(stage, max_stage)·c thoughts; without padding, and only "
        "then, no more than c for each of its steps.": [
            (PROMPTED, "(stage if pad_to_max else min(stage, steps))"), (PROMPTED, "cap"),
            (PROMPTED, "min(stage, steps, max_stage)"), (PROMPTED, "min(stage, max_stage)")],
        "pad_to_max is upside down: True gives all problems equally many thoughts.": (
            "if pad_to_max", "if not pad_to_max"),
        "you multiply by c too early: max_stage and the number of steps count steps. Take the "
        "minimum first, then multiply.": (
            (TRAINED, "stage * c if stage <= max_stage else min(stage * c, cap)"),
            (PROMPTED, "min(stage * c, cap)"), ("return in_training * c, in_prompt * c",
                                                "return in_training, in_prompt")),
    },
)  # fmt: skip
def count_thoughts(
    steps: int, stage: int, max_stage: int, c: int, pad_to_max: bool
) -> tuple[int, int]:
    """Exercise 3 of 03: how many thoughts a row has in training and in the prompt."""
    cap = max_stage if pad_to_max else min(steps, max_stage)
    in_training = stage if stage <= max_stage else cap
    in_prompt = min(stage, cap)
    return in_training * c, in_prompt * c


NEW = 'new_epoch if reset == "epoch" else new_stage'
MOVED = "    return [(stage, one) for (stage, _), one in zip(entries, new, strict=True)]"


@exercise(
    cases=lambda: [
        (phases, per_epoch, reset)
        for phases in (
            [(0, 2), (1, 1), (2, 3)], [(0, 1), (1, 2), (1, 1), (3, 2), (0, 1)], [(4, 2)]
        )
        for per_epoch in (3, 5)
        for reset in ("stage", "epoch")
    ],
    returns="the plan",
    says="stages and resets are right, by stage and by epoch",
    mistakes={
        "the optimizer is new at the first step and where the stage changes (or, for "
        "reset='epoch', where an epoch begins). Yours is always, never, or not at first.": [
            (NEW, "False"), (NEW, "True"),
            ("return entries", "return [(entries[0][0], False), *entries[1:]]")],
        "every step of a new stage resets. Only the first differs from the step before it.": (
            "    previous = stage", "previous = stage"),
        "you take no notice of `reset`. With 'epoch', as in the published code, every epoch begins "
        "with a new optimizer; with 'stage', as in the paper, only another stage does.": [
            (NEW, "new_epoch"), (NEW, "new_stage")],
        "reset is upside down: 'epoch' resets where an epoch begins, 'stage' where the stage "
        "changes.": ('== "epoch"', '!= "epoch"'),
        "you reset at every phase. Two phases in a row may have the same stage; then nothing "
        "changes, and the optimizer is kept.": ("else new_stage", "else step == 0"),
        "the stage may also go back, and that is a change as well: compare with !=.": (
            "stage != previous", "previous is None or stage > previous"),
        "you reset one step too early or too late: the first step of a new stage is the first with "
        "the new optimizer.": [
            ("return entries", f"new = [True, False, *(one for _, one in entries[1:-1])]\n{MOVED}"),
            ("return entries",
             f"new = [True, *(one for _, one in entries[2:]), reset == 'epoch']\n{MOVED}")],
        "your plan should have one entry for each optimizer step: a phase has epochs · "
        "steps_per_epoch of them.": [
            (("epochs * steps_per_epoch", "epochs"), ("step % steps_per_epoch == 0", "True")),
            ("epochs * steps", "steps")],
        "you number the phases. The stage is the number in the phase: stages may be skipped or "
        "repeated.": ("for stage, epochs in phases", "for stage, (_, epochs) in enumerate(phases)"),
    },
)  # fmt: skip
def plan(phases: list[tuple[int, int]], steps_per_epoch: int, reset: str) -> list[tuple[int, bool]]:
    """Exercise 5 of 03: the stage of every optimizer step, and whether the optimizer is new."""
    entries: list[tuple[int, bool]] = []
    previous = None
    for stage, epochs in phases:
        for step in range(epochs * steps_per_epoch):
            new_epoch, new_stage = step % steps_per_epoch == 0, stage != previous
            entries.append((stage, new_epoch if reset == "epoch" else new_stage))
            previous = stage
    return entries
