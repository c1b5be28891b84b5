"""Steer a thought: by words that are known, or in a direction that was searched for.

Everything is an `edit` (see `model/edits.py`), so `compare_edits` runs any table of it. Two are a
line already: a mix of two thoughts is `put(torch.lerp(own, twin, 0.5), 1)`, a difference of means
`steer(thoughts[wide].mean(0) - thoughts[narrow].mean(0))`. `flow` writes thoughts in words,
`search_direction` finds vectors from rewards alone, `controls` makes what to compare them with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, Example, tokenize
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import check_whole
from coconut_lab.inference.answers import answer_of
from coconut_lab.inference.generation import generate
from coconut_lab.interpretability.interventions import change, outcomes, with_logits, write_words
from coconut_lab.interpretability.thinking import rows_with_thoughts, think, thoughts_in
from coconut_lab.interpretability.values import node_values
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.problems import Graph, Problem, graph_of

#: `(problem, answer) -> float`; the answer is None where the model did not come to an end.
Reward = Callable[[Problem, str | None], float]


def steer(vectors: Tensor, *at: int, dose: float = 1.0) -> Edit:
    """Add a vector to each thought: h + dose × v.

    Args:
        vectors: (n, d), one per thought for all problems, or (B, n, d). Thoughts after the n-th
            are left alone.
        at: which thoughts, from 1; all n where none is named.
        dose: a factor; 0 changes nothing, a negative one turns back.
    """

    def edit(k: int, h: Tensor, rows: Tensor) -> Tensor:
        if vectors.shape[-1] != h.shape[-1]:
            raise ModelError(
                f"a vector of {vectors.shape[-1]} numbers cannot be added to thoughts of "
                f"{h.shape[-1]}; take one that was found on this model"
            )
        if k > vectors.shape[-2]:
            return h
        own = vectors[..., k - 1, :]  # (d,) or (B, d)
        return h + dose * (own[rows.cpu()] if own.ndim == 2 else own).to(h)

    return change(edit, *at)


def temper(model: Coconut, temperature: float, *at: int) -> Edit:
    """Divide a thought's logits by a temperature, by the shortest change; at 1 nothing changes."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return change(lambda k, h, rows: with_logits(model, h, model.head(h) / temperature), *at)


# --- operators that know the words ----------------------------------------------------------------


#: What each flow writes as thought k: nodes of the graph.
FLOWS: dict[str, Callable[[Graph, int], Iterable[int]]] = {
    "continue": lambda graph, k: graph.frontier(k + 1),
    "backtrack": lambda graph, k: graph.frontier(k - 1),
    "branch": lambda graph, k: graph.frontier(k),
    "encapsulate": lambda graph, k: {
        node for node, far in enumerate(graph.distances(graph.root)) if far and node != graph.target
    },
}


def flow(
    model: Coconut, problems: Sequence[Problem], name: str, k: int = 1, dose: float = 1.0
) -> Edit:
    """Write thought k as a flow would have it: the mean embedding of words, as long as it was.

    Args:
        model: the model; its names are single tokens.
        problems: those that will be thought about.
        name: `"continue"`, "therefore": the nodes of the next hop; `"backtrack"`, "wait, but":
            those of the hop before; `"branch"`, "on second thought": those of this hop, evenly;
            `"encapsulate"`, "in summary": all that can be reached, except the answer.
        k: which thought.
        dose: how far to go from the model's own thought, 0, to the written one, 1.

    Raises:
        ValueError: no such flow, or (ProblemError) a problem without such nodes.
    """
    if name not in FLOWS:
        raise ValueError(f"unknown flow {name!r}; choose from {', '.join(FLOWS)}")
    graphs = map(graph_of, problems)
    words = [[graph.names[node] for node in FLOWS[name](graph, k)] for graph in graphs]
    written = write_words(model, words)
    return change(lambda k, h, rows: h + dose * (written(k, h, rows) - h), k)


def flow_done(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    name: str,
    k: int = 1,
    edit: Edit | None = None,
) -> NDArray[np.float64]:
    """Say of each problem whether a flow was done at thought k: 1, 0, or nan where none can say.

    The criterion is looked for in what the model does next, never in the thought that was edited:
    in its thought k + 1 more than half of the probability is on hop k + 2 (continue) or on hop k
    (backtrack), or more than .1 each on children of two different nodes of hop k, shared ones left
    out (branch); or its answer straight after thought k is right (encapsulate).

    `edit` is what is done to the thoughts; None is what the model does by itself.
    """
    if name == "encapsulate":
        said = outcomes(model, problems, curriculum, k, edit=edit)
        return np.array([float(one == "right") for one in said])
    values = node_values(model, problems, curriculum, k + 1, edit=edit)
    found = np.full(len(problems), np.nan)
    for number, table in values[values.thought == k + 1].groupby("problem"):
        graph, value = graph_of(problems[number]), table.value.to_numpy()
        if name == "branch":
            below = [set(graph.children(node)) for node in sorted(graph.frontier(k))]
            own = [one - set().union(*below[:i], *below[i + 1 :]) for i, one in enumerate(below)]
            held = [value[list(nodes)].sum() for nodes in own if nodes]
            if len(held) > 1:
                found[number] = sorted(held)[-2] > 0.1
        else:
            hop = {"continue": k + 2, "backtrack": k}[name]
            if hop <= graph.hops:
                found[number] = value[list(graph.frontier(hop))].sum() > 0.5
    return found


# --- controls -------------------------------------------------------------------------------------


def random_like(vectors: Tensor, seed: int = 0) -> Tensor:
    """Vectors in random directions, each as long as the one in its place."""
    drawn = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed))
    return drawn * (vectors.norm(dim=-1, keepdim=True) / drawn.norm(dim=-1, keepdim=True))


def as_far(edit: Edit, seed: int = 0) -> Edit:
    """Move each thought as far as an edit does, in a random direction of each problem's own."""

    def moved(k: int, h: Tensor, rows: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1000 + k)
        drawn = torch.randn(int(rows.max()) + 1, h.shape[1], generator=generator)[rows.cpu()].to(h)
        length = (edit(k, h, rows) - h).norm(dim=1, keepdim=True)
        return h + drawn * (length / drawn.norm(dim=1, keepdim=True))

    return moved


def controls(
    vectors: Tensor, *, doses: Sequence[float] = (-1, 1), random: int = 10, seed: int = 0
) -> dict[str, Edit]:
    """A table of edits for `compare_edits`: vectors (n, d) at some doses, and random ones."""
    found = {f"× {dose:g}": steer(vectors, dose=dose) for dose in doses}
    return found | {f"random {i}": steer(random_like(vectors, seed + i)) for i in range(random)}


# --- a direction by search ------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What a search found: vectors (n, d), and the mean reward of each step (or minus the loss)."""

    vectors: Tensor
    rewards: list[float]


@torch.no_grad()
def search_direction(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    reward: Reward | None,
    count: int | None = None,
    *,
    steps: int = 300,
    at_once: int = 24,
    group: int = 8,
    noise: float = 0.4,
    rate: float = 0.03,
    budget: float = 0.5,
    shuffled: bool = False,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Search:
    """Find one vector per thought, the same for all problems, by REINFORCE; the model is frozen.

    The policy is a Gaussian: a rollout is fed h + v_k + noise × ε as thought k. The baseline is the
    mean reward of a problem's rollouts (as in GRPO, Shao et al. 2024), and the gradient of the
    log-probability with respect to v_k is ε / noise. So nothing is back-propagated at all.

    Args:
        model, problems, curriculum, count: as for `think`.
        reward: any finite number. None is the ceiling: the right answers' log-likelihood, and its
            gradient through the model, which stays frozen as well.
        steps, rate: of Adam.
        at_once, group: how many problems a step asks, and how many times each.
        noise: standard deviation in each dimension.
        budget: how long a vector may become, as a share of the mean length of the thoughts.
        shuffled: deal the rewards of a step out at random: the control that cannot learn.
        seed: of the problems asked, and of the noise.
        progress: called after each step with its number and its mean reward.

    Raises:
        ValueError: a method without thoughts; a reward that is no number, or always the same; a
            setting out of its range.
    """
    count = thoughts_in(curriculum) if count is None else count
    if curriculum.rule.stand_in == "pauses" or count == 0:
        raise ValueError("nothing is fed back here that a vector could be added to")
    for name, value, least in (("steps", steps, 1), ("at_once", at_once, 1), ("group", group, 2)):
        check_whole(name, value, least)
    if not (budget > 0 and noise > 0):
        raise ValueError(f"budget is {budget}, noise {noise}; with 0 there is nothing to search")
    mark = model.tokenizer(ANSWER_MARK, add_special_tokens=False).input_ids
    heads = rows_with_thoughts(model, problems, curriculum, count)
    prompts = [[*head, model.tokens.eot, *mark] for head in heads]
    answers = [parts.answer[len(mark) :] for parts in tokenize(problems, model.tokenizer)]
    longest = max(map(len, answers)) + 1
    lengths = think(model, problems[:100], curriculum, count).norm(dim=-1).mean(0)  # (n,)
    vectors = torch.zeros(count, model.config.get_text_config().hidden_size)
    optimizer = torch.optim.Adam([vectors], lr=rate)
    generator = torch.Generator().manual_seed(seed)
    means, apart = list[float](), False
    for step in range(1, steps + 1):
        asked = torch.randint(len(problems), (at_once,), generator=generator)
        if reward is None:
            examples = [
                Example(prompts[i] + answers[i], [IGNORED] * len(prompts[i]) + answers[i])
                for i in asked.tolist()
            ]
            batch = collate(examples, model.tokenizer)
            with torch.enable_grad():
                leaf = vectors.clone().requires_grad_()
                loss = model(**{k: v.to(model.device) for k, v in batch.items()}, edit=steer(leaf))
                (vectors.grad,) = torch.autograd.grad(loss.loss, [leaf])
            means.append(-float(loss.loss))
        else:
            rows = asked.repeat_interleave(group).tolist()  # R of them
            drawn = torch.randn(len(rows), *vectors.shape, generator=generator)  # (R, n, d)
            tried = steer(vectors + noise * drawn)
            texts = [prompts[row] for row in rows]
            written = generate(model, model.tokenizer, texts, longest, edit=tried)
            said = [answer_of(ANSWER_MARK + one.text) if one.finished else None for one in written]
            given = [float(reward(problems[i], one)) for i, one in zip(rows, said, strict=True)]
            rewards = torch.tensor(given, dtype=torch.float64)
            if not rewards.isfinite().all():
                raise ValueError("the reward of an answer is no finite number")
            if shuffled:
                rewards = rewards[torch.randperm(len(rows), generator=generator)]
            groups = rewards.view(at_once, group)
            spread = groups.std(1, keepdim=True)
            apart = apart or bool((spread > 1e-12).any())
            if not apart and step == min(20, steps):
                raise ValueError(
                    f"in {step} steps no two answers to one problem got different rewards, so "
                    "there is nothing to learn: it is constant, or the noise changes no answer"
                )
            advantage = ((groups - groups.mean(1, keepdim=True)) / (spread + 1e-6)).view(-1, 1, 1)
            vectors.grad = -(advantage * drawn / noise).mean(0).float()  # Adam goes down
            means.append(float(rewards.mean()))
        optimizer.step()
        longer = vectors.norm(dim=1) / (budget * lengths)
        vectors /= longer.clamp(min=1)[:, None]
        if progress is not None:
            progress(step, means[-1])
    return Search(vectors, means)
