"""Let a model think about many problems at once, and keep what it thought.

Thought k of a problem is the vector that is fed back at its k-th placeholder: the last hidden state
one column before. A model with pause tokens has hidden states at the same places; nothing of them
is fed back, which makes it a control. An `edit` changes what is fed there, the pause's embedding.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import pause_token, thought_tokens
from coconut_lab.errors import checks_kinds
from coconut_lab.inference.states_and_answers import heads_of
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.tasks.problems import Problem


@checks_kinds(ValueError)
def rows_with_thoughts(
    model: Coconut, problems: Sequence[Problem], curriculum: Curriculum, count: int
) -> list[list[int]]:
    """Token ids of the questions, `<bot>`, and `count` placeholders (or pause tokens)."""
    pauses = curriculum.rule.stand_in == "pauses"
    tokens = model.tokenizer
    fill = pause_token(tokens) if pauses else thought_tokens(tokens).thought
    return [[*head, *[fill] * count] for head in heads_of(model, curriculum, problems)]


def fed_at_pauses(model: Coconut) -> Tensor:
    """(d,): what a model reads at every pause of every problem, the embedding of `<pause>`."""
    return model.embed(torch.tensor(pause_token(model.tokenizer), device=model.device)).detach()


def editable(
    model: Coconut, curriculum: Curriculum, edit: Edit | None
) -> tuple[Curriculum, Edit | None]:
    """Let an edit of a model with pauses change its inputs there: thoughts that are pauses."""
    if edit is None or curriculum.rule.stand_in != "pauses":
        return curriculum, edit
    change, pause = edit, fed_at_pauses(model)
    inputs: Edit = lambda k, h, rows: change(k, pause.to(h).expand_as(h), rows)  # noqa: E731
    return dataclasses.replace(curriculum, method="coconut"), inputs


@checks_kinds(ValueError)
def thoughts_in(curriculum: Curriculum) -> int:
    """How many thoughts or pauses the prompts of the last stage hold; ValueError for none."""
    if curriculum.rule.stand_in is None:
        raise ValueError(f"the method {curriculum.method!r} has no thoughts to look into")
    return curriculum.max_stage * curriculum.thoughts_per_step


@checks_kinds(ValueError)
@torch.no_grad()
def think(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    layer: int | None = None,
    edit: Edit | None = None,
    batch_size: int = 256,
) -> Tensor:
    """Let a model think, and keep the thoughts.

    Args:
        model: the model, in evaluation mode.
        problems: what to think about.
        curriculum: makes the prompts.
        count: n, how many thoughts; None for as many as the last stage has.
        layer: take the hidden states after this layer instead of the last one, 0 for the input
            embeddings; through the final normalisation all the same ("logit lens").
        edit: changes thoughts before they are fed back, or what is fed at pauses; what is kept is
            what came out.
        batch_size: how many problems go through the model at once.

    Returns:
        (B, n, d) float32, on the CPU: the hidden states about to be fed back as thoughts 1 … n.

    Raises:
        ValueError: a method without thoughts or pauses, or no such layer.
        ModelError: more positions than the model has.
    """
    count = thoughts_in(curriculum) if count is None else count
    curriculum, edit = editable(model, curriculum, edit)
    rows = rows_with_thoughts(model, problems, curriculum, count)
    layers = model.config.get_text_config().num_hidden_layers
    if layer is not None and not 0 <= layer <= layers:
        raise ValueError(f"layer {layer} of a model with {layers}; give 0 to {layers}")
    found = []
    for start in range(0, len(rows), batch_size):
        batch = pad_prompts(rows[start : start + batch_size], model.tokenizer)

        def numbered(k: int, hidden: Tensor, here: Tensor, start: int = start) -> Tensor:
            assert edit is not None
            return edit(k, hidden, here + start)

        states = model.latent_states(
            *(value.to(model.device) for value in batch.values()),
            edit=edit and numbered,
            output_hidden_states=layer is not None,
        )
        hidden = states.hidden
        if layer is not None and layer < layers:
            assert states.hidden_states is not None
            hidden = final_norm(model)(states.hidden_states[layer])
        columns = slice(-count - 1, -1) if count else slice(0, 0)
        found.append(hidden[:, columns].float().cpu())
    return torch.cat(found)


def final_norm(model: Coconut) -> Any:
    """The last normalisation layer of a backbone: what the head reads has been through it."""
    for name in ("norm", "ln_f", "final_layer_norm", "final_layernorm", "layer_norm"):
        if hasattr(model.backbone, name):
            return getattr(model.backbone, name)
    raise ValueError(
        f"the final normalisation of {type(model.backbone).__name__} was not found, so its layers "
        "cannot be read through the head; read the last one"
    )


@checks_kinds(ValueError)
def untrained(model: Coconut, seed: int = 0, std: float = 0.1) -> Coconut:
    """A copy of a model with random matrices, N(0, std²): the control that knows nothing."""
    copied = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in copied.parameters():
            if weight.ndim > 1:
                fresh = torch.randn(weight.shape, generator=generator) * std
                weight.copy_(fresh.to(weight.device, weight.dtype))
    return copied.eval()
