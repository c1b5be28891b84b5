"""Whether a model can think, tried on a few tokens when it is wrapped.

Thoughts are right only where passes behind a cache give what one whole pass gives, and where a
model reads nothing but input embeddings. Which models do is not looked up in a list: a few short
rows are run both ways, with padding and with a hidden state fed back, and gradients are compared.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from coconut_lab.model.modes import evaluating
from coconut_lab.model.outputs import ModelError
from coconut_lab.model.passes import Passes, keep_last_layer, prepare, skips_last_layer

#: How far passes may be from a whole one, as a share of the spread of the logits; and of gradients,
#: as a share of their length. The second is for half precision and quantised weights.
CLOSE, ROUGH = (1e-3, 1e-2), (5e-2, 0.5)

#: Columns of the rows, where the thought is, and how many columns of each row are padding.
COLUMNS, THOUGHT, PADDING = 12, 8, (0, 3, 10)


def try_model(model: Any) -> str:
    """Refuse a `Coconut` whose thoughts would be wrong; let the others take their shortcuts.

    Returns:
        Why the model cannot be trained, if it can only be read; else nothing.

    Raises:
        ModelError: what differs.
    """
    shortened = prepare(model.backbone) if model.fast else False
    if model.device.type == "meta":
        return ""
    fault = _fault(model, learns=True)
    if fault and shortened:
        keep_last_layer(model.backbone)
        fault = _fault(model, learns=True)
    if fault and (worse := _fault(model, learns=False)):
        raise ModelError(
            f"{type(model.language_model).__name__} cannot think: {worse}; thoughts need a "
            "decoder-only model with a key-value cache, such as GPT-2, Llama, Qwen or Mistral"
        )
    return fault


def _fault(model: Any, learns: bool) -> str:
    """Say what goes wrong in the trial, if anything; it changes neither mode nor random numbers."""
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.inference_mode(False),
            torch.set_grad_enabled(learns),
            evaluating(model.language_model),
        ):
            return _difference(model, learns)
    except ModelError as error:
        return str(error)
    except Exception as error:  # models that are built otherwise fail in as many ways
        return f"a few tokens on trial end in {type(error).__name__}: {str(error)[:300]}"


def _difference(model: Any, learns: bool) -> str:
    """Run rows in three passes behind a cache, and each alone as a whole; say what differs."""
    language_model = model.language_model
    ids = torch.arange(len(PADDING) * COLUMNS, device=model.device).view(-1, COLUMNS)
    ids = ids * max(1, len(model.tokenizer) // ids.numel()) % len(model.tokenizer)
    mask = (torch.arange(COLUMNS) >= torch.tensor(PADDING)[:, None]).long().to(ids.device)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    inputs = model.embed(ids).detach().requires_grad_(learns)  # (B, T, d)

    model.late_padding = True
    run = Passes(model).start(mask, unread=THOUGHT - 1)
    hidden = [run(inputs[:, :THOUGHT], places[:, :THOUGHT])[:, -1:]]
    hidden.append(run(hidden[0].to(inputs.dtype), places[:, THOUGHT : THOUGHT + 1]))
    hidden.append(run(inputs[:, THOUGHT + 1 :], places[:, THOUGHT + 1 :]))
    got = _numbers(model.head(torch.cat(hidden, dim=1)))  # (B, T - THOUGHT + 1, V)
    if skips_last_layer(model.backbone) != run.left_out and model.fast:
        return "nothing of the last layer could be left out"

    def whole(row: Tensor) -> Tensor:
        """Logits (t, V) of a row (t, d) whose thought is that of a whole pass, without a cache."""
        if (start := len(row) - (COLUMNS - THOUGHT)) > 0:
            past = model.backbone(inputs_embeds=row[None, :start], use_cache=False)
            thought = past.last_hidden_state[0, -1:].to(row)
            row = torch.cat([row[:start], thought, row[start + 1 :]])
        return _numbers(language_model(inputs_embeds=row[None], use_cache=False).logits[0])

    want = [whole(row[padding:]) for row, padding in zip(inputs, PADDING, strict=True)]
    tail = [one[-got.shape[1] :] for one in want]
    with torch.no_grad():
        words = _numbers(language_model(input_ids=ids[:1], use_cache=False).logits[0])
        plain = _numbers(language_model(inputs_embeds=inputs[:1], use_cache=False).logits[0])
    if bool(words.isnan().any()):
        return "its logits are not numbers; weights are broken, or the number format overflowed"
    exact = (
        torch.finfo(inputs.dtype).eps < 1e-5
        and not getattr(language_model, "is_quantized", False)
        and not torch.is_autocast_enabled(inputs.device.type)
        and torch.get_float32_matmul_precision() == "highest"
    )
    far, far_gradient = CLOSE if exact else ROUGH
    far *= float(words.max() - words.min())
    compared = {
        "embeddings in place of token ids give other logits, as where each layer embeds anew": (
            plain, words,
        ),
        "it looks ahead: logits change with the tokens that follow": (
            want[0][:THOUGHT], words[:THOUGHT],
        ),
        "its logits are not its head applied to the last hidden state": (got[0, :1], tail[0][:1]),
        "one column behind a filled cache is not what it is in a whole pass": (
            got[0, 1:2], tail[0][1:2],
        ),
        "several columns behind a filled cache are not what they are in a whole pass": (
            got[0, 2:], tail[0][2:],
        ),
        "a row with padding on its left is not what it is alone": (got[1], tail[1]),
    }  # fmt: skip
    for what, (one, other) in compared.items():
        if not (apart := _apart(one, other, exact)) <= far:
            return f"{what} (logits are off by {apart:.2g})"
    model.late_padding = _apart(got[2, -len(tail[2]) :], tail[2], exact) <= far
    if not learns:
        return ""
    weights = torch.linspace(-1, 1, got.shape[-1]).cos()
    one, other = (
        torch.autograd.grad((logits * weights).sum(), inputs)[0][:2][mask[:2].bool()]
        for logits in (got[:2], torch.stack(tail[:2]))
    )
    if not bool((one - other).norm() <= far_gradient * other.norm()):
        return "the gradient through passes behind a cache is not that of a whole pass"
    return ""


def _apart(one: Tensor, other: Tensor, exact: bool) -> float:
    """How far logits (t, V) are apart: in the worst column, or in half of them where few are exact.

    An expert that is chosen otherwise after rounding is no fault.
    """
    apart = (one - other).detach().abs().amax(-1)
    return float(apart.max() if exact else apart.median())


def _numbers(logits: Tensor) -> Tensor:
    """Logits in one format and place; those that a model rules out count as nothing."""
    return logits.float().cpu().nan_to_num(torch.nan, 0.0, 0.0)
