"""The latent forward: hidden states fed back as input embeddings, with a key-value cache.

Language mode feeds token embeddings, `E_t = [e(x_1) … e(x_t)]`. Between `<bot>` and `<eot>`, in
latent mode, the input at each placeholder is the last hidden state of the position before it:
`E_t = [e(x_1) … e(x_i), h_i, h_{i+1} … h_{t-1}]` (Hao et al. 2024, section 3). Each thought needs
the one before it, so n thoughts take n + 1 passes; the cache spares recomputing earlier positions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.files import new_folder
from coconut_lab.model.fast.activation_checkpointing import recomputing
from coconut_lab.model.fast.cache import keep_freed_memory, roomy_cache
from coconut_lab.model.fast.last_layer import reading_from, shorten
from coconut_lab.model.fast.llama_on_cpu import runner
from coconut_lab.model.modes import eager_attention, evaluating, quiet_loading
from coconut_lab.model.outputs import (
    CoconutOutput,
    LatentStates,
    ModelError,
    feed_back,
    gather_thoughts,
    join_attentions,
    join_layers,
)

FORMAT_FILE = "coconut.json"
FORMAT = 1
IGNORED = -100


class Coconut(nn.Module):
    """A decoder-only language model that can think in its hidden states.

    Args:
        language_model: any decoder-only `transformers` model with a language-model head.
        tokenizer: its tokenizer, with the thought tokens (`add_thought_tokens`).

    Raises:
        TokenizerError: the tokenizer lacks a thought token.
        ModelError: the model is no decoder-only language model, its embedding has fewer rows than
            the tokenizer has tokens, or its logits are not a function of the last hidden state.
    """

    def __init__(self, language_model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.tokens = thought_tokens(tokenizer)
        self.tokenizer = tokenizer
        self.language_model = language_model
        # The layers that FSDP gathers one at a time, named as in any model of the library.
        self._no_split_modules = getattr(language_model, "_no_split_modules", None)
        config = language_model.config
        if getattr(config, "is_encoder_decoder", False) or (
            language_model.get_output_embeddings() is None
        ):
            raise ModelError(
                f"{type(language_model).__name__} is no decoder-only language model; "
                "load one with AutoModelForCausalLM"
            )
        rows = language_model.get_input_embeddings().weight.shape[0]
        if rows < len(tokenizer):
            raise ModelError(
                f"the tokenizer has {len(tokenizer)} tokens but the model embeds only {rows}; call "
                "language_model.resize_token_embeddings(len(tokenizer))"
            )
        keep_freed_memory()
        self._check_head()
        shorten(self.backbone)

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
        config = self.config
        if (scale := getattr(config, "logit_scale", None)) is not None:  # Cohere
            logits = logits * scale
        if (scale := getattr(config, "logits_scaling", None)) is not None:  # Granite
            logits = logits / scale
        if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma 2
            logits = cap * torch.tanh(logits / cap)
        return logits

    @torch.no_grad()
    def _check_head(self) -> None:
        """Make sure that `head` on the backbone gives the model's own logits, on two tokens."""
        if self.device.type == "meta":
            return
        ids = torch.tensor([[self.tokens.bot, self.tokens.eot]], device=self.device)
        with evaluating(self.language_model):
            want = self.language_model(input_ids=ids).logits
            got = self.head(self.backbone(input_ids=ids).last_hidden_state)
        if not torch.allclose(want, got, rtol=1e-2, atol=1e-2):
            raise ModelError(
                f"the logits of {type(self.language_model).__name__} are not its head applied to "
                "the last hidden state; this architecture is not supported"
            )

    def latent_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        detach_thoughts: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        also_cut: Sequence[int] = (),
        recompute: bool = False,
        read_from: int = 0,
        cache: Any = None,
    ) -> LatentStates:
        """Run all passes over a batch.

        The columns that hold a placeholder in any row cut the batch into segments; each segment is
        one pass over all rows. Rows whose placeholders share columns (as `collate` arranges them)
        need n + 1 passes; a misaligned batch gives the same result in more.

        Args:
            input_ids: (B, T) int64; `<thought>` marks where a hidden state is fed back.
            attention_mask: (B, T), 1 for real tokens; None if there is no padding.
            position_ids: (B, T) int64; None counts real tokens from 0.
            detach_thoughts: cut the gradient through the thoughts (for teaching).
            output_attentions: also return the attention weights.
            output_hidden_states: also return the hidden states of all layers.
            also_cut: columns that begin a pass although no row here has a placeholder there:
                processes that share weights (FSDP) have to make the same passes.
            recompute: keep little of the question for the backward pass and compute it again there.
            read_from: the first column whose hidden state will be used; the last layer is left out
                before it, except where a thought comes from. The result has no hidden states of
                columns that were left out.
            cache: an empty cache to fill, such as `roomy_cache` makes; None makes one.

        Returns:
            The hidden states, the thoughts and the cache.

        Raises:
            ModelError: wrong shapes, a placeholder with nothing before it, or more positions than
                the model has.
        """
        if input_ids.ndim != 2 or 0 in input_ids.shape:
            raise ModelError(
                f"input_ids must be (rows, columns), at least one of each, "
                f"not {tuple(input_ids.shape)}"
            )
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if position_ids is None:
            position_ids = (attention_mask.long().cumsum(1) - 1).clamp(min=0)
        is_thought = self._check_batch(input_ids, attention_mask, position_ids)  # (B, T)

        embeds = self.embed(input_ids)  # (B, T, d)
        columns = sorted({*is_thought.any(0).nonzero().flatten().tolist(), *also_cut})
        if cache is None:
            cache = roomy_cache(self.config, input_ids.shape[1])
        # Without padding there is nothing to mask but the future, which the model does itself.
        mask = None if bool(attention_mask.all()) else attention_mask
        hidden: list[Tensor] = []
        extras: list[Any] = []
        fed_back: list[Tensor] = []
        # Attention weights and hidden states of all layers are asked for in every column.
        whole = output_attentions or output_hidden_states
        unread = 0 if whole else max(0, min(read_from, columns[0] - 1 if columns else read_from))
        # One split, not slices: the gradient of each slice would be a zero-filled (B, T, d).
        bounds = [0, *columns, input_ids.shape[1]]
        segments = embeds.split([stop - start for start, stop in pairwise(bounds)], dim=1)
        with eager_attention(self.language_model, output_attentions):
            for (start, stop), inputs in zip(pairwise(bounds), segments, strict=True):
                if hidden:
                    thought = hidden[-1][:, 0].to(embeds.dtype)  # (B, d)
                    if detach_thoughts:
                        thought = thought.detach()
                    fed_back.append(thought)
                    inputs = feed_back(inputs, thought, is_thought[:, start])
                skipped = 0 if hidden else unread
                again = recompute and not hidden and torch.is_grad_enabled()
                with reading_from(skipped), recomputing(self.backbone) if again else nullcontext():
                    output = runner(self.backbone, cache)(
                        inputs_embeds=inputs,
                        attention_mask=None if mask is None else mask[:, :stop],
                        position_ids=position_ids[:, start:stop],
                        past_key_values=cache,
                        use_cache=True,
                        output_attentions=output_attentions,
                        output_hidden_states=output_hidden_states,
                    )
                last = output.last_hidden_state[:, start + skipped - stop :]
                # The last column stands alone, so that it can be fed back.
                kept = last.shape[1]
                hidden += last.split([kept - 1, 1], dim=1) if kept > 1 else [last]
                extras.append(output)
        thoughts, counts = gather_thoughts(fed_back, is_thought, columns, embeds)
        return LatentStates(
            hidden=torch.cat(hidden, dim=1),
            first_column=unread,
            thoughts=thoughts,
            thought_counts=counts,
            cache=cache,
            passes=len(extras),
            attentions=join_attentions(extras) if output_attentions else None,
            hidden_states=join_layers(extras) if output_hidden_states else None,
        )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        detach_thoughts: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        also_cut: Sequence[int] = (),
        recompute: bool = False,
    ) -> CoconutOutput:
        """Think and predict: the loss of a batch, or its logits.

        Args:
            input_ids: (B, T) int64; `<thought>` marks where a hidden state is fed back.
            attention_mask: (B, T), 1 for real tokens; None if there is no padding.
            position_ids: (B, T) int64; None counts real tokens from 0.
            labels: (B, T) int64, -100 where nothing is supervised; not shifted.
            detach_thoughts: cut the gradient through the thoughts (for teaching).
            output_attentions: also return the attention weights.
            output_hidden_states: also return the hidden states of all layers.
            also_cut: columns that begin a pass although no row here has a placeholder there:
                processes that share weights (FSDP) have to make the same passes.
            recompute: keep little of the question for the backward pass and compute it again there.

        Returns:
            Loss, logits and thoughts.

        Raises:
            ModelError: as `latent_states`; also labels of another shape, or none at all labelled.
        """
        if labels is not None and labels.shape != input_ids.shape:
            raise ModelError(
                f"labels have shape {tuple(labels.shape)}, input_ids {tuple(input_ids.shape)}"
            )
        read_from, next_labels, labelled = 0, None, None
        if labels is not None:
            next_labels = F.pad(labels[:, 1:], (0, 1), value=IGNORED)  # (B, T)
            labelled = next_labels != IGNORED
            if not (somewhere := labelled.any(0).nonzero()).numel():
                raise ModelError("no position of the batch is labelled, so there is no loss")
            read_from = int(somewhere[0])
        states = self.latent_states(
            input_ids,
            attention_mask,
            position_ids,
            detach_thoughts=detach_thoughts,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            also_cut=also_cut,
            recompute=recompute,
            read_from=read_from,
        )
        loss = None
        if next_labels is None or labelled is None:
            logits = self.head(states.hidden)
        else:
            read = labelled[:, states.first_column :]
            logits = self.head(states.hidden[read])  # (M, V)
            loss = F.cross_entropy(
                logits.float() if logits.dtype != torch.float64 else logits, next_labels[labelled]
            )
        return CoconutOutput(
            loss=loss,
            logits=logits,
            labelled=labelled,
            thoughts=states.thoughts,
            thought_counts=states.thought_counts,
            passes=states.passes,
            attentions=states.attentions,
            hidden_states=states.hidden_states,
        )

    def _check_batch(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor
    ) -> Tensor:
        """Check a batch before any work is done, and find its placeholders (B, T)."""
        for name, tensor in (("attention_mask", attention_mask), ("position_ids", position_ids)):
            if tensor.shape != input_ids.shape:
                raise ModelError(
                    f"{name} has shape {tuple(tensor.shape)}, input_ids {tuple(input_ids.shape)}"
                )
        is_thought = (input_ids == self.tokens.thought) & attention_mask.bool()
        before = F.pad(attention_mask.bool()[:, :-1], (1, 0))
        orphans = (is_thought & ~before).nonzero()
        if len(orphans):
            row, column = orphans[0].tolist()
            raise ModelError(
                f"row {row} has a <thought> at column {column} with no token before it, so there "
                "is no hidden state to feed back; a thought follows <bot>"
            )
        limit = getattr(self.config, "max_position_embeddings", None)
        if limit is not None and (longest := int(position_ids.max()) + 1) > limit:
            row = int(position_ids.max(1).values.argmax())
            raise ModelError(
                f"row {row} has {longest} positions but the model only {limit}; use shorter "
                "problems, fewer thoughts, or a model with more positions"
            )
        if self.training and getattr(self.backbone, "gradient_checkpointing", False):
            raise ModelError(
                "gradient checkpointing drops the key-value cache that the latent forward needs; "
                "call language_model.gradient_checkpointing_disable() and use recompute=True"
            )
        return is_thought

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write weights (safetensors), configuration and tokenizer to a folder, all or nothing.

        Args:
            folder: made, or replaced as a whole.

        Raises:
            ModelError: the model has low-rank adapters; a plain model cannot read them.
        """
        with new_folder(folder) as temporary:
            self.write_files(temporary)

    @property
    def has_adapters(self) -> bool:
        """Whether low-rank adapters stand beside weights (`from_hub(…, lora=Lora())`)."""
        return any(hasattr(module, "get_base_layer") for module in self.language_model.modules())

    def write_files(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write the files of `save_pretrained` into an existing folder.

        Args:
            folder: the folder.
            weights: the state to write, where this process holds only a part of it.
        """
        if self.has_adapters:
            raise ModelError("the model has low-rank adapters; call merge_lora(model) first")
        if weights is not None:
            weights = {name.removeprefix("language_model."): w for name, w in weights.items()}
        with quiet_loading():
            self.language_model.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)
        (folder / FORMAT_FILE).write_text(json.dumps({"format": FORMAT}) + "\n")

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], **options: Any) -> Coconut:
        """Load what `save_pretrained` wrote; nothing is fetched from anywhere.

        Args:
            folder: the folder.
            options: passed on to `AutoModelForCausalLM.from_pretrained`, for example `dtype`.

        Returns:
            The model, in evaluation mode, on the CPU unless `options` say otherwise.

        Raises:
            ModelError: the folder is missing, is no Coconut checkpoint, or is incomplete.
        """
        folder = Path(folder)
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
        return cls(language_model, tokenizer).eval()
