"""Models as the hub would hold them: five architectures with random weights, in a folder."""

from pathlib import Path
from typing import Any

import torch
from shapes import CONFIGS, bpe_tokenizer
from transformers import AutoModelForCausalLM, Gemma2Config

from coconut_lab.tasks.problems import Problem

SHAPES = CONFIGS | {
    # Caps its logits and its attention, which only eager attention can do.
    "gemma2": lambda vocab: Gemma2Config(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8,
        max_position_embeddings=64, sliding_window=6, final_logit_softcapping=30.0,
        initializer_range=0.3, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    ),
}  # fmt: skip
ROOM = 512
PROBLEMS = [
    Problem(
        "Every yumpus is a rempus. Tom is a yumpus. Is Tom a rempus or lempus?",
        ("Tom is a yumpus.", "Every yumpus is a rempus."),
        "Tom is a rempus.",
    ),
    Problem("Tom is a lempus. Is Tom a lempus or rempus?", ("Tom is a lempus.",), "Tom."),
]


def tokenizer() -> Any:
    """A BPE tokenizer trained here, without thought tokens and without a padding token."""
    return bpe_tokenizer(thoughts=False)


def save(folder: Path, shape: str = "gpt2", **changes: Any) -> Path:
    """Write a random model of a shape with the BPE tokenizer, as the hub would hold it."""
    made = tokenizer()
    config = SHAPES[shape](len(made) + changes.pop("spare_rows", 0))
    settings = {"max_position_embeddings": ROOM, "eos_token_id": made.eos_token_id}
    for name, value in (settings | changes).items():
        setattr(config, name, value)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
