"""What a run begins with: its model, and the optimizer of that."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from coconut_lab.checkpoints.lora import train_new_tokens
from coconut_lab.checkpoints.pretrained import add_rows, from_hub
from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import (
    add_pause_token,
    pause_token,
    token_id,
    word_tokenizer,
    words_known,
)
from coconut_lab.model.coconut import Coconut
from coconut_lab.training.recipe import ModelPart, OptimizerPart


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
        tie_word_embeddings=part.tied,
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
        return with_names(load(part.start).model, names, seed)
    return new_model(part, names, seed)


def with_names(model: Coconut, names: Sequence[str], seed: int) -> Coconut:
    """Give a model of small problems the names of larger ones; one that has them stays as it is.

    It keeps the rows of the words it knows. Those of new names are drawn from the seed, with the
    mean and the spread of the rows of names that it knows.
    """
    old = model.tokenizer
    known = [index for name in names if (index := token_id(old, name)) is not None]
    if words_known(old) is None or len(known) == len(names):
        return model
    tokenizer, generator = word_tokenizer(names), torch.Generator().manual_seed(seed)
    state = model.language_model.state_dict()
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        rows = state[key]  # (V, d)
        noise = torch.randn(len(tokenizer), rows.shape[1], generator=generator)
        state[key] = rows[known].mean(0) + rows[known].std(0) * noise
        for word, index in tokenizer.get_vocab().items():
            if (before := token_id(old, word)) is not None:
                state[key][index] = rows[before]
    config = copy.deepcopy(model.language_model.config)
    config.vocab_size = len(tokenizer)
    grown = LlamaForCausalLM(config)
    grown.load_state_dict(state)
    return Coconut(grown, tokenizer)


def new_optimizer(model: Coconut, part: OptimizerPart) -> torch.optim.Optimizer:
    """Make AdamW for the weights that are trained; it is to change no row that has to stay."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [{"params": trained, "weight_decay": part.weight_decay}]
    if model.new_tokens_only:  # decay would shrink the rows that stay
        train_new_tokens(model, keep=True)  # a copy of a model has lost its hook
        table = model.language_model.get_input_embeddings().weight
        others = [weight for weight in trained if weight is not table]
        groups = [{**groups[0], "params": others}, {"params": [table], "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=part.lr,
        betas=(part.beta1, part.beta2),
        fused=True,
    )


def fingerprint(model: Coconut) -> str:
    """A hash of what a run begins with: all weights' names, some numbers of each, what is trained.

    A factor beside a weight, such as alpha / rank of an adapter, counts as well.
    """
    found = hashlib.sha256()
    for name, module in model.named_modules():
        found.update(f"{name} {getattr(module, 'scaling', '')}".encode())
    for name, weight in model.named_parameters():
        found.update(f"{name} {tuple(weight.shape)} {weight.requires_grad}".encode())
        some = weight.detach().flatten()[:: max(1, weight.numel() // 1000)].cpu().contiguous()
        found.update(some.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def add_pause(model: Coconut) -> None:
    """Give a model the token `<pause>`; its embedding starts as a copy of that of `<thought>`.

    In the tiny models nothing has trained that row, and a copy needs no random numbers. A model
    that has the token stays as it is.
    """
    if add_pause_token(model.tokenizer):
        new = [pause_token(model.tokenizer)]
        add_rows(model.language_model, model.tokenizer, new, model.tokens.thought)
        if model.new_tokens_only:
            train_new_tokens(model, keep=True)
