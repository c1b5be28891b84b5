"""What a model thinks about a question, all thoughts and all answers, in one batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, Example
from coconut_lab.curriculum.tokenizer import ANSWER_MARK, pause_token, thought_tokens
from coconut_lab.explorers.stepper import naming
from coconut_lab.explorers.stepper.data import Question
from coconut_lab.interpretability.chances import name_tokens
from coconut_lab.interpretability.thinking import final_norm
from coconut_lab.tasks.notation import is_symbolic
from coconut_lab.tasks.problems import Problem

MOST_WORDS = 3  # kept of each thought, beside the nodes
LEAST_SHARE = 0.005  # of a word that is kept


def thoughts_trained(checkpoint: Checkpoint) -> int:
    """How many thoughts (or pauses in their place) a model was trained with.

    Raises:
        ValueError: its method has none between `<bot>` and `<eot>`.
    """
    curriculum = checkpoint.curriculum
    if curriculum.rule.stand_in is None or not curriculum.rule.markers:
        raise ValueError(f"the method {curriculum.method!r} has no thoughts to look into")
    return curriculum.max_stage * curriculum.thoughts_per_step


def readings_through(checkpoint: Checkpoint) -> list[str | int]:
    """What the thoughts of a model can be read through: the head, inner layers, `<eot>`."""
    layers = checkpoint.model.config.get_text_config().num_hidden_layers
    return ["head", *range(1, layers), "<eot>"]


@torch.no_grad()
def read(
    checkpoint: Checkpoint,
    question: Question,
    thoughts: int,
    through: str | int = "head",
    names: Question | None = None,
) -> tuple[dict[str, Any], str]:
    """Let a model think about a question and read every thought.

    One batch has everything: a row for each number of thoughts from 0 to n, with what the model
    is made to say after them. A name of several tokens is read by its first one; names that share
    it share its probability. An answer is the product over the tokens of the option.

    Args:
        checkpoint: the model.
        question: in any names; those that its tokenizer lacks are replaced.
        thoughts: n, how many thoughts it has; may be more than it was trained for.
        through: `"head"`, softmax(W h) of the bare thought; a layer's number, the same of that
            layer; `"<eot>"`, the next concept after `<eot>`, which also has a reading after 0.
        names: whose names and options to look for, if not the question's own.

    Returns:
        The `reading` of the schema in `data.py`, not rounded, and a line on the names that the
        model reads instead; "" if it reads the question's own.

    Raises:
        ProblemError: more names than the model has words for.
        ModelError: the question and its thoughts are longer than the model reads.
        ValueError: the model has no such layer.
    """
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    question, note = _in_its_words(question, tokenizer)
    names = _in_its_words(names, tokenizer)[0] if names else question
    symbolic = is_symbolic(question.problem.question)
    forced = ANSWER_MARK if symbolic else f"{ANSWER_MARK} {question.names[question.asked]} is a"
    marks = thought_tokens(tokenizer)
    pauses = checkpoint.curriculum.rule.stand_in == "pauses"
    fill = pause_token(tokenizer) if pauses else marks.thought
    asked = Problem(question.text(), (), question.statement.options[0])
    head = checkpoint.curriculum.prompt(asked, tokenizer, 0)[:-1]  # up to <bot>
    answer = tokenizer(forced, add_special_tokens=False).input_ids
    spoken = [] if symbolic else tokenizer("Every", add_special_tokens=False).input_ids
    options = name_tokens(forced, names.statement.options, tokenizer)
    # After each number of thoughts: each option after `###`, and what comes after `<eot>`. Rows
    # that are equal are read once: in symbols one row has it all.
    ends = [(marks.eot, *answer, *option[:-1]) for option in options]
    following = (marks.eot, *spoken)
    kinds = list(dict.fromkeys([*ends, following] if spoken else ends))
    rows = [[*head, *[fill] * k, *kind] for k in range(thoughts + 1) for kind in kinds]
    layer = through if isinstance(through, int) else None
    if through not in readings_through(checkpoint):
        raise ValueError(f"there is no layer {through} in this model")
    batch = collate([Example(row, [IGNORED] * len(row)) for row in rows], tokenizer)
    states = model.latent_states(
        *(batch[name].to(model.device) for name in ("input_ids", "attention_mask", "position_ids")),
        output_hidden_states=layer is not None,
    )
    hidden = states.hidden  # (rows, T, d), each row from column 0

    def chances(vectors: Tensor) -> Tensor:
        return model.head(vectors).float().softmax(-1).cpu()  # (…, V)

    def after(k: int, kind: tuple[int, ...], length: int) -> Tensor:
        """What is predicted in the columns up to the one where `k` thoughts and `kind` end."""
        stop = len(head) + k + length
        return hidden[k * len(kinds) + kinds.index(kind), :stop]

    answers = []
    for k in range(thoughts + 1):
        pair = []
        for end, option in zip(ends, options, strict=True):
            table = chances(after(k, end, len(end))[-len(option) :])  # (tokens, V)
            pair.append(table[range(len(option)), option].prod().item())
        answers.append(pair)
    numbers = range(through != "<eot>", thoughts + 1)
    if through == "<eot>":
        kind = following if spoken else ends[0]
        table = chances(torch.stack([after(k, kind, len(following))[-1] for k in numbers]))
    else:
        if layer is not None:
            assert states.hidden_states is not None
            hidden = final_norm(model)(states.hidden_states[layer])
        table = chances(hidden[-1, len(head) - 1 : len(head) - 1 + thoughts])  # (n, V)
    firsts = [
        ids[0] for ids in name_tokens("Every" if spoken else ANSWER_MARK, names.names, tokenizer)
    ]
    shared = torch.tensor([firsts.count(token) for token in firsts])
    per_step = checkpoint.curriculum.thoughts_per_step
    found = {
        "through": through,
        "thoughts": [
            {
                "number": number,
                # In symbols the step after k thoughts ends at its concept, k + 1 hops away.
                "hop": -(-number // per_step) + (through == "<eot>" and symbolic),
                "nodes": (row[firsts] / shared).tolist(),
                "words": other_words(row, set(firsts), tokenizer),
            }
            for number, row in zip(numbers, table, strict=True)
        ],
        "answers": answers,
    }
    return found, note


def _in_its_words(question: Question, tokenizer: Any) -> tuple[Question, str]:
    """The same question in words that a tokenizer knows, and a line that says so."""
    problem, note = naming.for_model(question.problem, tokenizer)
    return Question(problem, question.removed, question.asked), note


def other_words(row: Tensor, nodes: set[int], tokenizer: Any) -> list[tuple[str, float]]:
    best = row.topk(min(len(nodes) + MOST_WORDS, len(row)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    kept = [(t, p) for t, p in pairs if t not in nodes and p >= LEAST_SHARE][:MOST_WORDS]
    return [(tokenizer.decode([token]).strip(), share) for token, share in kept]
