"""Tokenizers: the word-level one of the tiny models, and the thought tokens for any tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from coconut_lab.errors import ShortError, checks_kinds

BOT, EOT, THOUGHT, PAUSE = "<bot>", "<eot>", "<thought>", "<pause>"
PAD, EOS = "<pad>", "<eos>"
ANSWER_MARK = "###"
#: Words with a meaning in the symbolic notation: no node may bear them.
MARKS = ("|", "[Q]", "[R]", ANSWER_MARK)


class TokenizerError(ShortError, ValueError):
    """A tokenizer that cannot do what is asked of it; the message says what is missing."""


@dataclass(frozen=True)
class ThoughtTokens:
    """The ids of `<bot>`, `<eot>` and the placeholder `<thought>` in one tokenizer."""

    bot: int
    eot: int
    thought: int


@checks_kinds(TokenizerError)
def word_tokenizer(names: Iterable[str]) -> PreTrainedTokenizerFast:
    """Make a word-level tokenizer for the symbolic notation.

    Every word is one token: the marks `| [Q] [R] ###`, then the names in the order given, then
    the thought tokens. Line breaks separate words and have no token.

    Args:
        names: the names a node may have; no duplicates, no whitespace, none of the marks.

    Returns:
        A Hugging Face tokenizer; `save_pretrained` and `from_pretrained` work as for any other.

    Raises:
        TokenizerError: a name is repeated, reserved, or holds whitespace.
    """
    words = [PAD, EOS, *MARKS]
    for name in names:
        if name in words or name in (BOT, EOT, THOUGHT):
            raise TokenizerError(f"the name {name!r} is given twice or is reserved; rename it")
        if name.split() != [name]:
            raise TokenizerError(f"the name {name!r} is not one word; a token holds no whitespace")
        words.append(name)
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=PAD, eos_token=EOS, clean_up_tokenization_spaces=False
    )
    add_thought_tokens(tokenizer)
    return tokenizer


@checks_kinds(TokenizerError)
def add_thought_tokens(tokenizer: PreTrainedTokenizerBase) -> int:
    """Append `<bot>`, `<eot>` and `<thought>`, in this order, to any Hugging Face tokenizer.

    Does nothing for tokens that are there already, so it can be called again. A language model
    that was made before needs `resize_token_embeddings(len(tokenizer))` afterwards.

    Args:
        tokenizer: a Hugging Face tokenizer; changed in place.

    Returns:
        How many tokens were added: 3, or 0 the second time.
    """
    known = tokenizer.get_vocab()
    new = [
        AddedToken(token, special=True, normalized=False)
        for token in (BOT, EOT, THOUGHT)
        if token not in known
    ]
    return int(tokenizer.add_tokens(new)) if new else 0


@checks_kinds(TokenizerError)
def thought_tokens(tokenizer: PreTrainedTokenizerBase) -> ThoughtTokens:
    """Look up the ids of the thought tokens; TokenizerError says how to add one that is missing."""
    found = {token: token_id(tokenizer, token) for token in (BOT, EOT, THOUGHT)}
    missing = [token for token, index in found.items() if index is None]
    if missing:
        raise TokenizerError(
            f"the tokenizer has no {', '.join(missing)}; call add_thought_tokens(tokenizer), then "
            "language_model.resize_token_embeddings(len(tokenizer))"
        )
    return ThoughtTokens(*(index for index in found.values() if index is not None))


@checks_kinds(TokenizerError)
def add_pause_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Append `<pause>`, which stands in for a thought in some baselines; idempotent.

    Args:
        tokenizer: a Hugging Face tokenizer; changed in place.

    Returns:
        How many tokens were added: 1, or 0 the second time.
    """
    if token_id(tokenizer, PAUSE) is not None:
        return 0
    return int(tokenizer.add_tokens([AddedToken(PAUSE, special=True, normalized=False)]))


def pause_token(tokenizer: Any) -> int:
    """Look up the id of `<pause>`; TokenizerError says how to add it if it is missing."""
    index = token_id(tokenizer, PAUSE)
    if index is None:
        raise TokenizerError(
            f"the tokenizer has no {PAUSE}; call add_pause_token(tokenizer), then "
            "language_model.resize_token_embeddings(len(tokenizer))"
        )
    return index


def token_id(tokenizer: Any, token: str) -> int | None:
    """Look up one token without copying the vocabulary; None if the tokenizer lacks it."""
    index = tokenizer.convert_tokens_to_ids(token)
    # Tokenizers answer an unknown token with the id of another one, or with None.
    if index is None or tokenizer.convert_ids_to_tokens(index) != token:
        return None
    return int(index)


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Give the ids that no text of a problem may become, the thought tokens among them."""
    added = tokenizer.added_tokens_decoder.items()
    found = {index for index, token in added if token.special} | {*tokenizer.all_special_ids}
    ends = {tokenizer.eos_token_id, tokenizer.bos_token_id}
    return frozenset(found - ({tokenizer.unk_token_id} - ends))


def padding_id(tokenizer: Any) -> int:
    """Give the id that fills padded positions: the padding token, else the end of sequence."""
    for index in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if index is not None:
            return int(index)
    raise TokenizerError(
        "the tokenizer has neither a padding nor an end-of-sequence token; "
        "set tokenizer.pad_token to a token of its vocabulary"
    )


def words_known(tokenizer: Any) -> frozenset[str] | None:
    """List the words a word-level tokenizer knows; None for one that can spell every word."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.model, WordLevel):
        return None
    return frozenset(tokenizer.get_vocab())
