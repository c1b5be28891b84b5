"""A language model and its tokenizer as one module: backbone, embeddings, head, saving."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.files import new_folder
from coconut_lab.model.passes import prepare
from coconut_lab.model.saving import load_files, write_files
from coconut_lab.model.support import check_model


class Wrapper(nn.Module):
    """What `Coconut` needs of a language model; see there for the arguments."""

    def __init__(self, language_model: Any, tokenizer: Any, *, fast: bool = True) -> None:
        super().__init__()
        self.tokens = thought_tokens(tokenizer)
        self.language_model, self.tokenizer, self.fast = language_model, tokenizer, fast
        # The layers that FSDP gathers one at a time, named as in any model of the library.
        self._no_split_modules = getattr(language_model, "_no_split_modules", None)
        check_model(self)
        if fast:
            prepare(self.backbone)

    @property
    def backbone(self) -> Any:
        """The model without its head: embeddings in, last hidden states out."""
        return getattr(self.language_model, self.language_model.base_model_prefix)

    @property
    def config(self) -> Any:
        """The configuration of the language model."""
        return self.language_model.config

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
        """Write the files of `save_pretrained` into an existing folder.

        Args:
            folder: the folder.
            weights: the state to write, where this process holds only a part of it.
        """
        write_files(self, folder, weights)

    @classmethod
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
        return cls(*load_files(Path(folder), **options)).eval()
