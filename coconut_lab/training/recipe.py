"""Recipes: what to train on, what to train, and how long, in YAML that is checked key by key."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import pydantic
import yaml
from pydantic import BeforeValidator, Field, Strict, ValidationError

from coconut_lab.curriculum.methods import METHODS
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.errors import ShortError, checks_kinds

FOLDER = Path(__file__).parents[1] / "recipes"

#: What pydantic calls by the names of Python's types.
IN_YAML = {"tuple_type": "should be a list", "dataclass_type": "should hold keys and values"}

Part = TypeVar("Part")
Integer = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Natural = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number")
    return value


#: YAML reads 3e-3 as text and 1 as an integer; both are fine numbers, but `yes` is not.
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Decay = Annotated[Number, Field(ge=0, lt=1)]


class RecipeError(ShortError, ValueError):
    """A recipe that cannot be used; the message names the key."""


@dataclass_transform(frozen_default=True)
def checked(cls: type[Part]) -> type[Part]:
    """Make a frozen dataclass that refuses values of a wrong type or range with a RecipeError."""
    made: Any = pydantic.dataclasses.dataclass(frozen=True, config={"extra": "forbid"})(cls)
    usual = made.__init__

    def init(self: Any, *args: Any, **values: Any) -> None:
        try:
            usual(self, *args, **values)
        except ValidationError as error:
            raise RecipeError(_first_error(error, made)) from None

    made.__init__ = init
    found: type[Part] = made
    return found


def _first_error(error: ValidationError, kind: Any) -> str:
    """Say in one line what is wrong, and where."""
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])[1:]
    if first["type"] == "missing":
        return f"the key {where} is missing"
    if first["type"] == "unexpected_keyword_argument":
        if len(first["loc"]) > 1:
            parts = {entry.name: entry.default_factory for entry in dataclasses.fields(kind)}
            kind = (parts | {"phases": Phase})[str(first["loc"][0])]
        known = ", ".join(entry.name for entry in dataclasses.fields(kind))
        return f"unknown key {where}; known are {known}"
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}" if where else str(first["ctx"]["error"])
    needed = IN_YAML.get(first["type"], first["msg"].removeprefix("Input "))
    return f"{where or 'recipe'} is {first['input']!r:.200}; it {needed}"


@checked
class ProblemsPart:
    """Which problems: the arguments of `generate_prosqa`, or, with `source`, of `load_problems`.

    Attributes:
        source: a file, or a task that `load_problems` knows; None generates.
        validation: the same, for scoring after each phase; None generates, or takes the task's own.
        rename: permute the names of the preset anew in every row.
        within_kinds: entities only get names of entities, and concepts those of concepts. That is
            what problems to be solved look like, and much sooner learned.
    """

    preset: Literal["tiny", "small", "paper"] = "tiny"
    count: Integer = 20_000
    seed: Integer = 1
    hops: tuple[Integer, Integer] | None = None
    nodes: tuple[Integer, Integer] | None = None
    rename: Switch = True
    within_kinds: Switch = False
    source: str | None = None
    validation: str | None = None


@checked
class ModelPart:
    """A Llama-shaped model from scratch, or one to start from.

    Attributes:
        start: a shipped model, or the folder of a saved one.
        hub: a model of the hub, or the folder of a `transformers` model; the thought tokens are
            added.
        tied: one matrix embeds tokens and reads hidden states; without, the two are apart.
    """

    start: str | None = None
    hub: str | None = None
    layers: Positive = 2
    heads: Positive = 8
    head_dim: Positive | None = 32
    width: Positive = 64
    feed_forward: Positive = 128
    positions: Positive = 128
    initializer_range: Annotated[Number, Field(gt=0)] = 0.1
    tied: Switch = True

    def __post_init__(self) -> None:
        if self.start is not None and self.hub is not None:
            raise ValueError("a model begins with start or with hub, not with both; leave one out")
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        if (size := self.head_dim or self.width // self.heads) % 2:
            raise ValueError(f"a head_dim of {size} is odd; positions turn pairs of numbers")


@checked
class WalksPart:
    """Random walks for a base model: how many per graph, how long, how often with markers."""

    per_problem: Positive = 4
    max_hops: Positive = 4
    bot_probability: Share = 0.6
    eot_probability: Share = 0.5


@checked
class CurriculumPart:
    """The arguments of `Curriculum`."""

    method: str = "coconut"
    max_stage: Integer = 3
    thoughts_per_step: Integer = 1
    pad_to_max: Switch = True
    mix_probability: Number = 0.0

    def __post_init__(self) -> None:
        self.make()

    def make(self) -> Curriculum:
        """Make the `Curriculum`; ValueError if a setting is out of range."""
        return Curriculum(**dataclasses.asdict(self))


@checked
class Phase:
    """Some optimizer steps at one stage.

    Attributes:
        steps: how many; or
        epochs: how often to go through the problems.
        stage: the scheduled stage; base models have none and leave it at 0.
        mix_probability: overrides the curriculum's.
        final_rate: the learning rate falls linearly to this share of itself within the phase.
    """

    steps: Natural = 0
    epochs: Natural = 0
    stage: Natural = 0
    mix_probability: Share | None = None
    final_rate: Share = 1.0

    def __post_init__(self) -> None:
        if bool(self.steps) == bool(self.epochs):
            raise ValueError("either steps or epochs must be above 0")


@checked
class OptimizerPart:
    """AdamW with linear warm-up to a constant rate.

    Attributes:
        reset: when its state is dropped: at a change of `"stage"` (the paper), `"every_epoch"`
            (the published code), or `"never"`.
    """

    lr: Annotated[Number, Field(gt=0)] = 3e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.98
    weight_decay: Annotated[Number, Field(ge=0)] = 0.01
    warmup_steps: Natural = 50
    clip: Annotated[Number, Field(gt=0)] = 1.0
    reset: Literal["stage", "every_epoch", "never"] = "stage"


@checked
class Recipe:
    """Everything a training run depends on; the same recipe and seed give the same weights.

    Attributes:
        name: what the run and its checkpoint are called.
        phases: what is trained, in order.
        objective: `"curriculum"`, or `"walks"` for a base model.
        supervisor: what supervises the thoughts themselves, at every stage: `"none"` (Coconut),
            `"step"`, `"frontier"`, `"teacher"`; see `training/supervisors.py`.
        supervisor_weight: what its loss is multiplied by before it is added to that of the words.
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
    objective: Literal["curriculum", "walks"] = "curriculum"
    supervisor: Literal["none", "step", "frontier", "teacher"] = "none"
    supervisor_weight: Annotated[Number, Field(gt=0)] = 1.0
    seed: Integer = 0
    batch_size: Positive = 128
    micro_batch: Positive | None = None
    recompute: Switch = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    problems: ProblemsPart = field(default_factory=ProblemsPart)
    model: ModelPart = field(default_factory=ModelPart)
    walks: WalksPart = field(default_factory=WalksPart)
    curriculum: CurriculumPart = field(default_factory=CurriculumPart)
    optimizer: OptimizerPart = field(default_factory=OptimizerPart)

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("phases: a recipe needs at least one phase")
        if self.problems.source is None and self.problems.count < self.batch_size:
            raise ValueError("problems.count: fewer problems than one batch holds")
        walks, method = self.objective == "walks", self.curriculum.method
        if self.supervisor != "none" and (walks or METHODS[method].stand_in != "thoughts"):
            trained = "a base model" if walks else f"the method {method}"
            raise ValueError(f"supervisor: {self.supervisor!r}, but {trained} has no thoughts")

    @property
    def rows_per_problem(self) -> int:
        """A teacher reads each problem once more, in words."""
        return 2 if self.supervisor == "teacher" else 1

    def steps_per_epoch(self, problems: int) -> int:
        """Count the optimizer steps that go once through that many problems; at least 1."""
        return max(1, problems // self.batch_size)

    def in_steps(self, problems: int) -> Recipe:
        """Turn the epochs of phases into steps, with that many problems to train on."""
        epoch = self.steps_per_epoch(problems)
        phases = (
            dataclasses.replace(phase, steps=phase.steps or phase.epochs * epoch, epochs=0)
            for phase in self.phases
        )
        return dataclasses.replace(self, phases=tuple(phases))

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all phases; phases in epochs count once `in_steps` turned them."""
        return sum(phase.steps for phase in self.phases)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain data, for cards and logs."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Recipe:
        """Make a recipe from what `to_dict` gives; a RecipeError says which key does not fit."""
        return Recipe(**{str(key): value for key, value in data.items()})


class UniqueKeys(yaml.SafeLoader):
    """Reads YAML in which no key is given twice; PyYAML itself would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping, or raise an error that names the line of the second key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(f"{key.value} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


@checks_kinds(RecipeError)
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
        data = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except (OSError, ValueError) as error:
        names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise RecipeError(f"cannot read the recipe {path}; this package has {names}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values")
    try:
        return Recipe.from_dict(data | changes)
    except RecipeError as error:
        raise RecipeError(f"{path.name}: {error}") from None
