"""Recipes: what to train on, what to train, and how long, in YAML that is checked key by key."""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from coconut_lab.curriculum.curriculum import Curriculum

FOLDER = Path(__file__).parents[1] / "recipes"

#: Which numbers a key may have, as an interval: a square bracket includes the end. None is always
#: allowed where the key may be left out. `Curriculum` checks its own settings.
RANGES = {
    "Recipe": {"batch_size": "[1, inf)", "micro_batch": "[1, inf)"},
    "Phase": {"stage": "[0, inf)", "mix_probability": "[0, 1]", "final_rate": "[0, 1]"},
    "ModelPart": {
        "layers": "[1, inf)",
        "heads": "[1, inf)",
        "head_dim": "[1, inf)",
        "width": "[1, inf)",
        "feed_forward": "[1, inf)",
        "positions": "[1, inf)",
        "initializer_range": "(0, inf)",
    },
    "WalksPart": {
        "per_problem": "[1, inf)",
        "max_hops": "[1, inf)",
        "bot_probability": "[0, 1]",
        "eot_probability": "[0, 1]",
    },
    "OptimizerPart": {
        "lr": "(0, inf)",
        "beta1": "[0, 1)",
        "beta2": "[0, 1)",
        "weight_decay": "[0, inf)",
        "warmup_steps": "[0, inf)",
        "clip": "(0, inf)",
    },
}


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key."""


@dataclass(frozen=True)
class ProblemsPart:
    """Which problems: the arguments of `generate_prosqa`, or, with `source`, of `load_problems`.

    Attributes:
        source: a file, or a task that `load_problems` knows; None generates.
        validation: the same, for scoring after each phase; None generates, or takes the task's own.
        rename: permute the names of the preset anew in every row.
    """

    preset: str = "tiny"
    count: int = 20_000
    seed: int = 1
    hops: tuple[int, int] | None = None
    nodes: tuple[int, int] | None = None
    rename: bool = True
    source: str | None = None
    validation: str | None = None


@dataclass(frozen=True)
class ModelPart:
    """A Llama-shaped model from scratch, or one to start from.

    Attributes:
        start: a shipped model, or the folder of a saved one.
        hub: a model of the hub, or the folder of a `transformers` model; the thought tokens are
            added.
    """

    start: str | None = None
    hub: str | None = None
    layers: int = 2
    heads: int = 8
    head_dim: int | None = 32
    width: int = 64
    feed_forward: int = 128
    positions: int = 128
    initializer_range: float = 0.1


@dataclass(frozen=True)
class WalksPart:
    """Random walks for a base model: how many per graph, how long, how often with markers."""

    per_problem: int = 4
    max_hops: int = 4
    bot_probability: float = 0.6
    eot_probability: float = 0.5


@dataclass(frozen=True)
class CurriculumPart:
    """The arguments of `Curriculum`."""

    method: str = "coconut"
    max_stage: int = 3
    thoughts_per_step: int = 1
    pad_to_max: bool = True
    mix_probability: float = 0.0

    def make(self) -> Curriculum:
        """Make the `Curriculum`; ValueError if a setting is out of range."""
        return Curriculum(**dataclasses.asdict(self))


@dataclass(frozen=True)
class Phase:
    """Some optimizer steps at one stage.

    Attributes:
        steps: how many; or
        epochs: how often to go through the problems.
        stage: the scheduled stage; base models have none and leave it at 0.
        mix_probability: overrides the curriculum's.
        final_rate: the learning rate falls linearly to this share of itself within the phase.
    """

    steps: int = 0
    epochs: int = 0
    stage: int = 0
    mix_probability: float | None = None
    final_rate: float = 1.0


@dataclass(frozen=True)
class OptimizerPart:
    """AdamW with linear warm-up to a constant rate.

    Attributes:
        reset: when its state is dropped: at a change of `"stage"` (the paper), `"every_epoch"`
            (the published code), or `"never"`.
    """

    lr: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.01
    warmup_steps: int = 50
    clip: float = 1.0
    reset: str = "stage"


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on; the same recipe and seed give the same weights.

    Attributes:
        name: what the run and its checkpoint are called.
        phases: what is trained, in order.
        objective: `"curriculum"`, or `"walks"` for a base model.
        seed: of the weights and of the order of the data.
        batch_size: problems per optimizer step, over all processes: the effective batch.
        micro_batch: problems that one process puts through the model at once; None is its whole
            share. Gradients of the parts are accumulated.
        recompute: keep little of the questions for the backward pass and compute it again there:
            less memory, more time, the same result.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 on a GPU.
    """

    name: str
    phases: tuple[Phase, ...]
    objective: str = "curriculum"
    seed: int = 0
    batch_size: int = 128
    micro_batch: int | None = None
    recompute: bool = False
    precision: str = "auto"
    problems: ProblemsPart = field(default_factory=ProblemsPart)
    model: ModelPart = field(default_factory=ModelPart)
    walks: WalksPart = field(default_factory=WalksPart)
    curriculum: CurriculumPart = field(default_factory=CurriculumPart)
    optimizer: OptimizerPart = field(default_factory=OptimizerPart)

    def __post_init__(self) -> None:
        if not self.phases:
            raise RecipeError("phases: a recipe needs at least one phase")
        for index, phase in enumerate(self.phases):
            if phase.steps < 0 or phase.epochs < 0 or (phase.steps > 0) == (phase.epochs > 0):
                raise RecipeError(f"phases[{index}]: either steps or epochs must be above 0")
            _check_ranges(phase, "Phase", f"phases[{index}].")
        for where in ("", "model", "walks", "optimizer"):
            part = getattr(self, where) if where else self
            _check_ranges(part, type(part).__name__, where and f"{where}.")
        for key, value, allowed in (
            ("objective", self.objective, ("curriculum", "walks")),
            ("optimizer.reset", self.optimizer.reset, ("stage", "every_epoch", "never")),
            ("precision", self.precision, ("auto", "fp32", "bf16")),
        ):
            if value not in allowed:
                raise RecipeError(f"{key}: {value!r} is none of {', '.join(allowed)}")
        try:
            self.curriculum.make()
        except ValueError as error:
            raise RecipeError(f"curriculum: {error}") from None
        model = self.model
        if model.start is not None and model.hub is not None:
            raise RecipeError("model.hub: a model starts from model.start or model.hub, not both")
        if model.width % model.heads:
            raise RecipeError(
                f"model.heads: {model.heads} does not divide model.width, {model.width}"
            )
        if (size := model.head_dim or model.width // model.heads) % 2:
            raise RecipeError(f"model.head_dim: {size} is odd; positions turn pairs of numbers")
        if self.problems.source is None and self.problems.count < self.batch_size:
            raise RecipeError("problems.count: fewer problems than one batch holds")

    def in_steps(self, problems: int) -> Recipe:
        """Give the same recipe with the epochs of its phases turned into steps.

        Args:
            problems: how many problems there are to train on.

        Returns:
            A recipe whose phases all have steps.
        """
        epoch = max(1, problems // self.batch_size)
        phases = tuple(
            dataclasses.replace(phase, steps=phase.epochs * epoch, epochs=0)
            if phase.epochs
            else phase
            for phase in self.phases
        )
        return dataclasses.replace(self, phases=phases)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all phases; phases in epochs count once `in_steps` turned them."""
        return sum(phase.steps for phase in self.phases)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain data, for cards and logs."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Recipe:
        """Make a recipe from plain data, as `to_dict` gives it; keys left out take defaults.

        Raises:
            RecipeError: as `load_recipe`.
        """
        recipe: Recipe = _build(Recipe, data, "")
        return recipe


def load_recipe(source: str | os.PathLike[str], **changes: Any) -> Recipe:
    """Read and check a recipe.

    Args:
        source: a path, or the name of a recipe of this package such as `"tiny-coconut"`.
        changes: top-level keys to replace, for example `seed=3`.

    Returns:
        The recipe.

    Raises:
        RecipeError: no such file, no YAML, an unknown or missing key, a value of the wrong type
            or out of range; the message names file and key.
    """
    path = Path(source)
    if not path.suffix:
        path = FOLDER / f"{source}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise RecipeError(f"cannot read the recipe {path}; this package has {names}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no YAML: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values")
    try:
        return Recipe.from_dict(data | changes)
    except RecipeError as error:
        raise RecipeError(f"{path.name}: {error}") from None


def _check_ranges(part: Any, kind: str, prefix: str) -> None:
    """Check the numbers of a part against `RANGES`."""
    for key, interval in RANGES[kind].items():
        if (value := getattr(part, key)) is None:
            continue
        low, high = map(float, interval[1:-1].split(","))
        inside = low < value < high  # False for what is not a number
        if not inside and value not in [
            end for end, bracket in ((low, interval[0]), (high, interval[-1])) if bracket in "[]"
        ]:
            raise RecipeError(f"{prefix}{key}: {value} is not in {interval}")


def _build(kind: Any, value: Any, where: str) -> Any:
    """Make a value of type `kind` out of plain data, or say which key does not fit."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _build(next(t for t in inner if t is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise RecipeError(f"{where}: expected a list, got {value!r}")
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise RecipeError(f"{where}: expected {len(inner)} values, got {len(value)}")
        return tuple(_build(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        if isinstance(value, kind):  # type: ignore[arg-type]
            return value
        if not isinstance(value, dict):
            raise RecipeError(f"{where or 'recipe'}: expected keys and values, got {value!r}")
        hints = typing.get_type_hints(kind)
        prefix = f"{where}." if where else ""
        for key in value:
            if key not in hints:
                raise RecipeError(f"unknown key {prefix}{key}; known are {', '.join(hints)}")
        for entry in dataclasses.fields(kind):
            needed = (
                entry.default is dataclasses.MISSING
                and entry.default_factory is dataclasses.MISSING
            )
            if needed and entry.name not in value:
                raise RecipeError(f"the key {prefix}{entry.name} is missing")
        make: Any = kind
        return make(**{k: _build(hints[k], v, f"{prefix}{k}") for k, v in value.items()})
    # YAML reads 3e-3 as text and 1 as an integer; both are fine numbers.
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise RecipeError(f"{where}: expected {kind.__name__}, got {value!r}")
