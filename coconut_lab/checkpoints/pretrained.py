"""Any decoder-only model, from the hub or a folder, made ready to think.

Thought tokens are added, and their embeddings start as copies of the embedding of a token that the
model knows. The published code copies `<<`, too; one version of it copied the new input embeddings
onto themselves (issues 35, 36 and 41 of its tracker), which left them random where the output
embedding is not tied to the input, and did no harm where it is. Here the rows of an output
embedding that is not tied are copied as well. Until training tells them apart, a model is as likely
to write a marker as the token that was copied.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from coconut_lab.checkpoints.lora import Lora, add_lora, import_peft, train_new_tokens
from coconut_lab.checkpoints.published import fits, put_weights, read_weights
from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.stages_and_masks import Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import (
    BOT,
    EOT,
    THOUGHT,
    TokenizerError,
    add_thought_tokens,
    token_id,
)
from coconut_lab.errors import checks_kinds
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.modes import quiet_loading
from coconut_lab.model.outputs import ModelError
from coconut_lab.model.wrapper import load_language_model
from coconut_lab.tasks.problems import Problem

#: Settings of the paper (section 4): thoughts for a step, and how many stages replace a step.
CURRICULA = {
    "gsm8k-aug": Curriculum("coconut", max_stage=3, thoughts_per_step=2),
    "prontoqa": Curriculum("coconut", max_stage=6, thoughts_per_step=1),
    "prosqa": Curriculum("coconut", max_stage=6, thoughts_per_step=1),
}


_UNKNOWN = (
    "there is no model {name!r} on the hub, and no folder of that name; check the spelling "
    "(owner/name), or log in with `hf auth login` if it is private"
)
_UNREACHABLE = (
    "{name!r} is not in the cache and the hub cannot be reached. Three ways: (1) give the path of "
    "a folder that save_pretrained wrote; (2) connect to the network, without HF_HUB_OFFLINE; (3) "
    "load it once with network, and it stays in the cache"
)
#: Errors of the hub, the most telling first, with what to say.
REASONS = {
    "GatedRepoError": "{name!r} is on the hub but asks you to accept its licence: do so on its "
    "page, then log in with `hf auth login`",
    "RepositoryNotFoundError": _UNKNOWN,
    "HFValidationError": _UNKNOWN,
    "RevisionNotFoundError": "{name!r} has no such revision; leave revision out for the newest",
    "LocalEntryNotFoundError": _UNREACHABLE,
    "OfflineModeIsEnabled": _UNREACHABLE,
    "ConnectionError": _UNREACHABLE,
}


@checks_kinds(ModelError)
def from_hub(
    name: str | Path,
    task: str | Curriculum,
    *,
    problems: Sequence[Problem] = (),
    max_new_tokens: int = 64,
    freeze: bool = False,
    lora: Lora | None = None,
    copy_from: str = "<<",
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    weights: str | Path | None = None,
) -> Checkpoint:
    """Load a decoder-only language model and its tokenizer, and make them ready to think.

    Args:
        name: on the Hugging Face hub, such as "openai-community/gpt2", or a folder that
            `save_pretrained` wrote. Weights are read as safetensors only.
        task: "prosqa", "prontoqa" or "gsm8k-aug", for the paper's curriculum, or a `Curriculum`.
        problems: problems that must fit into the model's positions (see `check_positions`).
        max_new_tokens: how much is written after a prompt, for the same check.
        freeze: train nothing but the input embeddings of the new tokens. `Trainer` spares that
            matrix AdamW's weight decay, which would shrink its other rows; elsewhere set it to 0.
        lora: also train low-rank adapters, and leave the model's own weights as they are; needs
            `peft`. `merge_lora` before saving.
        copy_from: the text whose first token the new embeddings start from.
        revision: a branch, tag or commit of the hub's repository.
        dtype: of the weights.
        weights: a file with other weights for this model, as the published code saves them: a
            state dict of the language model, or of its Coconut (names begin with
            `base_causallm.`), written by `torch.save` or as safetensors.

    Returns:
        Model (in evaluation mode, on the CPU), tokenizer, curriculum, and a card that says what
        was done. A tokenizer without padding token pads with its end of sequence.

    Raises:
        ModelError: the name is not known or cannot be reached, weights are missing or unknown,
            the model cannot think, or it has too few positions for `problems`.
        TokenizerError: no end-of-sequence token, or `copy_from` is no token.
        ImportError: `lora` without `peft`.
    """
    curriculum = CURRICULA.get(task) if isinstance(task, str) else task
    if curriculum is None:
        raise ModelError(
            f"task={task!r}; there are {', '.join(CURRICULA)}, or give a Curriculum of your own"
        )
    peft = import_peft() if lora else None
    name = str(name)
    settings: dict[str, Any] = {"revision": revision} if revision else {}
    safe = settings | {"trust_remote_code": False}
    config = _load(name, AutoConfig.from_pretrained, safe)
    _check_decoder(name, config)
    tokenizer = _load(name, AutoTokenizer.from_pretrained, safe)
    if tokenizer.eos_token_id is None:
        raise TokenizerError(
            f"the tokenizer of {name!r} has no end-of-sequence token, so nothing ends an answer, "
            "and nothing can stand in for a padding token; load it, set tokenizer.eos_token to a "
            "token of its vocabulary, and save it in a folder with the model"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    language_model = _load(name, load_language_model, settings | {"dtype": dtype})
    new = [token for token in (BOT, EOT, THOUGHT) if token_id(tokenizer, token) is None]
    state = None if weights is None else read_weights(Path(weights))
    if state and fits(language_model, state):  # of a model without thought tokens
        put_weights(language_model, state, Path(weights or ""))
        state = None
    copied = add_to_model(language_model, tokenizer, copy_from)
    if state:
        put_weights(language_model, state, Path(weights or ""))
    if lora:
        add_lora(peft, language_model, lora)
    model = Coconut(language_model, tokenizer).eval()
    if freeze or lora:
        train_new_tokens(model, keep=bool(lora))
    check_positions(model, problems, curriculum, max_new_tokens)
    parameters = list(model.parameters())
    card = {
        "name": name,
        "task": task if isinstance(task, str) else None,
        "curriculum": dataclasses.asdict(curriculum),
        "architecture": type(language_model).__name__,
        "tokens_added": new,
        "copied_from": copied,
        "freeze": freeze,
        "lora": dataclasses.asdict(lora) if lora else None,
        "parameters": sum(p.numel() for p in parameters),
        "parameters_that_get_gradient": sum(p.numel() for p in parameters if p.requires_grad),
    }
    if weights is not None:
        card["weights"] = str(weights)
    return Checkpoint(model, tokenizer, curriculum, card)


# --- loading -----------------------------------------------------------------------------------


def _load(name: str, function: Callable[..., Any], settings: dict[str, Any]) -> Any:
    try:
        with quiet_loading():
            return function(name, **settings)
    except Exception as error:  # the libraries raise many kinds
        raise ModelError(_reason(name, error)) from error


def _reason(name: str, error: BaseException) -> str:
    """Say in words why a model could not be loaded, from the chain of errors."""
    kinds: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(kinds) < 20:
        kinds += [kind.__name__ for kind in type(cause).__mro__]
        cause = cause.__cause__ or cause.__context__
    if os.path.isdir(name):
        return (
            f"the folder {name} cannot be loaded as a model with its tokenizer: {error}; "
            "save_pretrained of both writes what is needed, with weights as safetensors"
        )
    for kind, reason in REASONS.items():
        if kind in kinds:
            return reason.format(name=name)
    return f"{name!r} cannot be loaded: {error}"


def _check_decoder(name: str, config: Any) -> None:
    """Refuse encoders by their configuration, before any weight is fetched."""
    kind = config.model_type
    encoder = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    if config.is_encoder_decoder or encoder or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        what = "an encoder-decoder" if config.is_encoder_decoder else "an encoder"
        if not (config.is_encoder_decoder or encoder):
            what = "no language model that predicts the next token"
        raise ModelError(
            f"{name!r} ({kind}) is {what}; thoughts need a decoder-only model, such as GPT-2, "
            "Llama, Qwen, Gemma or Mistral"
        )


# --- tokens ------------------------------------------------------------------------------------


def add_to_model(language_model: Any, tokenizer: Any, copy_from: str = "<<") -> str:
    """Add the thought tokens to a tokenizer and its model, as copies of the first of a text.

    Both are changed in place; tokens that are there already keep their embeddings. Gives the token
    that was copied.
    """
    try:
        ids = tokenizer(copy_from, add_special_tokens=False).input_ids
    except Exception:  # what a word-level tokenizer without an unknown token raises
        ids = []
    if not ids or ids[0] == tokenizer.unk_token_id:
        raise TokenizerError(
            f"copy_from={copy_from!r} is no token of this tokenizer; give a text that it knows"
        )
    source = ids[0]
    tokens = [token for token in (BOT, EOT, THOUGHT) if token_id(tokenizer, token) is None]
    add_thought_tokens(tokenizer)
    add_rows(language_model, tokenizer, tokenizer.convert_tokens_to_ids(tokens), source)
    return str(tokenizer.convert_ids_to_tokens(source))


@torch.no_grad()
def add_rows(language_model: Any, tokenizer: Any, new: list[int], source: int) -> None:
    """Embed all tokens of a tokenizer, new ones as copies of another; changed in place."""
    rows = language_model.get_input_embeddings().weight.shape[0]
    need = max([len(tokenizer), *(index + 1 for index in new)])
    if rows < need:  # never fewer: some models have spare rows
        with torch.random.fork_rng(devices=[]):  # new rows are drawn, and overwritten below
            language_model.resize_token_embeddings(need, mean_resizing=False)
    matrices: list[Tensor | None] = [language_model.get_input_embeddings().weight]
    output = language_model.get_output_embeddings()
    if output is not None:  # with tied embeddings this copies the same rows once more
        matrices += [output.weight, getattr(output, "bias", None)]
    for matrix in matrices:
        if matrix is not None and new:
            matrix[new] = matrix[source].clone()


@checks_kinds(ModelError)
def check_positions(
    model: Coconut,
    problems: Iterable[Problem],
    curriculum: Curriculum,
    max_new_tokens: int = 64,
) -> int:
    """Make sure that problems fit into a model at every stage, before anything is trained.

    Args:
        model: the model with its tokenizer.
        problems: the problems.
        curriculum: how they are encoded.
        max_new_tokens: how much is written after a prompt.

    Returns:
        How many positions the longest needs (0 without problems).

    Raises:
        ModelError: the model has fewer; the message names the row.
    """
    needs = [(0, 0, "")]
    for index, parts in enumerate(tokenize(problems, model.tokenizer)):
        for stage in range(curriculum.max_stage + 1):  # past the last, none is longer
            ids = curriculum.arrange(parts, model.tokenizer, stage).input_ids
            needs.append((len(ids), index, f"in training at stage {stage}"))
        thoughts = curriculum.thoughts_in_prompt(len(parts.steps), curriculum.max_stage)
        prompt = len(parts.question) + thoughts + 2 * curriculum.rule.markers
        place = f"for its prompt and {max_new_tokens} new tokens"
        needs.append((prompt + max_new_tokens, index, place))
    longest, row, place = max(needs, key=lambda need: need[0])
    limit = model.positions
    if limit is not None and longest > limit:
        raise ModelError(
            f"problem {row} needs {longest} positions {place}, but the model has {limit} "
            "(max_position_embeddings); leave long problems out, lower max_new_tokens, or take a "
            "model with more positions"
        )
    return longest
