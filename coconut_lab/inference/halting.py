"""When to stop thinking: rules that say after which thought `<eot>` comes.

The paper names two (Hao et al. 2024, section 3): a binary classifier on the latent thought, and a
constant number of thoughts; it uses the second. `FixedThoughts` and `LearnedHalt` are these two.
`ConfidentHalt` needs no training: it asks, after every thought, how sure the answer would be.

A rule is asked after k = 0, 1, 2, … thoughts, and no more once a row has had `max_thoughts`. It
looks at the last hidden state, which is what would be fed back as thought k + 1; nothing has to be
decoded for that. Only `ConfidentHalt` decodes, and pays an extra pass for each time it looks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from coconut_lab.errors import ShortError, check_whole, checks_kinds
from coconut_lab.files import write_bytes
from coconut_lab.model.coconut import Coconut

#: Of the file of a `LearnedHalt`. Format 1 was a folder of two files.
FORMAT = "2"
#: What `ConfidentHalt` can measure on the distribution of the answer's first token.
MEASURES = ("entropy", "margin")


class HaltError(ShortError, ValueError):
    """A halting rule that cannot be used here; the message says why."""


@dataclass(frozen=True)
class HaltingContext:
    """What a rule may look at: the R rows of a batch that still think."""

    count: int  # k, how many thoughts each of them has had
    hidden: Tensor  # (R, d), the last hidden states after k thoughts; at k = 0 those at `<bot>`
    force_answer: Callable[[], Tensor]  # gives logits (R, V) of an answer now, in an extra pass


@runtime_checkable
class Halting(Protocol):
    """The interface of a halting rule."""

    @property
    def max_thoughts(self) -> int:
        """The largest number of thoughts, 0 or more."""

    def check(self, model: Coconut) -> None:
        """Raise `HaltError` if the rule does not belong to this model."""

    def stop(self, context: HaltingContext) -> Tensor:
        """Say which rows stop now: (R,) bool."""


@dataclass(frozen=True)
class FixedThoughts:
    """A constant number of thoughts, the paper's strategy (b).

    Args:
        n: the number for every prompt, or one number per prompt.

    Raises:
        HaltError: a number is not whole, or below 0.
    """

    n: int | Sequence[int]

    def __post_init__(self) -> None:
        several: Iterable[Any] = self.n if isinstance(self.n, Iterable) else [self.n]
        if not all(isinstance(number, Integral) and int(number) >= 0 for number in several):
            raise HaltError(f"the number of thoughts is {self.n}; it must be 0 or more, and whole")

    def counts(self, prompts: int) -> list[int]:
        """Give the number of thoughts of each of that many prompts."""
        if isinstance(self.n, int):
            return [self.n] * prompts
        if len(self.n) != prompts:
            raise HaltError(f"{len(self.n)} numbers of thoughts were given for {prompts} prompts")
        return list(self.n)


@checks_kinds(HaltError)
@dataclass(frozen=True)
class ConfidentHalt:
    """Stop when the answer, forced now, would be sure enough; needs no training.

    The model reads `<eot> ###` on a copy of its cache, and the rule measures the distribution of
    the next token: one extra pass per look, counted in `Generation.look_ahead_passes` as well.

    Args:
        threshold: stop at an entropy of at most this (nats), or a margin of at least this.
        measure: `"entropy"`, or `"margin"`, the probability of the most probable token minus that
            of the second.
        max_thoughts: the largest number of thoughts.

    Raises:
        HaltError: an unknown measure, or `max_thoughts` below 0.
    """

    threshold: float
    measure: str = "entropy"
    max_thoughts: int = 6

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise HaltError(f"unknown measure {self.measure!r}; choose from {', '.join(MEASURES)}")
        check_whole("max_thoughts", self.max_thoughts, 0, HaltError)

    def check(self, model: Coconut) -> None:
        """Any model will do."""

    def stop(self, context: HaltingContext) -> Tensor:
        """Look ahead and compare with the threshold."""
        measured = answer_confidence(context.force_answer())[self.measure]
        if self.measure == "entropy":
            return measured <= self.threshold
        return measured >= self.threshold


def answer_confidence(logits: Tensor) -> dict[str, Tensor]:
    """Give the `MEASURES` (R,) of distributions over the next token, from their logits (R, V)."""
    log_probabilities = torch.log_softmax(logits.double(), dim=-1)
    best = log_probabilities.topk(2, dim=-1).values.exp()
    return {
        "entropy": torch.special.entr(log_probabilities.exp()).sum(-1),
        "margin": best[:, 0] - best[:, 1],
    }


@checks_kinds(HaltError)
@dataclass(frozen=True, eq=False)
class LearnedHalt:
    """A binary classifier on the latent thought, the paper's strategy (a).

    It reads the last hidden state as it is, so the language-model head is never applied while the
    model thinks. `train_halting` makes one; it works only with the very weights it was trained on.

    Attributes:
        weight, bias: of the direction (d,) float64 that says "stop".
        model_hash: hash of the weights of the model it belongs to (`weights_hash`).
        threshold: stop at a probability of at least this.
        max_thoughts: the largest number of thoughts.
        about: plain data on how it was trained: labels, problems, calibration errors.
    """

    weight: Tensor
    bias: float
    model_hash: str
    threshold: float = 0.5
    max_thoughts: int = 6
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_whole("max_thoughts", self.max_thoughts, 0, HaltError)

    def probability(self, hidden: Tensor) -> Tensor:
        """Give the calibrated probability, (…) float64, of stopping at hidden states (…, d)."""
        return torch.sigmoid(hidden.double() @ self.weight.to(hidden.device) + self.bias)

    def check(self, model: Coconut) -> None:
        """Raise `HaltError` if it was trained for other weights."""
        found = weights_hash(model)
        if found != self.model_hash:
            raise HaltError(
                f"this halt was trained for another model (weights {self.model_hash[:12]}…, these "
                f"are {found[:12]}…); train one for this model with train_halting"
            )

    def stop(self, context: HaltingContext) -> Tensor:
        """Classify the hidden states."""
        return self.probability(context.hidden) >= self.threshold

    @checks_kinds(HaltError)
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a safetensors file, whole or not at all; beside the model is a good place."""
        weight = self.weight.cpu().contiguous()
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)[1:]}
        settings = json.dumps(values, ensure_ascii=False)
        facts = {"format": FORMAT, "settings": settings, "sha256": _digest(weight, settings)}
        write_bytes(path, save({"weight": weight}, facts))

    @classmethod
    @checks_kinds(HaltError)
    def load(cls, path: str | os.PathLike[str], model: Coconut | None = None) -> LearnedHalt:
        """Read what `save` wrote; it must belong to the model, if one is given.

        Raises:
            HaltError: the file is missing, unreadable or altered, or belongs to another model.
        """
        try:
            with safe_open(path, "pt") as file:
                facts, weight = file.metadata(), file.get_tensor("weight")
            found = facts["format"]
            if found != FORMAT:
                raise HaltError(f"{path} has format {found}; this version reads format {FORMAT}")
            if _digest(weight, facts["settings"]) != facts["sha256"]:
                raise HaltError(f"{path} was changed; get it again, or train the halt anew")
            halt = cls(weight, **json.loads(facts["settings"]))
        except (OSError, KeyError, TypeError, SafetensorError) as error:
            raise HaltError(f"{path} holds no halt that can be read: {error!r}") from error
        if model is not None:
            halt.check(model)
        return halt


def weights_hash(model: Coconut) -> str:
    """Hash the weights of a model: names, types, shapes and values; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(weight: Tensor, settings: str) -> str:
    return hashlib.sha256(weight.numpy().tobytes() + settings.encode()).hexdigest()
