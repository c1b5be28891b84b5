"""What the checks of 02, 03 and 05 run on: tiny random models and rows, and what passes cost.

Nothing here knows the package's own model: it is what learners' code is held against.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as FastTokenizer

PAD, EOS, BOT, EOT, THOUGHT = 0, 1, 27, 28, 29
#: In place of a gradient: there is no graph, or it cannot be followed back.
NO_GRAPH, BROKEN_GRAPH = torch.zeros(0), torch.zeros(0, 0)


def random_models(vocabulary: int = 30) -> list[Any]:
    """A GPT-2 (absolute positions, float64), a Llama (rotary, float32), with random weights.

    `before_norm` of each is what its final normalisation got in the last pass, (B, t, d).
    """
    models = copy.deepcopy(_made(vocabulary))
    for model in models:
        final_norm(model).register_forward_pre_hook(partial(_note, model))
    return models


@cache
def _made(vocabulary: int) -> list[Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        gpt2 = GPT2Config(
            vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=2, n_positions=64,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.3,
            bos_token_id=None, eos_token_id=EOS,
        )  # fmt: skip
        llama = LlamaConfig(
            vocab_size=vocabulary, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
            initializer_range=0.3, bos_token_id=None, eos_token_id=EOS, pad_token_id=PAD,
        )  # fmt: skip
        models = [GPT2LMHeadModel(gpt2).double().eval(), LlamaForCausalLM(llama).eval()]
        for model in models:  # a final normalisation that does nothing could not be missed
            final_norm(model).weight.data.uniform_(0.5, 2.0)
    return models


def _note(model: Any, _: Any, given: tuple[Tensor]) -> None:
    model.before_norm = given[0]


def final_norm(model: Any) -> Any:
    """The last normalisation layer of the backbone."""
    backbone = model.base_model
    return backbone.ln_f if hasattr(backbone, "ln_f") else backbone.norm


def word_of(model: Any, hidden: Tensor) -> Tensor:
    """The embedding (B, d) of the most probable token after each hidden state (B, d)."""
    return model.get_input_embeddings()(model.lm_head(hidden).argmax(-1))


def mixture_of(model: Any, hidden: Tensor) -> Tensor:
    """The mean embedding (B, d) under the probabilities of all tokens."""
    return model.lm_head(hidden).softmax(-1) @ model.get_input_embeddings().weight


def random_row(thoughts: int, question: int, tail: int, seed: int) -> list[int]:
    """A question, `<bot>`, placeholders, `<eot>`, and some tokens after it."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(2, BOT, (question + tail,), generator=generator).tolist()
    return [*words[:question], BOT, *[THOUGHT] * thoughts, EOT, *words[question:]]


def labelled_rows() -> Iterator[tuple[Any, Tensor, Tensor, int]]:
    """Rows with 3 thoughts and with 1, labelled after <eot>."""
    for model in random_models():
        for count in (3, 1):
            ids = torch.tensor([random_row(count, question=5, tail=4, seed=count)])
            labels = torch.where(torch.arange(ids.shape[1]) > columns_of(ids)[-1] + 1, ids, -100)
            yield model, ids, labels, THOUGHT


def padded_batch(count: int) -> dict[str, Tensor]:
    """Three rows with `count` thoughts in the same columns and questions of different lengths."""
    rows = [random_row(count, question, 3, seed) for seed, question in enumerate((7, 4, 5))]
    width = max(map(len, rows))
    pads = [width - len(row) for row in rows]
    return {
        "input_ids": torch.tensor([[PAD] * pad + row for pad, row in zip(pads, rows, strict=True)]),
        "attention_mask": torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads]),
        "position_ids": torch.tensor([[0] * pad + [*range(width - pad)] for pad in pads]),
    }


def one_pass(
    model: Any, inputs: Tensor, mask: Any = None, positions: Any = None, cache: Any = None
) -> Any:
    """What the backbone gives for input embeddings (B, t, d)."""
    return model.base_model(
        inputs_embeds=inputs, attention_mask=mask, position_ids=positions,
        past_key_values=cache, use_cache=cache is not None, output_hidden_states=True,
    )  # fmt: skip


def columns_of(input_ids: Tensor, thought_id: int = THOUGHT) -> list[int]:
    """The columns of the placeholders, which all rows share."""
    return (input_ids[0] == thought_id).nonzero().flatten().tolist()


@torch.no_grad()
def with_thoughts(model: Any, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
    """The inputs (B, T, d) of a padded batch with its thoughts in place, without a cache."""
    inputs = model.get_input_embeddings()(ids)
    for column in columns_of(ids):
        seen = (part[:, :column] for part in (inputs, mask, positions))
        inputs[:, column] = one_pass(model, *seen).last_hidden_state[:, -1]
    return inputs


def gradient_of(model: Any, hidden: Any) -> Tensor:
    """The gradient (V - 1, d) at the embeddings of a weighted sum of hidden states, if any."""
    if not isinstance(hidden, Tensor) or not hidden.requires_grad:
        return NO_GRAPH
    # Weighted, since the plain sum of a normalised vector hardly changes.
    weights = torch.linspace(-1, 1, hidden.numel(), dtype=hidden.dtype).reshape(hidden.shape)
    weight = model.get_input_embeddings().weight
    try:
        found = torch.autograd.grad((hidden * weights).sum(), weight, allow_unused=True)[0]
    except RuntimeError:
        return BROKEN_GRAPH
    return NO_GRAPH if found is None else found[PAD + 1 :]  # a lookup leaves out padding


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """Note the number of columns of every pass through the backbone."""
    passes: list[int] = []

    def note(module: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        named = [options.get(key) for key in ("inputs_embeds", "input_ids")]
        given = next(value for value in (*named, *arguments) if value is not None)
        passes.append(given.shape[1])

    hook = model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield passes
    finally:
        hook.remove()


def noting(*names: str, gradient: bool = False) -> Callable[..., dict[str, Any]]:
    """Make an `observe` that names the results, and notes the columns of each pass.

    The hidden states come last; with `gradient`, followed by theirs.
    """

    def observe(function: Callable[..., Any], model: Any, *case: Any) -> dict[str, Any]:
        given = [part.clone() if isinstance(part, Tensor) else part for part in case]
        with torch.set_grad_enabled(gradient), counted(model) as passes:
            results = function(model, *given)
        seen = dict(sorted(zip(names, results, strict=True), key=lambda pair: pair[0] == "hidden"))
        if gradient:
            seen["gradient"] = gradient_of(model, seen["hidden"])
        return {**seen, "_passes": passes}

    return observe


def too_much(got: dict[str, Any], want: dict[str, Any], hint: str = "") -> str | None:
    """Complain of a column that goes in twice, or of a pass too many; `hint`: how to save it."""
    passes, enough = got["_passes"], want["_passes"]
    listed = " + ".join(map(str, passes))
    if sum(passes) > sum(enough):
        return (
            f"the values are right, but {sum(passes)} columns went through the model where "
            f"{sum(enough)} are enough ({listed}). Send only columns that are not in the cache yet."
        )
    if len(passes) > len(enough):
        return (
            f"the values are right, but {len(enough) - 1} thoughts took {len(passes)} passes "
            f"({listed} columns); {len(enough)} are enough. {hint}"
        )
    return None


@cache
def bpe_tokenizer(*pieces: str) -> FastTokenizer:
    """A BPE tokenizer whose tokens reach over line breaks, and that begins texts with `<s>`."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=400, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False,
        special_tokens=["<s>", "</s>"],
    )  # fmt: skip
    backend.train_from_iterator(list(pieces) * 4, trainer)
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return FastTokenizer(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
