"""Making the models that recipes start from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from coconut_lab.checkpoints.pretrained import from_hub
from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import add_pause_token, pause_token, word_tokenizer
from coconut_lab.model.coconut import Coconut
from coconut_lab.training.recipe import ModelPart


def new_model(part: ModelPart, names: Sequence[str], seed: int) -> Coconut:
    """Make a Llama-shaped model with weights from the seed, and a word-level tokenizer of names."""
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


def first_model(
    part: ModelPart, names: Sequence[str], seed: int, curriculum: Curriculum
) -> Coconut:
    """Make or load the model that a recipe starts from; names and seed are for a new one."""
    if part.hub is not None:
        return from_hub(part.hub, curriculum).model
    if part.start is not None:
        return load(part.start).model
    return new_model(part, names, seed)


def add_pause(model: Coconut) -> None:
    """Give a model the token `<pause>`; its embedding starts as a copy of that of `<thought>`.

    In the tiny models nothing has trained that row, and a copy needs no random numbers. A model
    that has the token stays as it is.
    """
    if not add_pause_token(model.tokenizer):
        return
    language_model = model.language_model
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        language_model.resize_token_embeddings(len(model.tokenizer), mean_resizing=False)
        pause = pause_token(model.tokenizer)
        for table in (
            language_model.get_input_embeddings(),
            language_model.get_output_embeddings(),
        ):
            table.weight[pause] = table.weight[model.tokens.thought]
