"""The check of 09's exercise 1: new tokens in a tokenizer, and their rows in a model."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from coconut_lab.checks.base import CheckFailed, Function, call, close, passed
from coconut_lab.curriculum.tokenizer import token_id

NEW = ("<bot>", "<eot>", "<thought>")
KNOWN = "<<3*4=12>>"  # its first token is <<
_TEXT = "Tom has 3 pens. Eva has 4 times as many. <<3*4=12>> <<12+1=13>> ### 12"


class _Case(NamedTuple):
    """A model with its tokenizer, and what it was like before."""

    what: str
    model: Any
    tokenizer: Any
    rows: int
    embeddings: Tensor
    head: Tensor
    tied: bool


def new_tokens(function: Function) -> None:
    """Check exercise 1: add tokens, and start their rows as copies of a known token's.

    Args:
        function: `(model, tokenizer, tokens, known)`, which changes the first two in place, to the
            ids of the tokens.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "new_tokens"
    for case in (_make("GPT-2 (tied head)", True), _make("Llama (head not tied)", False)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            ids = call(name, function, case.model, case.tokenizer, list(NEW), KNOWN)
        _check_tokens(name, case, ids)
        _check_rows(name, case)
    passed(name, "tokens and rows are right, with a tied head and with one of its own")


@cache
def _backend() -> str:
    """A BPE tokenizer that begins texts with <s>, as Llama's does."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=300,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    backend.train_from_iterator([_TEXT] * 4, trainer)
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return str(backend.to_str())


def _make(what: str, tied: bool) -> _Case:
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_backend()), bos_token="<s>", eos_token="</s>"
    )
    rows = len(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(tied))
        model: Any
        if tied:
            model = GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=rows, n_positions=16, n_embd=8, n_layer=1, n_head=1,
                    bos_token_id=0, eos_token_id=1,
                )
            )  # fmt: skip
        else:
            model = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=rows, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                    num_attention_heads=1, max_position_embeddings=16, tie_word_embeddings=False,
                    bos_token_id=0, eos_token_id=1,
                )
            )  # fmt: skip
        # A mean that is not 0, so that it can be told from random numbers.
        with torch.no_grad():
            for weight in {id(w): w for w in _matrices(model)}.values():
                weight += torch.randn(8)
    embeddings, head = (weight.detach().clone() for weight in _matrices(model))
    return _Case(what, model, tokenizer, rows, embeddings, head, tied)


def _matrices(model: Any) -> tuple[Any, Any]:
    return model.get_input_embeddings().weight, model.get_output_embeddings().weight


def _check_tokens(name: str, case: _Case, ids: Any) -> None:
    found = [token_id(case.tokenizer, token) for token in NEW]
    missing = [token for token, index in zip(NEW, found, strict=True) if index is None]
    if missing:
        raise CheckFailed(
            f"{name}: the tokenizer does not know {', '.join(missing)}, as it should, and cuts it "
            "into letters: tokenizer.add_tokens or add_special_tokens adds a token."
        )
    rows, need = len(_matrices(case.model)[0]), len(case.tokenizer)
    if rows < need:
        raise CheckFailed(
            f"{name}: the model has {rows} rows of embeddings, but the tokenizer now has {need} "
            "tokens: the first new token would be an index error. After the tokens are added, "
            "model.resize_token_embeddings(len(tokenizer))."
        )
    returned = ids.tolist() if isinstance(ids, Tensor) else ids
    if not isinstance(returned, (list, tuple)) or list(returned) != found:
        raise CheckFailed(
            f"{name} should return the ids of the new tokens, {found} here, not {str(ids)[:60]}."
        )


def _check_rows(name: str, case: _Case) -> None:
    ids = case.tokenizer(KNOWN, add_special_tokens=False).input_ids
    source = ids[0]
    embeddings, head = _matrices(case.model)
    if case.tied != (embeddings is head):
        raise CheckFailed(
            f"{name}: with {case.what}, input embedding and head are "
            f"{'no longer' if case.tied else 'now'} one matrix. Change rows in place "
            "(weight[new] = …, under torch.no_grad()), and leave the matrices what they are."
        )
    new = case.tokenizer.convert_tokens_to_ids(list(NEW))
    for what, now, before in (
        ("input embedding", embeddings, case.embeddings),
        ("head", head, case.head),
    ):
        now = now.detach()
        if not torch.equal(now[: case.rows], before):
            row = int((now[: case.rows] != before).any(1).nonzero()[0])
            token = case.tokenizer.convert_ids_to_tokens(row)
            raise CheckFailed(
                f"{name}: with {case.what}, the {what} of the old token {token!r} has changed. "
                "Only the new rows may be written to."
            )
        for token, index in zip(NEW, new, strict=True):
            if torch.equal(now[index], before[source]):
                continue
            raise CheckFailed(
                f"{name}: with {case.what}, "
                + _wrong_row(case, what, token, now[index], before, source, ids)
            )


def _wrong_row(
    case: _Case, what: str, token: str, row: Tensor, before: Tensor, source: int, ids: list[int]
) -> str:
    """Say where a wrong row comes from."""
    know = case.tokenizer.convert_ids_to_tokens(source)
    whole = f"the {what} of {token}"
    if what == "head" and close(row, case.embeddings[source]):
        return (
            f"{whole} holds a row of the input embedding. Two matrices, two copies: each takes the "
            f"row of {know!r} from itself."
        )
    others = (before == row).all(1).nonzero().flatten().tolist()
    if others:
        other = case.tokenizer.convert_ids_to_tokens(others[0])
        why = f"copy that of the first token of known, {know!r}"
        if others[0] == case.tokenizer.bos_token_id:
            why += "; this tokenizer puts <s> in front unless add_special_tokens=False"
        elif others[0] in ids:
            why += ", not that of a later one"
        return f"{whole} is a copy of the wrong row, that of {other!r}: {why}."
    if what == "head":
        return (
            f"{whole} is not a copy: you forgot the head. It has a matrix of its own here, "
            "model.get_output_embeddings().weight, which says how likely each token is next."
        )
    if (row - before.mean(0)).abs().max() < 1e-2:
        return (
            f"{whole} is the mean of all rows, which is what resize_token_embeddings puts there by "
            f"itself. Overwrite it with the row of {know!r}."
        )
    return (
        f"{whole} is random: the numbers that the resizing made, not a copy of the row of "
        f"{know!r}. Is a new row copied onto itself, as in the published code? Or is only one of "
        "the three copied?"
    )
