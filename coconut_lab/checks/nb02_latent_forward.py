"""The checks of 02's exercises 1 to 3: the passes, by hand, without and with a cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.base import (
    CheckFailed,
    Function,
    Mistake,
    call,
    close,
    compare,
    parts,
    passed,
    tensor,
    tensors,
)
from coconut_lab.checks.effort import check_effort, counted
from coconut_lab.checks.models import (
    THOUGHT,
    WRONG_PICKS,
    Batch,
    columns_of,
    one_pass,
    padded_batch,
    random_models,
    random_row,
    run_cached,
    unroll,
)

# --- exercise 1 -----------------------------------------------------------------------------------


def feed_back(function: Function) -> None:
    """Check exercise 1: one hidden state, fed back by hand.

    Args:
        function: `(language_model, input_ids (1, t)) -> thought (1, d), hidden (1, d)`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "feed_back"
    for model in random_models():
        ids = torch.tensor([[*random_row(0, question=6, tail=0, seed=1)[:-1]]])  # ends in <bot>
        value = parts(name, call(name, function, model, ids), ("thought", "hidden"))
        got = {
            what: tensor(name, what, given)
            for what, given in zip(("thought", "hidden"), value, strict=True)
        }
        inputs = model.get_input_embeddings()(ids)  # (1, t, d)
        first = one_pass(model, inputs)
        thought = first.hidden[:, -1]  # (1, d)

        def after(*pieces: Tensor, model: Any = model) -> Tensor:
            return one_pass(model, torch.cat(pieces, dim=1)).hidden[:, -1]

        want = {"thought": thought, "hidden": after(inputs, thought[:, None])}
        word = model.get_input_embeddings()(first.logits[:, -1].argmax(-1))
        wrong: list[tuple[str, dict[str, Tensor]]] = [
            (WRONG_PICKS[0][0], {"thought": first.before_norm[:, -1]}),
            (WRONG_PICKS[1][0], {"thought": first.below[:, -1]}),
            (
                "your thought is off by one position: it is the hidden state before <bot>. "
                "Use the last column, the one of <bot>.",
                {"thought": first.hidden[:, -2]},
            ),
            (WRONG_PICKS[3][0], {"thought": word}),
            (WRONG_PICKS[3][0], {"hidden": after(inputs, word[:, None])}),
            (
                "your thought is the input embedding of <bot>. "
                "Use the hidden state that comes out of the model there.",
                {"thought": inputs[:, -1]},
            ),
            (
                "the thought is right, but it replaces <bot> in your second pass. "
                "Append it: the second pass is one column longer.",
                {"hidden": after(inputs[:, :-1], thought[:, None])},
            ),
            (
                "the thought is right, but your second pass sees it alone. "
                "Without a cache, the question has to go in again, before it.",
                {"hidden": after(thought[:, None])},
            ),
            (
                "the thought is right, but your second result is the hidden state at <bot> again. "
                "Take the last column of the second pass.",
                {"hidden": thought},
            ),
        ]
        compare(name, got, want, [_fixed(*entry) for entry in wrong], " = (1, d)")
        cut = after(inputs, thought[:, None].detach())
        _check_gradient(name, model, got["hidden"], want["hidden"], cut)
    passed(name, "the thought and what follows it are right, and gradient flows through")


# --- exercises 2 and 3 ----------------------------------------------------------------------------


def think_without_cache(function: Function) -> None:
    """Check exercise 2: the n + 1 passes of one row, without a cache.

    Args:
        function: `(language_model, input_ids (1, T), thought_id) -> hidden (1, T, d), thoughts`,
            the thoughts a list of n tensors (1, d).

    Raises:
        CheckFailed: what is wrong.
    """
    name = "think_without_cache"
    for model in random_models():
        for count, question, tail in ((3, 6, 4), (1, 4, 2), (0, 5, 3)):
            ids = torch.tensor([random_row(count, question, tail, seed=count)])
            got = _hidden_and_thoughts(name, call(name, function, model, ids, THOUGHT), ids)
            want = _named(*unroll(model, ids))
            mistakes = [_picked(message, model, ids, None, pick) for message, pick in WRONG_PICKS]
            mistakes.append(
                _fixed(
                    "the thoughts are right, but your hidden states are those of a pass before "
                    "the last thought was in place. n thoughts take n + 1 passes.",
                    {"hidden": _one_pass_too_few(model, ids)},
                )
            )
            compare(name, got, want, mistakes, " = (1, T, d)")
            _check_gradient(
                name, model, got["hidden"], want["hidden"], unroll(model, ids, detach=True)[0]
            )
    passed(name, "rows with 3, 1 and 0 thoughts are right, and gradient flows through them")


def think_with_cache(function: Function) -> None:
    """Check exercise 3: the n + 1 passes of a left-padded batch, with a cache.

    Args:
        function: `(language_model, input_ids, attention_mask, position_ids, thought_id)`, tensors
            (B, T), to hidden (B, T, d) and thoughts, a list of n tensors (B, d).

    Raises:
        CheckFailed: what is wrong.
    """
    name = "think_with_cache"
    for model in random_models():
        for count in (3, 1, 0):
            batch = padded_batch(count)
            ids, real = batch["input_ids"], batch["attention_mask"].bool()
            with counted(model) as passes:
                result = call(name, function, model, *batch.values(), THOUGHT)
            got = _hidden_and_thoughts(name, result, ids, real)
            want = _named(*unroll(model, ids, batch), real)
            compare(name, got, want, _cache_mistakes(model, batch), " = (B, T, d)")
            check_effort(
                name, passes, ids.shape[1], count,
                "The last thought can travel with <eot> and everything after it.",
            )  # fmt: skip
            cut = _named(*unroll(model, ids, batch, detach=True), real)["hidden"]
            _check_gradient(name, model, got["hidden"], want["hidden"], cut)
    passed(name, "padded rows are right, in n + 1 passes, each column computed once")


def _hidden_and_thoughts(
    name: str, value: Any, ids: Tensor, real: Tensor | None = None
) -> dict[str, Tensor]:
    """Take apart what the loops return, and settle what their shapes give away."""
    hidden, thoughts = parts(name, value, ("hidden", "thoughts"))
    hidden = tensor(name, "hidden", hidden)
    columns, width = columns_of(ids), ids.shape[1]
    why = f"the row has {len(columns)} placeholders"
    listed = tensors(name, "thoughts", thoughts, len(columns), why)
    if hidden.ndim == 3 and columns and hidden.shape[1] == width - columns[-1] < width:
        raise CheckFailed(
            f"{name}: your hidden states are those of the last pass only. Keep those of every "
            "pass, and join them with torch.cat along the columns."
        )
    if hidden.ndim == 3 and hidden.shape[1] == width - 1:
        raise CheckFailed(
            f"{name}: one column is missing from your hidden states: you return {width - 1} for "
            f"{width} tokens. Is <eot> skipped? The last pass holds the last thought, <eot> and "
            "everything after it."
        )
    if hidden.shape[:2] != ids.shape:
        raise CheckFailed(
            f"{name}: hidden has shape {tuple(hidden.shape)}, it should be "
            f"({ids.shape[0]}, {width}, 16) = (B, T, d)."
        )
    return _named(hidden, listed, real)


def _named(hidden: Tensor, thoughts: list[Tensor], real: Tensor | None = None) -> dict[str, Tensor]:
    """Name the results, in the order in which they are computed; padded columns do not count."""
    named = {f"thought {index}": vector for index, vector in enumerate(thoughts, start=1)}
    return named | {"hidden": hidden if real is None else hidden[real]}


def _fixed(message: str, result: dict[str, Tensor]) -> Mistake:
    return Mistake(message, lambda: result)


def _picked(message: str, model: Any, ids: Tensor, batch: Batch | None, pick: Any) -> Mistake:
    def result() -> dict[str, Tensor]:
        named = _named(*unroll(model, ids, batch, pick))
        del named["hidden"]  # who fed a wrong vector is found by the vectors
        return named or {"hidden": one_pass(model, model.get_input_embeddings()(ids), batch).hidden}

    return Mistake(message, result)


def _one_pass_too_few(model: Any, ids: Tensor) -> Tensor:
    """Hidden states of a pass whose last placeholder still has its own embedding."""
    inputs = model.get_input_embeddings()(ids)
    columns, (_, thoughts) = columns_of(ids), unroll(model, ids)
    for column, thought in zip(columns[:-1], thoughts[:-1], strict=True):
        inputs = torch.cat([inputs[:, :column], thought[:, None], inputs[:, column + 1 :]], dim=1)
    return one_pass(model, inputs).hidden


def _cache_mistakes(model: Any, batch: Batch) -> list[Mistake]:
    """The wrong vectors, and what goes wrong with caches, masks and positions."""
    real = batch["attention_mask"].bool()

    def by(message: str, **how: Any) -> Mistake:
        return Mistake(message, lambda: _named(*run_cached(model, batch, **how)[:2], real))

    def first_only(key: str) -> Any:
        return lambda b, start, stop: b[key][:, :stop] if start == 0 else None

    missing = (
        "position ids are missing{}. The library then counts columns from 0, padding included; "
        "pass position_ids[:, start:stop] in every pass."
    )
    return [
        by(missing.format(""), positions=lambda b, start, stop: None),
        by(
            missing.format(" in the cached passes (from the second pass on)"),
            positions=first_only("position_ids"),
        ),
        by(
            "your position ids start again at 0 in every pass. A cached pass goes on counting "
            "where the last one stopped: position_ids[:, start:stop].",
            positions=lambda b, start, stop: torch.arange(stop - start)[None],
        ),
        by(
            "your position ids are cut from the front of the row, [:, :stop - start]. "
            "Take the columns of this pass: position_ids[:, start:stop].",
            positions=lambda b, start, stop: b["position_ids"][:, : stop - start],
        ),
        by(
            "padding is attended to: the attention mask never reaches the model. "
            "Pass attention_mask[:, :stop] in every pass.",
            mask=lambda b, start, stop: None,
        ),
        by(
            "padding is attended to from the second pass on: the attention mask is missing there. "
            "Pass attention_mask[:, :stop] in every pass.",
            mask=first_only("attention_mask"),
        ),
        by(
            "your attention mask is too short: it covers only the new columns. It has to cover "
            "the cached ones too: attention_mask[:, :stop].",
            mask=lambda b, start, stop: b["attention_mask"][:, start:stop],
        ),
        by(
            "each of your passes sees only its own columns: the cache does not reach it. "
            "Pass the same past_key_values to every pass.",
            mask=lambda b, start, stop: b["attention_mask"][:, start:stop],
            cached=False,
        ),
        *(_picked(text, model, batch["input_ids"], batch, pick) for text, pick in WRONG_PICKS),
    ]


def _check_gradient(name: str, model: Any, got: Tensor, want: Tensor, cut: Tensor) -> None:
    """Make sure that the gradient goes through the thoughts: compare it at the embeddings."""

    def gradient(hidden: Tensor) -> Tensor:
        weight = model.get_input_embeddings().weight
        # Weighted, since the plain sum of a normalised vector hardly changes.
        weights = torch.linspace(-1, 1, hidden.numel(), dtype=hidden.dtype).reshape(hidden.shape)
        return torch.autograd.grad((hidden * weights).sum(), weight, retain_graph=True)[0]

    if not got.requires_grad:
        raise CheckFailed(
            f"{name}: the values are right, but they carry no gradient. "
            "Leave out torch.no_grad(), .data and .detach(): training needs the graph."
        )
    try:
        found = gradient(got)
    except RuntimeError as error:
        raise CheckFailed(
            f"{name}: the values are right, but back-propagation fails "
            f"({str(error).split(': [')[0][:120]}). "
            "Do not write into a tensor that an earlier pass has used: build a new one with "
            "torch.cat, or .clone() it first."
        ) from error
    if close(found, gradient(want)):
        return
    if close(found, gradient(cut)):
        raise CheckFailed(
            f"{name}: the values are right, but the graph is detached: no gradient flows through "
            "the thoughts. Leave out .detach(), .data and torch.no_grad()."
        )
    raise CheckFailed(f"{name}: the values are right, but the gradient is not that of the passes.")
