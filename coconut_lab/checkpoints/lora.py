"""What of a large model is trained: its new tokens alone, or low-rank adapters beside them."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from coconut_lab.curriculum.tokenizer import BOT, EOT, PAUSE, THOUGHT, token_id
from coconut_lab.errors import checks_kinds
from coconut_lab.model.coconut import Coconut


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on every linear layer, through the library `peft`.

    Attributes:
        rank: of the two small matrices beside each weight.
        alpha: their product is scaled by alpha / rank.
        dropout: share of their input that is dropped in training.
        seed: of one of the two matrices; the other starts at zero.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    seed: int = 0


def import_peft() -> Any:
    """Import the library, or say how to install it."""
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise ImportError(
            "lora needs the library peft, which is not installed: pip install 'coconut-lab[lora]' "
            "(or pip install peft); without it, leave lora out"
        ) from error


def add_lora(peft: Any, language_model: Any, lora: Lora) -> None:
    """Put adapters beside every linear layer of a model; changed in place."""
    # GPT-2 keeps its matrices the other way round (Conv1D).
    turned = any(type(module).__name__ == "Conv1D" for module in language_model.modules())
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers for something under an old name, which warns.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(lora.seed)
        # The adapters go into the model itself; the wrapper around it is not needed.
        peft.get_peft_model(
            language_model,
            peft.LoraConfig(
                task_type="CAUSAL_LM",
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules="all-linear",
                fan_in_fan_out=turned,
            ),
        )


@checks_kinds(ValueError)
def merge_lora(model: Coconut) -> int:
    """Add low-rank adapters to the weights beside them, so that the model is a plain one again.

    Args:
        model: changed in place; afterwards `save_pretrained` and `from_pretrained` work.

    Returns:
        How many adapters were merged.
    """
    adapters = [
        (name, module)
        for name, module in model.language_model.named_modules()
        if hasattr(module, "get_base_layer") and hasattr(module, "merge")
    ]
    for name, module in adapters:
        module.merge()
        parent, _, last = name.rpartition(".")
        setattr(model.language_model.get_submodule(parent), last, module.get_base_layer())
    return len(adapters)


def train_new_tokens(model: Coconut, keep: bool = False) -> None:
    """Let gradient reach the input embeddings of the thought tokens, and no other own weight.

    The model is changed in place; other rows of its embedding get zero gradient. A token that was
    added since (`<pause>`) is included when this is called again. `keep` leaves other parameters
    as they are, trained or not.
    """
    if not keep:
        model.requires_grad_(False)
    weight = model.language_model.get_input_embeddings().weight
    weight.requires_grad_(True)
    new = (token_id(model.tokenizer, token) for token in (BOT, EOT, THOUGHT, PAUSE))
    rows = torch.zeros(weight.shape[0], 1, dtype=torch.bool)
    rows[[index for index in new if index is not None]] = True
    if not hasattr(weight, "trained_rows"):  # nor has a copy of the model, which loses the hook
        weight.register_hook(lambda gradient: gradient * weight.trained_rows.to(gradient.device))
    weight.trained_rows = rows
    model.new_tokens_only = True
