"""Right solutions of the exercises, written differently from those of the notebooks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from planted_mistakes.batches import right_thoughts
from planted_mistakes.models import thought_by_thought

from coconut_lab import collate
from coconut_lab.checks.models import EOS
from coconut_lab.curriculum.curriculum import Curriculum, Example


def feed_back_by_all_layers(language_model, input_ids):
    first = language_model(input_ids=input_ids, output_hidden_states=True)
    thought = first.hidden_states[-1][:, -1]
    embeds = language_model.get_input_embeddings()(input_ids)
    inputs = torch.cat([embeds, thought.unsqueeze(1)], dim=1)
    second = language_model(inputs_embeds=inputs, output_hidden_states=True)
    return [thought, second.hidden_states[-1][:, -1, :]]


def feed_back_with_a_cache(language_model, input_ids):
    first = language_model.base_model(input_ids=input_ids, use_cache=True)
    thought = first.last_hidden_state[:, -1]
    second = language_model.base_model(
        inputs_embeds=thought[:, None], past_key_values=first.past_key_values, use_cache=True
    )
    return thought, second.last_hidden_state[:, 0]


def loop_over_whole_rows(language_model, input_ids, thought_id):
    """Every pass takes the whole row: what stands behind cannot be seen, so nothing changes."""
    inputs, thoughts = language_model.get_input_embeddings()(input_ids), []
    for column in range(input_ids.shape[1]):
        if input_ids[0, column] == thought_id:
            hidden = language_model.base_model(inputs_embeds=inputs).last_hidden_state
            thoughts.append(hidden[:, column - 1])
            inputs = inputs.clone()
            inputs[:, column] = thoughts[-1]
    return language_model.base_model(inputs_embeds=inputs).last_hidden_state, tuple(thoughts)


def cached_by_the_models_own_cache(language_model, ids, mask, positions, thought_id):
    columns = [c for c in range(ids.shape[1]) if ids[0, c] == thought_id]
    stops = [*columns, ids.shape[1]]
    output = language_model.base_model(
        input_ids=ids[:, : stops[0]],
        attention_mask=mask[:, : stops[0]],
        position_ids=positions[:, : stops[0]],
        use_cache=True,
    )
    hidden, thoughts = [output.last_hidden_state], []
    for start, stop in zip(columns, stops[1:], strict=True):
        thoughts.append(hidden[-1][:, -1])
        rest = language_model.get_input_embeddings()(ids[:, start + 1 : stop])
        output = language_model.base_model(
            inputs_embeds=torch.cat([thoughts[-1].unsqueeze(1), rest], dim=1),
            attention_mask=mask[:, :stop].bool(),
            position_ids=positions[:, start:stop],
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts


class _Tokens:
    """As much of a tokenizer as `collate` asks for."""

    def __init__(self, thought_id: int, pad_id: int) -> None:
        self.thought_id, self.pad_token_id, self.eos_token_id = thought_id, pad_id, EOS

    def convert_tokens_to_ids(self, token: str) -> int:
        return self.thought_id

    def convert_ids_to_tokens(self, index: int) -> str:
        return "<thought>"


def align_by_the_package(rows, thought_id, pad_id):
    examples = [Example(row, [-100] * len(row)) for row in rows]
    return collate(examples, _Tokens(thought_id, pad_id))


def gradients_by_backward(language_model, input_ids, labels, thought_id):
    hidden, thoughts = right_thoughts(language_model, input_ids, thought_id)
    for thought in thoughts:
        thought.retain_grad()
    logits = language_model.lm_head(hidden)
    F.cross_entropy(logits[0, :-1], labels[0, 1:]).backward()
    return tuple(thought.grad for thought in thoughts)


def encode_stage_by_the_package(problem, tokenizer, stage, max_stage, c):
    return Curriculum("coconut", max_stage, c).encode(problem, tokenizer, stage).input_ids


def labels_by_rows(input_ids, attention_mask, eot_id):
    labels = []
    for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
        first = ids.index(eot_id) + 1
        labels.append([ids[c] if c >= first and mask[c] else -100 for c in range(len(ids))])
    return torch.tensor(labels, dtype=torch.int32)


def counts_by_the_package(steps, stage, max_stage, c, pad_to_max):
    curriculum = Curriculum("coconut", max_stage, c, pad_to_max)
    return [
        curriculum.thoughts_in_training(steps, stage),
        curriculum.thoughts_in_prompt(steps, stage),
    ]


def plan_backwards(phases, steps_per_epoch, reset):
    stages = [stage for stage, epochs in phases for _ in range(epochs * steps_per_epoch)]
    begins = set(range(0, len(stages), steps_per_epoch))
    if reset == "stage":
        begins = {step for step in begins if step == 0 or stages[step] != stages[step - 1]}
    return [[stage, int(step in begins)] for step, stage in enumerate(stages)]


def reach_by_backward(language_model, input_ids, labels, thought_id, cut):
    lengths = []
    for column in [c for c in range(labels.shape[1]) if labels[0, c] != -100]:

        def once_more(inputs, place):
            hidden = language_model.base_model(inputs_embeds=inputs[:, :place])
            thought = hidden.last_hidden_state[:, -1]
            if cut:
                return thought.detach().requires_grad_()
            thought.retain_grad()
            return thought

        hidden, thoughts = thought_by_thought(language_model, input_ids, thought_id, once_more)
        scores = language_model.lm_head(hidden)[0, column - 1].log_softmax(-1)
        (-scores[labels[0, column]]).backward()
        lengths.append([thought.grad.norm().item() for thought in thoughts])
    return torch.tensor(lengths).T


OTHER_WAYS = [
    ("feed_back", feed_back_by_all_layers),
    ("feed_back", feed_back_with_a_cache),
    ("think_without_cache", loop_over_whole_rows),
    ("think_with_cache", cached_by_the_models_own_cache),
    ("align", align_by_the_package),
    ("thought_gradients", gradients_by_backward),
    ("encode_stage", encode_stage_by_the_package),
    ("make_labels", labels_by_rows),
    ("count_thoughts", counts_by_the_package),
    ("plan", plan_backwards),
    ("reach", reach_by_backward),
]
