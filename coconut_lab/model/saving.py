"""The files of a checkpoint: a folder of the library, marked as one with thought tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from coconut_lab.model.modes import quiet_loading
from coconut_lab.model.outputs import ModelError

FORMAT_FILE = "coconut.json"
FORMAT = 1


def write_files(model: Any, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Write a `Coconut` into an existing folder; `weights` if this process holds only a part."""
    if model.has_adapters:
        raise ModelError("the model has low-rank adapters; call merge_lora(model) first")
    if weights is not None:
        weights = {name.removeprefix("language_model."): w for name, w in weights.items()}
    with quiet_loading():
        model.language_model.save_pretrained(folder, state_dict=weights)
    model.tokenizer.save_pretrained(folder)
    (folder / FORMAT_FILE).write_text(json.dumps({"format": FORMAT}) + "\n")


def load_files(folder: Path, **options: Any) -> tuple[Any, Any]:
    """Read the language model and the tokenizer that `write_files` wrote."""
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}")
    try:
        found = json.loads((folder / FORMAT_FILE).read_text())["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} is no Coconut checkpoint: it has no readable {FORMAT_FILE}; "
            "save_pretrained makes one"
        ) from error
    if found != FORMAT:
        raise ModelError(f"{folder} has format {found}; this version reads format {FORMAT}")
    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            load: Any = AutoModelForCausalLM.from_pretrained
            language_model, found = load(
                folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # the libraries raise many kinds, safetensors its own
        raise ModelError(f"{folder} cannot be loaded: {error}") from error
    if missing := sorted(found["missing_keys"]):  # the library would make them up
        raise ModelError(
            f"{folder} cannot be loaded: it lacks {len(missing)} weights, such as {missing[0]}"
        )
    return language_model, tokenizer
