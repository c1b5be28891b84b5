"""Weights as the published code saves them: a state dict, of a language model or of its Coconut.

There a Coconut holds its language model as `base_causallm`, and the input embedding once more as
`embedding`. Its new tokens have the same rows as here: those after the tokenizer's own, in the
order `<bot>`, `<eot>`, `<thought>`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from coconut_lab.model.outputs import ModelError, unfit_weights


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a state dict, from safetensors or as `torch.save` wrote it; no code of it is run."""
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
        # `.shape`, so that what is no tensor fails here
        return {
            name.removeprefix("base_causallm."): w
            for name, w in state.items()
            if w.shape is not None
        }
    except Exception as error:  # a file may be broken in many ways
        raise ModelError(f"{file} cannot be read as a state dict: {str(error)[:300]}") from error


def fits(language_model: Any, state: dict[str, Tensor]) -> bool:
    """Whether weights have the sizes of a model's own."""
    own = language_model.state_dict()
    return all(own[name].shape == tensor.shape for name, tensor in state.items() if name in own)


def put_weights(language_model: Any, state: dict[str, Tensor], file: Path) -> None:
    """Give a model all of its weights from a state dict, or say what does not fit."""
    own = language_model.state_dict()
    weight = language_model.get_input_embeddings().weight
    embedding = next(name for name, one in own.items() if one.data_ptr() == weight.data_ptr())
    state = dict(state)
    if (again := state.pop("embedding.weight", None)) is not None:
        state.setdefault(embedding, again)
    given = {own[name].data_ptr() for name in state if name in own}
    unfit = unfit_weights(
        [name for name, one in own.items() if one.data_ptr() not in given],
        [name for name in state if name not in own],
        [name for name, one in state.items() if name in own and own[name].shape != one.shape],
    )
    if unfit:
        raise ModelError(f"{file} does not fit {type(language_model).__name__}: {unfit}")
    language_model.load_state_dict(state, strict=False)
