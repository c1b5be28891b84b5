"""What the checks of 02, 03 and 05 run on: tiny random models and rows, and what passes cost.

Nothing here knows the package's own model: it is what learners' code is held against.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

Batch = dict[str, Tensor]
VOCABULARY, WIDTH = 30, 16
PAD, EOS, BOT, EOT, THOUGHT = 0, 1, 27, 28, 29
#: In place of a gradient: there is no graph, or it cannot be followed back.
NO_GRAPH, BROKEN_GRAPH = torch.zeros(0), torch.zeros(0, 0)


def random_models() -> list[Any]:
    """A GPT-2 (absolute positions, float64), a Llama (rotary, float32), with random weights.

    `before_norm` of each is what its final normalisation got in the last pass, (B, t, d).
    """
    models = copy.deepcopy(_made())
    for model in models:
        final_norm(model).register_forward_pre_hook(_note(model))
    return models


@cache
def _made() -> list[Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        gpt2 = GPT2Config(
            vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=2, n_head=2, n_positions=64,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.3,
            bos_token_id=None, eos_token_id=EOS,
        )  # fmt: skip
        llama = LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
            initializer_range=0.3, bos_token_id=None, eos_token_id=EOS, pad_token_id=PAD,
        )  # fmt: skip
        models = [GPT2LMHeadModel(gpt2), LlamaForCausalLM(llama)]
        for model in models:  # a final normalisation that does nothing could not be missed
            final_norm(model).weight.data.uniform_(0.5, 2.0)
    return [models[0].double().eval(), models[1].eval()]


def _note(model: Any) -> Callable[[Any, tuple[Tensor]], None]:
    def note(_: Any, given: tuple[Tensor]) -> None:
        model.before_norm = given[0]

    return note


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


def columns_of(input_ids: Tensor) -> list[int]:
    """The columns of the placeholders, which all rows share."""
    return (input_ids[0] == THOUGHT).nonzero().flatten().tolist()


def gradient(model: Any, hidden: Any) -> Tensor:
    """The gradient (V, d) of a weighted sum of hidden states at the embeddings, if there is one."""
    if not isinstance(hidden, Tensor) or not hidden.requires_grad:
        return NO_GRAPH
    # Weighted, since the plain sum of a normalised vector hardly changes.
    weights = torch.linspace(-1, 1, hidden.numel(), dtype=hidden.dtype).reshape(hidden.shape)
    weight = model.get_input_embeddings().weight
    try:
        found = torch.autograd.grad((hidden * weights).sum(), weight, allow_unused=True)[0]
    except RuntimeError:
        return BROKEN_GRAPH
    return NO_GRAPH if found is None else found


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


def too_much(passes: list[int], enough: list[int], hint: str) -> str | None:
    """Complain of a column that goes in twice, or of more than n + 1 passes for n thoughts.

    Args:
        passes: the columns of every pass, from `counted`.
        enough: those of the right function.
        hint: how a pass too many is saved.
    """
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


@dataclass(frozen=True)
class Pass:
    """One pass over the columns so far, with all that could be mistaken for a thought.

    Attributes:
        hidden: (B, t, d) after the final normalisation.
        before_norm: (B, t, d) what the final normalisation gets.
        below: (B, t, d) what the last layer gets.
        logits: (B, t, V).
    """

    hidden: Tensor
    before_norm: Tensor
    below: Tensor
    logits: Tensor


def one_pass(model: Any, inputs: Tensor, batch: Batch | None = None) -> Pass:
    """Run the backbone over input embeddings (B, t, d), without a cache."""
    seen: list[Tensor] = []
    hook = final_norm(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    length = inputs.shape[1]
    extra = {}
    if batch is not None:
        extra = {key: batch[key][:, :length] for key in ("attention_mask", "position_ids")}
    try:
        output = model.base_model(
            inputs_embeds=inputs, use_cache=False, output_hidden_states=True, **extra
        )
    finally:
        hook.remove()
    hidden = output.last_hidden_state
    return Pass(hidden, seen[0], output.hidden_states[-2], model.lm_head(hidden))


@dataclass(frozen=True)
class Moment:
    """Where the loop stands when it needs the next thought.

    Attributes:
        model: the language model.
        inputs: (B, T, d) the input embeddings, earlier thoughts in place.
        original: (B, T, d) the input embeddings before any thought.
        column: where the next thought goes.
        thoughts: the thoughts so far, (B, d) each.
        batch: mask and positions, or None.
    """

    model: Any
    inputs: Tensor
    original: Tensor
    column: int
    thoughts: list[Tensor]
    batch: Batch | None

    def upto(self, stop: int) -> Pass:
        """Run a pass over the first `stop` columns."""
        return one_pass(self.model, self.inputs[:, :stop], self.batch)

    def last(self) -> Pass:
        """Run the pass that the method asks for: everything before the placeholder."""
        return self.upto(self.column)


Pick = Callable[[Moment], Tensor]


def right(moment: Moment) -> Tensor:
    """The thought as the method defines it (B, d)."""
    return moment.last().hidden[:, -1]


def word_again(moment: Moment) -> Tensor:
    """The embedding of the likeliest word instead of the hidden state."""
    return moment.model.get_input_embeddings()(moment.last().logits[:, -1].argmax(-1))


#: What a learner takes for the thought, with the message that names it.
WRONG_PICKS: tuple[tuple[str, Pick], ...] = (
    (
        "your thought is the hidden state before the final normalisation layer. "
        "Use last_hidden_state, which comes after it.",
        lambda m: m.last().before_norm[:, -1],
    ),
    (
        "your thought comes from one layer too early, hidden_states[-2]. "
        "Use last_hidden_state (the same as hidden_states[-1]).",
        lambda m: m.last().below[:, -1],
    ),
    (
        "your thought is off by one position: it is the hidden state two columns before the "
        "placeholder. Use the column right before it.",
        lambda m: m.last().hidden[:, -2],
    ),
    (
        "your thought is the embedding of a word: the likeliest token, embedded again, as language "
        "mode does. Feed the hidden state itself; nothing is decoded.",
        word_again,
    ),
    (
        "your thought is the hidden state at the placeholder itself, so one position too late. "
        "Use the column right before it.",
        lambda m: m.upto(m.column + 1).hidden[:, -1],
    ),
    (
        "all your thoughts come from the first pass, which does not know the earlier thoughts. "
        "Run a new pass for each thought.",
        lambda m: one_pass(m.model, m.original, m.batch).hidden[:, m.column - 1],
    ),
    (
        "your thoughts are all the first one: it is fed again and again. "
        "Take each thought from the pass that has seen the one before it.",
        lambda m: m.thoughts[0] if m.thoughts else right(m),
    ),
    (
        "your later passes still see the placeholder's own embedding: the thought is never put in "
        "its place.",
        lambda m: m.inputs[:, m.column],
    ),
)


def unroll(
    model: Any,
    input_ids: Tensor,
    batch: Batch | None = None,
    pick: Pick = right,
    detach: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Do the n + 1 passes without a cache; placeholders share columns.

    Args:
        model: the language model.
        input_ids: (B, T) int64.
        batch: mask and positions (B, T); None without padding.
        pick: which vector (B, d) becomes the next thought.
        detach: cut the gradient at every thought.

    Returns:
        Last hidden states (B, T, d), and n thoughts (B, d).
    """
    original = model.get_input_embeddings()(input_ids)  # (B, T, d)
    inputs = original
    thoughts: list[Tensor] = []
    for column in columns_of(input_ids):
        thought = pick(Moment(model, inputs, original, column, thoughts, batch))
        if detach:
            thought = thought.detach()
        thoughts.append(thought)
        inputs = torch.cat([inputs[:, :column], thought[:, None], inputs[:, column + 1 :]], dim=1)
    return one_pass(model, inputs, batch).hidden, thoughts


Slice = Callable[[Batch, int, int], Tensor | None]


def run_cached(
    model: Any,
    batch: Batch,
    mask: Slice = lambda b, start, stop: b["attention_mask"][:, :stop],
    positions: Slice = lambda b, start, stop: b["position_ids"][:, start:stop],
    cached: bool = True,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Do the n + 1 passes with a cache, or with one of the mistakes that a cache invites.

    Args:
        model: the language model.
        batch: ids, mask and positions (B, T).
        mask: which mask a pass over columns start … stop gets.
        positions: which positions it gets.
        cached: False forgets to hand over the cache.

    Returns:
        Last hidden states of all passes (B, T, d), n thoughts (B, d), and the passes apart.
    """
    ids = batch["input_ids"]
    embeds = model.get_input_embeddings()(ids)
    cache = DynamicCache(config=model.config)
    hidden: list[Tensor] = []
    thoughts: list[Tensor] = []
    for start, stop in pairwise([0, *columns_of(ids), ids.shape[1]]):
        inputs = embeds[:, start:stop]
        if hidden:
            thoughts.append(hidden[-1][:, -1])
            inputs = torch.cat([thoughts[-1][:, None], inputs[:, 1:]], dim=1)
        output = model.base_model(
            inputs_embeds=inputs,
            attention_mask=mask(batch, start, stop),
            position_ids=positions(batch, start, stop),
            past_key_values=cache if cached else None,
            use_cache=cached,
        )
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts, hidden


def next_token_loss(model: Any, hidden: Tensor, labels: Tensor, shift: int = 1) -> Tensor:
    """Mean negative log-likelihood of the labels (1, T), each from the column before it."""
    logits = model.lm_head(hidden)[:, : labels.shape[1] - shift]
    return F.cross_entropy(logits.flatten(0, 1), labels[:, shift:].flatten())
