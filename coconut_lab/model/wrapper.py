"""A language model and its tokenizer as one module: backbone, embeddings, head, files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.errors import checks_kinds
from coconut_lab.files import new_folder
from coconut_lab.model.modes import quiet_loading
from coconut_lab.model.outputs import ModelError, unfit_weights
from coconut_lab.model.support import check_model, unwrapped
from coconut_lab.model.trial import try_model

#: The file that marks a folder of the library as one whose tokens include thoughts.
FORMAT_FILE = "coconut.json"
FORMAT = 1


class Wrapper(nn.Module):
    """What `Coconut` needs of a language model; see there for the arguments."""

    new_tokens_only = False  # whether other rows of the embedding stay (`train_new_tokens`)
    begun = ("", "")  # the folder of the run that trains it, and a hash of what that began with

    def __init__(self, language_model: Any, tokenizer: Any, *, fast: bool = True) -> None:
        super().__init__()
        for value in (language_model, tokenizer):
            if isinstance(value, Wrapper) or not hasattr(value, "from_pretrained"):
                kind = f"{type(value).__name__} is neither a model nor a tokenizer of transformers"
                raise ModelError(f"{kind}; load them with AutoModelForCausalLM and AutoTokenizer")
        self.tokens = thought_tokens(tokenizer)
        self.language_model, self.tokenizer, self.fast = unwrapped(language_model), tokenizer, fast
        # The layers that FSDP gathers one at a time, named as in any model of the library.
        self._no_split_modules = getattr(self.language_model, "_no_split_modules", None)
        check_model(self)
        self.late_padding = True  # whether rows may be padded after the first pass
        self.untrainable = try_model(self)

    @property
    def backbone(self) -> Any:
        """The model without its head: embeddings in, last hidden states out."""
        model = self.language_model  # Llama 4 has its backbone under another name than it says
        return getattr(model, model.base_model_prefix, None) or model.model

    @property
    def config(self) -> Any:
        """The configuration of the language model."""
        return self.language_model.config

    @property
    def positions(self) -> int | None:
        """How many positions a row may have, if there is a limit.

        Past the original length, longrope turns the positions of a whole batch by other angles as
        soon as one row is that long, and those of columns in the cache not at all.
        """
        config = self.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None)
        rope = getattr(config, "rope_parameters", None) or {}
        if rope.get("rope_type") == "longrope":
            limit = rope["original_max_position_embeddings"]
        return limit if limit is not None and limit > 0 else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.language_model.get_input_embeddings().weight.device

    def embed(self, input_ids: Tensor) -> Tensor:
        """Turn token ids (B, T) into input embeddings (B, T, d): language mode's `e(x)`."""
        return self.language_model.get_input_embeddings()(input_ids)

    def head(self, hidden: Tensor) -> Tensor:
        """Read hidden states (…, d) as logits (…, V), exactly as the language model does.

        In latent mode this is a probe: nothing trains a thought to be a prediction.
        """
        logits = self.language_model.get_output_embeddings()(hidden)
        if (scale := getattr(self.config, "logit_scale", None)) is not None:  # Cohere
            logits = logits * scale
        if (scale := getattr(self.config, "logits_scaling", None)) is not None:  # Granite
            logits = logits / scale
        if (cap := getattr(self.config, "final_logit_softcapping", None)) is not None:  # Gemma 2
            logits = cap * torch.tanh(logits / cap)
        return logits

    @property
    def has_adapters(self) -> bool:
        """Whether there are low-rank adapters beside weights (`from_hub(…, lora=Lora())`)."""
        return any(hasattr(module, "get_base_layer") for module in self.language_model.modules())

    @checks_kinds(ModelError)
    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write weights (safetensors), configuration and tokenizer to a folder, all or nothing.

        Args:
            folder: made, or replaced as a whole.

        Raises:
            ModelError: the model has low-rank adapters; a plain model cannot read them.
        """
        with new_folder(folder) as temporary:
            self.write_files(temporary)

    def write_files(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write these files into an existing folder; `weights` if this process holds a part."""
        if self.has_adapters:
            raise ModelError("the model has low-rank adapters; call merge_lora(model) first")
        if weights is not None:
            weights = {name.removeprefix("language_model."): w for name, w in weights.items()}
        with quiet_loading():
            self.language_model.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)
        (folder / FORMAT_FILE).write_text(json.dumps({"format": FORMAT}) + "\n")

    @classmethod
    @checks_kinds(ModelError)
    def from_pretrained(cls, folder: str | os.PathLike[str], **options: Any) -> Self:
        """Load what `save_pretrained` wrote; nothing is fetched from anywhere.

        Args:
            folder: the folder.
            options: passed on to `AutoModelForCausalLM.from_pretrained`, for example `dtype`.

        Returns:
            The model, in evaluation mode, on the CPU unless `options` say otherwise.

        Raises:
            ModelError: the folder is missing, is no Coconut checkpoint, or is incomplete.
        """
        return cls(*_load_files(Path(folder), **options)).eval()


def _load_files(folder: Path, **options: Any) -> tuple[Any, Any]:
    if not os.path.isdir(folder):
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
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        language_model = load_language_model(folder, local_files_only=True, **options)
    except Exception as error:  # the libraries raise many kinds, safetensors its own
        raise ModelError(f"{folder} cannot be loaded: {error}") from error
    return language_model, tokenizer


def load_language_model(source: str | Path, **options: Any) -> Any:
    """Load a model with all of its weights and no others, from safetensors; runs no code of it."""
    load: Any = AutoModelForCausalLM.from_pretrained
    safe = {"use_safetensors": True, "trust_remote_code": False}
    with quiet_loading():
        language_model, found = load(source, output_loading_info=True, **safe, **options)
    unfit = unfit_weights(found["missing_keys"], found["unexpected_keys"])
    if unfit:  # the library would make up what is missing
        raise ModelError(unfit)
    return language_model
