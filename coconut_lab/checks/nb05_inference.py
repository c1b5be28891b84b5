"""The checks of 05's exercises 1 and 3: think a fixed number of times, and row by row."""

from __future__ import annotations

from collections.abc import Callable
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
)
from coconut_lab.checks.effort import check_effort, counted
from coconut_lab.checks.models import (
    EOT,
    THOUGHT,
    Batch,
    one_pass,
    padded_batch,
    random_models,
    random_row,
    unroll,
)
from coconut_lab.checks.writing import extended, next_positions

# --- exercise 1 -----------------------------------------------------------------------------------


@torch.no_grad()
def think_fixed(function: Function) -> None:
    """Check exercise 1: a fixed number of thoughts, then `<eot>`, with a cache.

    Args:
        function: `(language_model, input_ids (1, t), count, eot_id) -> hidden (1, d), cache`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "think_fixed"
    for model in random_models():
        for count, question in ((3, 6), (1, 4), (0, 5)):
            ids = torch.tensor([random_row(0, question, 0, seed=count)[:-1]])  # ends in <bot>
            with counted(model) as passes:
                value = call(name, function, model, ids, count, EOT)
            hidden, cache = parts(name, value, ("hidden", "cache"))
            got = {"hidden": tensor(name, "hidden", hidden)}
            compare(name, got, _fixed(model, ids, count), _fixed_mistakes(model, ids, count),
                    " = (1, d)")  # fmt: skip
            _check_cache(name, cache, ids.shape[1] + count + 1)
            check_effort(
                name, passes, ids.shape[1] + count + 1, count,
                "The number is known beforehand, so the last thought and <eot> go in together "
                "(with 0 thoughts, <bot> and <eot>).",
            )  # fmt: skip
    passed(name, "3, 1 and 0 thoughts, <eot> behind them, in n + 1 passes with one cache")


def _fixed(
    model: Any, ids: Tensor, count: int, ends: tuple[int, ...] = (EOT,), words: bool = False
) -> dict[str, Tensor]:
    """The last hidden state after so many thoughts and these tokens, without a cache."""
    embed = model.get_input_embeddings()
    inputs = embed(ids)
    for _ in range(count):
        last = one_pass(model, inputs)
        thought = embed(last.logits[:, -1].argmax(-1)) if words else last.hidden[:, -1]
        inputs = torch.cat([inputs, thought[:, None]], dim=1)
    if ends:
        inputs = torch.cat([inputs, embed(torch.tensor([ends]))], dim=1)
    return {"hidden": one_pass(model, inputs).hidden[:, -1]}


def _fixed_mistakes(model: Any, ids: Tensor, count: int) -> list[Mistake]:
    def early() -> dict[str, Tensor]:
        return _fixed(model, torch.cat([ids, torch.tensor([[EOT]])], dim=1), count, ())

    found = [
        Mistake(
            "<eot> is forgotten: your hidden state is that of the last thought. The model is "
            "still in latent mode there, and was never trained to write from it. Feed <eot> "
            "behind the thoughts.",
            lambda: _fixed(model, ids, count, ()),
        ),
        Mistake(
            "you think one thought too many.",
            lambda: _fixed(model, ids, count + 1),
        ),
        Mistake(
            "<eot> goes in before the thoughts, so they stand outside of latent mode. The order "
            "is <bot>, thoughts, <eot>.",
            early,
        ),
        Mistake(
            "your thoughts are words: the likeliest token, embedded again. Feed the hidden state "
            "itself.",
            lambda: _fixed(model, ids, count, words=True),
        ),
        Mistake(
            "<eot> goes in twice.",
            lambda: _fixed(model, ids, count, (EOT, EOT)),
        ),
    ]
    if count:
        found.insert(
            1,
            Mistake(
                "one thought is missing. The hidden state at <bot> is thought 1, and it has to go "
                "in before it counts.",
                lambda: _fixed(model, ids, count - 1),
            ),
        )
    return found


def _check_cache(name: str, cache: Any, want: int) -> None:
    if not hasattr(cache, "get_seq_length"):
        raise CheckFailed(
            f"{name}: the second result should be the cache, not {type(cache).__name__}."
        )
    held = cache.get_seq_length()
    if held != want:
        raise CheckFailed(
            f"{name}: the hidden state is right, but your cache has the wrong length: it holds "
            f"{held} columns, not {want} (the prompt, the thoughts and <eot>). Pass the one cache "
            "to every pass, and return that one: the answer is written behind it."
        )


# --- exercise 3 -----------------------------------------------------------------------------------


@torch.no_grad()
def halt_by_row(function: Function) -> None:
    """Check exercise 3: every row of a batch stops thinking by itself.

    Args:
        function: `(language_model, input_ids, attention_mask, position_ids, stop, most)`, tensors
            (B, T) that end at `<bot>`, `stop(k, hidden (R, d)) -> (R,) bool`, to counts (B,) int64
            and hidden (B, d).

    Raises:
        CheckFailed: what is wrong.
    """
    name = "halt_by_row"
    most = 4
    for model in random_models():
        for wanted in ((1, 2, 0), (2, 3, 4), (0, 0, 0), (3, 1, 9)):
            batch = _heads()
            states = _states(model, batch, most)  # (B, most + 1, d)
            stop = _rule(states, wanted)
            value = call(name, function, model, *(part.clone() for part in batch.values()), stop,
                         most)  # fmt: skip
            counts, hidden = parts(name, value, ("counts", "hidden"))
            counts = tensor(name, "counts", counts)
            hidden = tensor(name, "hidden", hidden)
            right = torch.tensor([min(k, most) for k in wanted])
            _check_counts(name, counts, right, stop, states, most)
            want = states[torch.arange(len(right)), right]
            if hidden.shape != want.shape:
                raise CheckFailed(
                    f"{name}: hidden has shape {tuple(hidden.shape)}, it should be "
                    f"{tuple(want.shape)} = (B, d)."
                )
            last = states[:, int(right.max())]
            if not close(hidden, want) and close(hidden, last):
                raise CheckFailed(
                    f"{name}: the counts are right, but your hidden states are those of the last "
                    "pass. Keep each row's state when it stops: later passes belong to the others."
                )
            if not close(hidden, want):
                off = (hidden - want).abs().amax(1)
                row = int(off.argmax())
                raise CheckFailed(
                    f"{name}: the counts are right, but hidden of row {row} is off by up to "
                    f"{off[row].item():.2g}: it should be the state after {int(right[row])} "
                    "thoughts. Are mask and positions extended for every thought?"
                )
    passed(name, "each row stops by itself, with the state in which it stopped")


def _heads() -> Batch:
    batch = padded_batch(0)
    return {key: value[:, :-4] for key, value in batch.items()}  # without <eot> and three words


def _states(model: Any, batch: Batch, most: int) -> Tensor:
    """The states (B, most + 1, d) after every number of thoughts, without a cache."""
    grown = {
        "input_ids": torch.cat(
            [batch["input_ids"], torch.full((len(batch["input_ids"]), most), THOUGHT)], dim=1
        ),
        "attention_mask": extended(batch["attention_mask"], most),
        "position_ids": torch.cat(
            [batch["position_ids"]]
            + [next_positions(batch["position_ids"], k + 1) for k in range(most)],
            dim=1,
        ),
    }
    return unroll(model, grown["input_ids"], grown)[0][:, -(most + 1) :]


def _rule(states: Tensor, wanted: tuple[int, ...]) -> Callable[[int, Tensor], Tensor]:
    """A rule that tells the rows apart by their states: each stops at its own k, and only there.

    Later it would let the row think on, so that a stop has to be remembered.
    """

    def stop(k: int, hidden: Tensor) -> Tensor:
        distance = (hidden[:, None] - states[None, :, int(k)]).abs().amax(-1)  # (R, B)
        rows = distance.argmin(1).tolist()
        return torch.tensor([wanted[row] == k for row in rows])

    return stop


def _check_counts(
    name: str, counts: Tensor, right: Tensor, stop: Any, states: Tensor, most: int
) -> None:
    if counts.shape == right.shape and torch.equal(counts.long(), right):
        return
    if counts.shape != right.shape:
        raise CheckFailed(
            f"{name}: counts has shape {tuple(counts.shape)}, it should be {tuple(right.shape)}: "
            "one number per row."
        )
    counts = counts.long()
    said = f"counts are {counts.tolist()}, they should be {right.tolist()}"
    again = most - (right < most).long()  # one less for the only k at which the rule says stop
    if torch.equal(counts, again) or torch.equal(counts, again + 1):
        why = (
            "a row that had stopped goes on thinking, because the rule is asked about it again. "
            "Remember who has stopped"
        )
    elif torch.equal(counts, right.min().expand_as(right)):
        why = (
            "the whole batch halts at the first row that wants to (.any()). A row that stops must "
            "not stop the others"
        )
    elif torch.equal(counts, right.max().expand_as(right)):
        why = (
            "the whole batch thinks on until its last row stops (.all()). Count for each row by "
            "itself"
        )
    elif torch.equal(counts, right + 1) or torch.equal(counts, (right + 1).clamp(max=most)):
        why = (
            "you count one thought too many: the rule is asked after k = 0, 1, 2, … thoughts, and "
            "a row that stops at k has had k"
        )
    elif bool((counts > most).any()):
        why = f"a row has more than `most` thoughts. After {most} it stops in any case"
    elif torch.equal(counts[right > 0], right[right > 0]):
        why = "the rule is not asked at k = 0, after no thought at all. It may stop there"
    else:
        why = "a row's count is wrong"
    raise CheckFailed(f"{name}: {why}: {said}.")
