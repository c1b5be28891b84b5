"""The exercises of 10: an operator with its criterion, advantages, a dose curve, Jacobi rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.engine import exercise


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def searches() -> Iterator[tuple[Tensor, ...]]:
    """Thoughts (4, 6), roots, values of the next thought (4, 5), hops from the root."""
    nan = float("nan")
    far = [[0.0, 1, 1, 2, nan], [0, 1, 2, 2, nan], [0, 1, 2, 3, 1], [0, 1, 1, nan, 2]]
    values = [[0.1, 0.3, 0.3, 0.2, 0.1], [0.0, 0.2, 0.4, 0.4, 0.0],
              [0.6, 0.1, 0.1, 0.1, 0.1], [0.0, 0.25, 0.25, 0.0, 0.1]]  # fmt: skip
    yield 5 * random(4, 6), random(4, 6, seed=1), torch.tensor(values), torch.tensor(far)
    yield random(4, 3, seed=2), random(4, 3, seed=3), torch.tensor(values[::-1]), torch.tensor(far)


@exercise(
    cases=searches,
    returns="written, done",
    says="the root is written at the right length, and two criteria say who went back",
    axes={"written": "(B, d)", "done": "(B,)"},
    mistakes={
        "you feed the embedding as it is. A thought is several times as long as an embedding: "
        "scale it to the length of the thought in its row.": ("root * (length / own)", "root"),
        "each row has its own length. You take one for all of them: norm(dim=1, keepdim=True).": (
            "h.norm(dim=1, keepdim=True)", "h.norm()"),
        "you add the root to the thought, which leaves the old search in it. Write over it.": (
            "written = root * (length / own)", "written = h + root * (length / own)"),
        "you make the embedding 1 long. Make it as long as the thought was.": ("length /", "1 /"),
        "you look at the root itself. The thought after the root holds the root's children, one "
        "hop away.": ("distances == 1", "distances == 0"),
        "hop 2 is where the search would be if it had not gone back.": (
            "distances == 1", "distances == 2"),
        "exactly half is not more than half.": ("> 0.5", ">= 0.5"),
        "you ask for one node with more than half. Add the nodes up: the frontier may be wide.": (
            "(next_values * (distances == 1)).sum(1)",
            "(next_values * (distances == 1)).max(1).values"),
    },
)  # fmt: skip
def backtrack(
    h: Tensor, root: Tensor, next_values: Tensor, distances: Tensor
) -> tuple[Tensor, Tensor]:
    """Exercise 1 of 10: write the root over thought 1, and say whether the search went back."""
    length, own = h.norm(dim=1, keepdim=True), root.norm(dim=1, keepdim=True)  # (B, 1)
    written = root * (length / own)
    return written, (next_values * (distances == 1)).sum(1) > 0.5


def advantages(function: Any, rewards: Tensor) -> dict[str, Any]:
    found = function(rewards.clone())  # nan equals nothing, so it gets a number to be named by
    return {"advantages": found.nan_to_num(1e6) if isinstance(found, Tensor) else found}


@exercise(
    observe=advantages,
    cases=lambda: [
        (torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0]]),),
        (torch.tensor([[1.0, 1, 1], [0, 0, 0], [0, 1, 0]]),),
        (torch.tensor([[0.2, -3.0], [7.0, 9.0], [5.0, 5.0]]),),
    ],
    returns="advantages",
    says="the advantages of three steps are right, and groups that all agree teach nothing",
    axes={"advantages": "(P, G)"},
    mistakes={
        "the rewards are compared over all problems. Then a rollout of an easy problem looks good "
        "whatever was tried; take the mean of its own group.": (
            "rewards.mean(1, keepdim=True)", "rewards.mean()"),
        "you divide by the standard deviation over all problems. Each group has its own.": (
            "rewards.std(1, keepdim=True)", "rewards.std()"),
        "you compare over problems, not over the rollouts of one: rows are groups, dim=1.": (
            ("rewards.std(1, keepdim=True)", "rewards.std(0, keepdim=True)"),
            ("rewards.mean(1, keepdim=True)", "rewards.mean(0, keepdim=True)")),
        "divide by the standard deviation of the group.": ("/ spread.clamp(min=1e-9)", ""),
        "you divide by the variance. It is the standard deviation.": (".std(", ".var("),
        "a group whose rewards are all equal gives 0 / 0, which is nan. Its advantages are 0.": (
            "torch.where(spread > 0, centred / spread.clamp(min=1e-9), torch.zeros_like(rewards))",
            "centred / spread"),
        "the sign is wrong: what did better than its group has a positive advantage.": (
            "centred = rewards - rewards.mean(1, keepdim=True)",
            "centred = rewards.mean(1, keepdim=True) - rewards"),
        "you divide by the biased standard deviation. Take the unbiased one, as torch.std does by "
        "itself.": ("rewards.std(1, keepdim=True)", "rewards.std(1, keepdim=True, correction=0)"),
    },
)  # fmt: skip
def group_advantage(rewards: Tensor) -> Tensor:
    """Exercise 2 of 10: how much better each rollout was than the others of its problem."""
    spread = rewards.std(1, keepdim=True)  # (P, 1)
    centred = rewards - rewards.mean(1, keepdim=True)
    return torch.where(spread > 0, centred / spread.clamp(min=1e-9), torch.zeros_like(rewards))


def accuracies() -> Iterator[tuple[Any, ...]]:
    """Two models: one that a direction helps up to a dose, one that only feels lengths."""
    good = random(5)

    def helped(vector: Tensor) -> float:
        along = float(vector @ good / good.norm())
        return 0.7 + 0.1 * along - 0.01 * float(vector.norm()) ** 2

    yield helped, 2 * good, [-1.0, 0.0, 0.5, 1.0, 3.0], 3 * random(4, 5, seed=1)
    yield (lambda vector: 1 / (1 + float(vector.norm()))), good, [0.0, 2.0], random(3, 5, seed=2)


@exercise(
    cases=accuracies,
    returns="curve, control",
    says="two dose curves and their controls are right",
    mistakes={
        "your random vectors have lengths of their own. A control differs in direction alone: "
        "scale each to the length of the vector.": (
            "directions / directions.norm(dim=1, keepdim=True) * vector.norm()", "directions"),
        "your random vectors are 1 long, not as long as the vector.": (" * vector.norm()", ""),
        "your control does not get the dose, so it is the same at every dose, 0 included.": (
            "accuracy(dose * one)", "accuracy(one)"),
        "one length for all directions together: each is divided by its own, norm(dim=1, "
        "keepdim=True).": ("directions.norm(dim=1, keepdim=True)", "directions.norm()"),
        "your control is a single random vector, which may be a lucky one. Take the mean over all "
        "of them.": ("in scaled) / len(scaled)", "in scaled[:1])"),
        "you measure the mean of the random vectors, which is nearly no vector at all. Measure "
        "each, then take the mean of the accuracies.": (
            "sum(accuracy(dose * one) for one in scaled) / len(scaled)",
            "accuracy(dose * scaled.mean(0))"),
        "your curve does not get the dose.": ("dose * vector", "vector"),
        "the two are swapped: the curve comes first, then its control.": (
            "return curve, control", "return control, curve"),
    },
)  # fmt: skip
def dose_curve(
    accuracy: Callable[[Tensor], float], vector: Tensor, doses: list[float], directions: Tensor
) -> tuple[list[float], list[float]]:
    """Exercise 3 of 10: accuracy against dose, beside that of random vectors as long."""
    scaled = directions / directions.norm(dim=1, keepdim=True) * vector.norm()  # (R, d)
    curve = [accuracy(dose * vector) for dose in doses]
    control = [sum(accuracy(dose * one) for one in scaled) / len(scaled) for dose in doses]
    return curve, control


def refined(function: Any, guess: Tensor, rounds: int) -> dict[str, Any]:
    matrix, calls = random(guess.shape[1], guess.shape[1], seed=3), []

    def outputs(thoughts: Tensor) -> Tensor:
        calls.append(1)  # what comes out at a thought depends on it and on those before it
        return torch.tanh(thoughts.cumsum(0) @ matrix)

    return {"thoughts": function(outputs, guess.clone(), rounds), "_passes": len(calls)}


def one_pass_a_round(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    if got["_passes"] <= want["_passes"]:
        return None
    return (
        f"the thoughts are right, but you make {got['_passes']} passes for {want['_passes']} "
        "rounds. One call gives the outputs at all thoughts."
    )


@exercise(
    cases=lambda: [(random(4, 3), 1), (random(4, 3, seed=1), 2), (random(3, 2), 0),
                   (random(5, 3, seed=2), 4), (random(1, 3), 2)],
    observe=refined,
    limits=one_pass_a_round,
    returns="thoughts",
    says="five sets of thoughts are right, with one pass a round",
    axes={"thoughts": "(n, d)"},
    mistakes={
        "you set thought k to what comes out at thought k. That is what thought k + 1 should be: "
        "shift by one.": ("torch.cat([guess[:1], outputs(guess)[:-1]])", "outputs(guess)"),
        "your first thought changes. It is exact from the start: keep it.": (
            "torch.cat([guess[:1], outputs(guess)[:-1]])",
            "torch.cat([outputs(guess)[-1:], outputs(guess)[:-1]])"),
        "you use thoughts of this round for the next ones in the same round. That is Gauss and "
        "Seidel's way; a round of Jacobi's sees the guesses of the round before.": (
            "guess = torch.cat([guess[:1], outputs(guess)[:-1]])",
            "guess = gauss_seidel(outputs, guess)"),
        "you make one round too many.": ("range(rounds)", "range(rounds + 1)"),
        "you make one round, whatever `rounds` says.": ("range(rounds)", "range(1)"),
        "each round starts from the first guess. Start it from what the one before made.": (
            ("outputs(guess)", "outputs(first)"), ("for _ in", "first = guess\n    for _ in")),
    },
)  # fmt: skip
def jacobi(outputs: Callable[[Tensor], Tensor], guess: Tensor, rounds: int) -> Tensor:
    """Exercise 4 of 10: refine all thoughts at once, T times."""
    for _ in range(rounds):
        guess = torch.cat([guess[:1], outputs(guess)[:-1]])
    return guess


def gauss_seidel(outputs: Callable[[Tensor], Tensor], guess: Tensor) -> Tensor:
    """The mistake of exercise 4: each thought sees those that this round has made already."""
    for k in range(1, len(guess)):
        guess[k] = outputs(guess)[k - 1]
    return guess
