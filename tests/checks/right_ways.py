"""Right solutions of the exercises, written differently from those of the notebooks."""

from __future__ import annotations

import torch
from planted_mistakes.models import thought_by_thought

from coconut_lab.curriculum.curriculum import Curriculum


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
    ("encode_stage", encode_stage_by_the_package),
    ("make_labels", labels_by_rows),
    ("count_thoughts", counts_by_the_package),
    ("plan", plan_backwards),
    ("reach", reach_by_backward),
]
