"""Making the models that recipes start from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from coconut_lab.coconut import Coconut
from coconut_lab.recipe import ModelPart
from coconut_lab.tokenizer import word_tokenizer


def new_model(part: ModelPart, names: Sequence[str], seed: int) -> Coconut:
    """Make a Llama-shaped model with random weights and a word-level tokenizer.

    Args:
        part: its sizes.
        names: the names a node may have.
        seed: of the weights; the global generator is left as it was.

    Returns:
        The model.
    """
    tokenizer = word_tokenizer(names)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=part.width,
        intermediate_size=part.feed_forward,
        num_hidden_layers=part.layers,
        num_attention_heads=part.heads,
        head_dim=part.head_dim or part.width // part.heads,
        max_position_embeddings=part.positions,
        initializer_range=part.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Coconut(LlamaForCausalLM(config), tokenizer)
