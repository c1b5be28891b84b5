"""The exercises of notebook 09: tokens and rows for a real model, grading a number, counting."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.engine import CheckFailed, Function, exercise
from coconut_lab.checks.models import bpe_tokenizer, random_models
from coconut_lab.curriculum.tokenizer import token_id

NEW = ["<bot>", "<eot>", "<thought>"]
KNOWN = "<<3*4=12>>"  # its first token is <<


def models_and_tokenizer() -> Iterator[tuple[Any, Any]]:
    """GPT-2, whose head is tied to the input embedding, and a Llama, whose head is not."""
    tokenizer = bpe_tokenizer("<<")
    for model in random_models(len(tokenizer)):
        yield model, copy.deepcopy(tokenizer)


def matrices(model: Any) -> tuple[Tensor, Tensor]:
    return model.get_input_embeddings().weight, model.get_output_embeddings().weight


def grown(function: Function, model: Any, tokenizer: Any) -> dict[str, Any]:
    """What a function made of a model and its tokenizer, row by row in words."""
    before = [matrix.detach().clone() for matrix in matrices(model)]
    old = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    source = tokenizer(KNOWN, add_special_tokens=False).input_ids
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        returned = function(model, tokenizer, list(NEW), KNOWN)
    new = [token_id(tokenizer, token) for token in NEW]
    if None in new:
        missing = ", ".join(token for token, index in zip(NEW, new, strict=True) if index is None)
        raise CheckFailed(
            f"new_tokens: the tokenizer does not know {missing}, as it should, and cuts it into "
            "letters: tokenizer.add_tokens or add_special_tokens adds a token."
        )
    names, need = ("input embedding", "head"), len(tokenizer)
    for what, matrix in zip(names, matrices(model), strict=True):
        if len(matrix) < need:
            raise CheckFailed(
                f"new_tokens: the model has {len(matrix)} rows of the {what}, but the tokenizer "
                f"has {need} tokens: the first new token would be an index error. After the tokens "
                "are added, model.resize_token_embeddings(len(tokenizer))."
            )
    seen = {
        "the list of ids": returned.tolist() if isinstance(returned, Tensor) else returned,
        "the beginning and end of a text": [tokenizer.bos_token, tokenizer.eos_token],
        "the number of rows": len(matrices(model)[0]),
        "the number of matrices": len({*map(id, matrices(model))}),
    }
    for what, now, own, other in zip(names, matrices(model), before, before[::-1], strict=True):
        known = {f"a copy of {token!r}": row for token, row in zip(old, own, strict=True)}
        known[f"the mean of the tokens of {KNOWN!r}"] = own[source].mean(0)
        known["a row of the other matrix"] = other[source[0]]
        changed = (now[: len(old)] != own).any(1).nonzero().flatten().tolist()
        seen[f"the {what} of the old tokens"] = [old[index] for index in changed]
        seen[f"the {what} of the new tokens"] = [
            next((words for words, row in known.items() if torch.allclose(now[i], row)), "no copy")
            for i in new
        ]
    return seen


RESIZE = "model.resize_token_embeddings(len(tokenizer), mean_resizing=False)"
COPY = "layer.weight[ids] = layer.weight[source].clone()"
LAYERS = "(model.get_input_embeddings(), model.get_output_embeddings())"


@exercise(
    cases=models_and_tokenizer,
    observe=grown,
    shown=lambda model, tokenizer: f" with {type(model).__name__}",
    returns="ids",
    says="tokens and rows are right, with a tied head and with a separate one",
    mistakes={
        "the ids of the new tokens should be returned, as a list of int in the order of `tokens`.":
            ("return ids", "return tokens"),
        "you make `<bot>` and `<eot>` the beginning and end of every text. They are tokens in "
        "addition to those: add_tokens, or additional_special_tokens.": (
            "tokenizer.add_tokens(tokens, special_tokens=True)",
            'tokenizer.add_special_tokens({"bos_token": tokens[0], "eos_token": tokens[1]}); '
            "tokenizer.add_tokens(tokens)"),
        "there are more rows than tokens: len(tokenizer) counts the new ones already.": (
            RESIZE, RESIZE.replace("(tokenizer)", "(tokenizer) + len(tokens)")),
        "input embedding and head are no longer one matrix. Change rows in place (weight[new] = …, "
        "under torch.no_grad()), and leave the matrices what they are.": (
            COPY, COPY + "; layer.weight = torch.nn.Parameter(layer.weight.clone())"),
        "an old token has changed. Only the new rows may be written to.": (
            COPY, "layer.weight[source] = layer.weight[ids[0]].clone()"),
        "you forgot the head, or the input embedding. In a model like Llama they are two matrices: "
        "model.get_output_embeddings().weight says how likely each token is next, "
        "model.get_input_embeddings().weight what goes in.": [
            (LAYERS, "[model.get_input_embeddings()]"),
            (LAYERS, "[model.get_output_embeddings()]")],
        "the new rows are no copies: they hold what the resizing put there (the mean of all rows, "
        "or random numbers), or what you computed. Overwrite them with the row of the first token "
        "of known, '<<'. (Is a row copied onto itself? A version of the published code did so.)": (
            COPY, "pass"),
        "only one of the three new tokens has a copy.": (
            "layer.weight[ids]", "layer.weight[ids[0]]"),
        "the new rows are copies of '<s>', not of the first token of known: this tokenizer puts "
        "<s> in front unless add_special_tokens=False.": (", add_special_tokens=False", ""),
        "each new row is a copy of the first token of known, not of the last, of one token each, "
        "or the mean of all.": [
            ("input_ids[0]", "input_ids[-1]"),
            ("input_ids[0]", "input_ids[: len(tokens)]"),
            (("input_ids[0]", "input_ids"), (".clone()", ".mean(0)"))],
        "the head holds rows of the input embedding. Two matrices, two copies: each takes the row "
        "of '<<' from itself.": (
            "layer.weight[source]", "model.get_input_embeddings().weight[source]"),
    },
)  # fmt: skip
def new_tokens(model: Any, tokenizer: Any, tokens: list[str], known: str) -> list[int]:
    """Exercise 1: add tokens, and start their rows as copies of a known token's."""
    source = tokenizer(known, add_special_tokens=False).input_ids[0]
    tokenizer.add_tokens(tokens, special_tokens=True)
    ids = tokenizer.convert_tokens_to_ids(tokens)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.weight[ids] = layer.weight[source].clone()
    return ids


GRADED = [  # what a model wrote, the answer in the file
    ("<<2*6=12>>\n### 12", "12"), ("<<2*6=12>>\n<<12+3=15>>\n### 15", "5"),
    ("<<9-4=5>>\n### 5", "15"), ("### 1,000", "1000"), ("### 18000", "18,000"),
    ("<<500*2=1000>>\n### 1", "1,000"), ("### 1,234,567", "1234567"), ("### 3.0", "3"),
    ("### 3.50", "3.5"), ("<<15/4=3.75>>\n### 3.75", "3"), ("### 3", "3.75"), ("### 3.75", "4"),
    ("### 0.3333", "0.33333"), ("### 20,001", "20000"), ("### $42", "42"), ("###42", "42"),
    ("### 42 dollars", "42"), ("<<6*7=42>>\n### 42 dollars in 6 days", "42"),
    ("### 4\nNo: <<3*4=12>>\n### 12", "12"), ("### 4\nNo: <<3*4=12>>\n### 12", "4"),
    ("### 20%", "20"), ("<<3-7=-4>>\n### -4", "-4"), ("<<7-3=4>>\n### -4", "4"), ("### 7.", "7"),
    ("<<2+5=7>>\n### 8", "7"), ("<<7+1=8>>\n### 8", "7"), ("### nothing", "0"), ("", "3"),
]  # fmt: skip
FOUND = 're.search(pattern, written.rpartition("###")[2])'
EQUAL = "got == right"


@exercise(
    cases=lambda: GRADED,
    returns="the grade",
    says="{} answers are graded right",
    mistakes={
        "you compare texts: '3.0' and '3', or '1,000' and '1000', are one number written in two "
        "ways. Turn both sides into numbers first.": [
            lambda written, answer: written.rpartition("###")[2].strip() == answer,
            lambda written, answer: (
                written.rpartition("###")[2].strip().replace(",", "") == answer.replace(",", ""))],
        "you look for the answer somewhere in the text: then 5 is found in 15. Take the number "
        "after ### and compare it as a whole.": [
            lambda written, answer: answer in written,
            lambda written, answer: answer in written.rpartition("###")[2]],
        "the first number after the last ### counts: numbers before it are parts of steps, a model "
        "may correct itself, and '42 dollars in 6 days' answers 42.": [
            (FOUND, "re.search(pattern, written)"), ("rpartition", "partition"),
            (FOUND, '([*re.finditer(pattern, written.rpartition("###")[2])] or [None])[-1]')],
        "your numbers end at a comma: 1,000 is read as 1. Take the commas out before you convert.":
            (r"\d[\d,]*", r"\d+"),
        "you allow for a difference: 0.3333 is not 0.33333, 3.75 not 3 or 4. Compare exactly, with "
        "Fraction or Decimal.": [
            (EQUAL, "abs(got - right) < 0.01"), (EQUAL, "abs(got - right) <= 0.001 * abs(right)"),
            (EQUAL, "int(got) == int(right)"), (EQUAL, "round(got) == round(right)")],
        "the sign gets lost: -4 is not 4.": (EQUAL, "abs(got) == abs(right)"),
        "'$42', '42 dollars' and '20%' are numbers with something around them, here 42 and 20. "
        "Look for the number, and leave the rest.": [
            (EQUAL, 'got / (100 if "%" in written else 1) == right'),
            (FOUND, 're.fullmatch(pattern, written.rpartition("###")[2].strip().rstrip("."))')],
    },
)  # fmt: skip
def same_number(written: str, answer: str) -> bool:
    """Exercise 2: compare what was written with an answer, as numbers."""
    pattern = r"-?\d[\d,]*(?:\.\d+)?"
    found = re.search(pattern, written.rpartition("###")[2])
    wanted = re.search(pattern, answer)
    if found is None or wanted is None:
        return False
    got, right = (Fraction(one[0].replace(",", "")) for one in (found, wanted))
    return got == right


PAPER = [(0, 6), (1, 3), (2, 3), (3, 3), (4, 35)]
RUNS = [
    (1_000, [(0, 2), (1, 3), (3, 4)], 64, 24, 4, 3, 2),
    (385_620, PAPER, 128, 32, 4, 2, 3),
    (385_620, PAPER, 128, 32, 1, 2, 3),
    (17_886, [(stage, 15 if stage == 7 else 5) for stage in range(8)], 128, 24, 2, 1, 6),
    (500, [(0, 1), (1, 2)], 64, 64, 1, 1, 1),
]
STEPS, PARTS = "problems // batch", "-(-(batch // processes) // micro)"
PASSES = "(min(stage, last) * c + 1)"
EACH_A_BATCH = (("batch // processes", "batch"), (STEPS, "problems // (batch * processes)"))


@exercise(
    cases=lambda: RUNS,
    returns="steps, passes",
    says="steps and passes of {} runs are right",
    mistakes={
        "the two numbers are swapped: optimizer steps first, then passes.": (
            "return steps, passes", "return passes, steps"),
        "you count every part as an optimizer step. Gradients of the parts are added up, and then "
        "there is one step.": ("steps += here", "steps += here * parts"),
        "you forget the parts: each of them goes through the model by itself.": (" * parts", ""),
        "you forget the processes: each takes batch // processes rows and puts only those through "
        "its copy of the model.": ("batch // processes", "batch"),
        "you count the passes of all processes together. Count those of one.": (
            "here * parts", "here * parts * processes"),
        "you give every process a whole batch. In a recipe batch_size is the effective batch: all "
        "processes together see that many problems a step.": EACH_A_BATCH,
        "you divide the steps among the processes. They work at the same step together; more of "
        "them make a step shorter, not the run.": EACH_A_BATCH[1],
        "n thoughts take n + 1 passes, so there is one more, also without thoughts, and it comes "
        "once, not c times.": [
            (PASSES, "1"), (PASSES, "max(1, min(stage, last) * c)"),
            (PASSES, "min(stage, last) * c"),
            (PASSES, "((min(stage, last) + 1) * c)")],
        "you forget c: each replaced step makes c thoughts.": ("* c +", "+"),
        "stage last + 1 drops the rest of the words and keeps last · c thoughts.": [
            ("min(stage, last)", "stage"),
            ("min(stage, last)", "(stage if stage <= last else 0)")],
        "the last batch of an epoch is too small in your count. The trainer leaves it out: an "
        "epoch has problems // batch steps.": (STEPS, "-(-problems // batch)"),
        "you put the epochs of a phase together. What is left over at the end of an epoch is left "
        "out each time: epochs * (problems // batch).": (f"({STEPS})", STEPS),
        "you lose rows: where micro does not divide a process's share, one more part takes the "
        "rest. Round the number of parts up.": (PARTS, "max(1, batch // processes // micro)"),
    },
)  # fmt: skip
def count_work(
    problems: int, phases: list, batch: int, micro: int, processes: int, c: int, last: int
) -> tuple[int, int]:
    """Exercise 3: how many optimizer steps and forward passes a run takes."""
    parts = -(-(batch // processes) // micro)
    steps = passes = 0
    for stage, epochs in phases:
        here = epochs * (problems // batch)
        steps += here
        passes += here * parts * (min(stage, last) * c + 1)
    return steps, passes
