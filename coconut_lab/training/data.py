"""What a recipe trains on: its problems, and batches as a function of the step.

A batch needs nothing but its step and the seed: there is no state to save, so a run can go on where
it stopped.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, Tokenized, tokenize
from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.loading import cache_file, load_problems
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.recipe import Phase, Recipe, RecipeError, WalksPart
from coconut_lab.training.supervisors import pad_targets, target_tokens
from coconut_lab.training.walks import encode_walks

Step = TypeVar("Step")
#: Batches are cut from that many batches' worth of problems sorted by length: less padding.
POOL = 16
#: Training problems of the data sets known by name (Hao et al. 2024, appendix A).
PUBLISHED = {"gsm8k-aug": 385_620, "prontoqa": 9_000, "prosqa": 17_886}


@checks_kinds(RecipeError)
def training_problems(recipe: Recipe) -> list[Problem]:
    """Make or load the problems of a recipe.

    Raises:
        RecipeError: there are none, or fewer than one batch holds.
        ProblemError, OSError: the source cannot be read.
    """
    part = recipe.problems
    if part.source is None:
        return _generate(recipe, part.count, part.seed)
    problems = load_problems(part.source, split="train")
    if len(problems) < recipe.batch_size:
        raise RecipeError(
            f"problems.source: {part.source} holds {len(problems)} problems, fewer than one batch "
            f"of {recipe.batch_size}; lower batch_size or use more problems"
        )
    return problems


@checks_kinds(RecipeError)
def validation_problems(recipe: Recipe, count: int = 200) -> list[Problem]:
    """Make or load problems to score on while training; none of them is trained on.

    Args:
        recipe: the recipe.
        count: at most that many.

    Returns:
        The problems; empty for a source without a validation file.
    """
    part = recipe.problems
    if part.source is None:
        return _generate(recipe, count, part.seed + 1)
    if part.validation is None:
        return []
    return load_problems(part.validation, split="validation", limit=count)


def _generate(recipe: Recipe, count: int, seed: int) -> list[Problem]:
    part = recipe.problems
    return generate_prosqa(count, seed, part.preset, hops=part.hops, nodes=part.nodes)


@checks_kinds(RecipeError)
def count_problems(recipe: Recipe) -> int:
    """Count the training problems of a recipe; nothing is generated or fetched for that.

    Raises:
        ProblemError: the source is neither a file that can be read nor a known data set.
    """
    source = recipe.problems.source
    if source is None:
        return recipe.problems.count
    if source in PUBLISHED and not cache_file(source, "train").is_file():
        return PUBLISHED[source]
    return len(load_problems(source, split="train"))


def names_of(recipe: Recipe) -> list[str]:
    """List the names that nodes of a recipe's generated problems may have."""
    preset = PRESETS[recipe.problems.preset]
    return [*preset.entities, *preset.concepts]


@checks_kinds(RecipeError)
class Batches:
    """Training batches, each made from its step number and the seed alone.

    Args:
        problems: the training problems.
        tokenizer: the tokenizer.
        batch_size: rows per batch.
        seed: decides order, mixing, walks and new names.
        names: names that are interchangeable; each row gets them permuted, so that no name
            carries information. Empty for no renaming.
        apart: how many of the first names only change among themselves.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        tokenizer: Any,
        batch_size: int,
        seed: int,
        names: Sequence[str] = (),
        apart: int = 0,
    ) -> None:
        self.problems = list(problems)
        if not self.problems:
            raise RecipeError("there are no problems to train on")
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.seed = seed
        self.parts = tokenize(self.problems, tokenizer)
        ids = [
            tokenizer.convert_tokens_to_ids(list(part)) for part in (names[:apart], names[apart:])
        ]
        self.names = [torch.tensor(part, dtype=torch.long) for part in ids if part]
        self._pool = lru_cache(maxsize=1)(self._make_pool)

    def _make_pool(self, number: int) -> list[list[int]]:
        """The problems of `POOL` batches, sorted by length, cut into batches, shuffled."""
        size = self.batch_size * POOL
        order: list[int] = []
        while len(order) < size:  # a small data set may be used up within one pool
            first = number * size + len(order)
            epoch, offset = divmod(first, len(self.parts))
            shuffled = list(range(len(self.parts)))
            random.Random(f"{self.seed}/order/{epoch}").shuffle(shuffled)
            order += shuffled[offset : offset + size - len(order)]
        order.sort(key=lambda index: (len(self.parts[index].question), index))
        batches = [order[i : i + self.batch_size] for i in range(0, size, self.batch_size)]
        random.Random(f"{self.seed}/pool/{number}").shuffle(batches)
        return batches

    def rows(self, step: int) -> list[int]:
        """Indices of the problems of a step."""
        return self._pool(step // POOL)[step % POOL]

    def training(
        self, step: int, recipe: Recipe, phase: Phase, curriculum: Curriculum
    ) -> dict[str, Tensor]:
        """Make the whole batch of a step that belongs to a phase of a recipe."""
        if recipe.objective == "walks":
            return self.walks(step, recipe.walks)
        mixing, supervisor = phase.mix_probability, recipe.supervisor
        return self.curriculum(step, curriculum, phase.stage, mixing, supervisor=supervisor)

    def curriculum(
        self,
        step: int,
        curriculum: Curriculum,
        stage: int,
        mix_probability: float | None = None,
        *,
        supervisor: str = "none",
    ) -> dict[str, Tensor]:
        """Make the batch of a step at a scheduled stage, as `collate` gives it.

        Args:
            step: the optimizer step, from 0.
            curriculum: encodes each problem.
            stage: the scheduled stage.
            mix_probability: overrides the curriculum's.
            supervisor: what supervises the thoughts: `"step"` and `"frontier"` add `targets` (see
                `pad_targets`), `"teacher"` the same problem in words as a row after each.
        """
        rng = random.Random(f"{self.seed}/mix/{step}")
        if mix_probability is not None:
            curriculum = dataclasses.replace(curriculum, mix_probability=mix_probability)
        in_words = dataclasses.replace(curriculum, method="coconut")  # stage 0 has all steps
        examples, targets = [], []
        for index in self.rows(step):
            parts, problem = self.parts[index], self.problems[index]
            row_stage = curriculum.draw_stage(stage, len(parts.steps), rng)
            extra = curriculum.draw_extra(rng)
            examples.append(curriculum.arrange(parts, self.tokenizer, row_stage, extra))
            if supervisor == "teacher":
                examples.append(in_words.arrange(parts, self.tokenizer, 0))
            elif supervisor != "none":
                count = curriculum.thoughts_in_training(len(parts.steps), row_stage)
                given = (supervisor, problem, curriculum, count, self.tokenizer)
                targets.append(target_tokens(*given))
        batch = collate(examples, self.tokenizer)
        return self._rename(batch | ({"targets": pad_targets(targets)} if targets else {}), step)

    def walks(self, step: int, settings: WalksPart) -> dict[str, Tensor]:
        """Make the batch of a step of a base model: each graph with random walks on it."""
        rng = random.Random(f"{self.seed}/walks/{step}")
        examples = [
            encode_walks(
                self.problems[index].graph, self.parts[index], self.tokenizer, settings, rng
            )
            for index in self.rows(step)
        ]
        return self._rename(collate(examples, self.tokenizer), step)

    def _rename(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        if not self.names:
            return batch
        seed = random.Random(f"{self.seed}/names/{step}").getrandbits(63)
        generator = torch.Generator().manual_seed(seed)
        rows = self.batch_size
        table = torch.arange(len(self.tokenizer)).repeat(rows, 1)  # (B, V)
        for names in self.names:
            # Sorted by numpy: torch would share this out among threads that train at that time.
            numbers = torch.rand(rows, len(names), generator=generator)
            table[:, names] = names[torch.from_numpy(numbers.numpy().argsort(1))]
        # With a teacher, each problem has two rows.
        table = table.repeat_interleave(len(batch["input_ids"]) // rows, 0)
        for name in ("input_ids", "labels", "targets"):
            if name in batch:
                ids = batch[name].flatten(1)
                new = torch.where(ids == IGNORED, IGNORED, table.gather(1, ids.clamp(min=0)))
                batch[name] = new.view_as(batch[name])
        return batch


def made_ahead(
    steps: Iterable[Step], make: Callable[[Step], dict[str, Tensor]]
) -> Iterator[tuple[Step, dict[str, Tensor]]]:
    """Give every step with its batch; while one is trained on, the next batch is made."""
    waiting: tuple[Step, Future[dict[str, Tensor]]] | None = None
    with ThreadPoolExecutor(1) as pool:
        for step in steps:
            coming = step, pool.submit(make, step)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting:
            yield waiting[0], waiting[1].result()


def share_out(recipe: Recipe, processes: int) -> list[list[slice]]:
    """Cut the rows of a batch: a share for each process, in parts of at most `micro_batch`."""
    share, rest = divmod(recipe.batch_size, processes)
    if rest:
        raise RecipeError(
            f"batch_size: {recipe.batch_size} does not divide among {processes} processes"
        )
    size = min(recipe.micro_batch or share, share)
    each = recipe.rows_per_problem
    return [
        [
            slice(each * start, each * min(start + size, first + share))
            for start in range(first, first + share, size)
        ]
        for first in range(0, recipe.batch_size, share)
    ]


def row_sizes(
    recipe: Recipe, curriculum: Curriculum, parts: Sequence[Tokenized]
) -> Iterator[tuple[int, int, int, int]]:
    """Give each row that training may make: problem, stage, thoughts, tokens that are learned."""
    stages = {phase.stage for phase in recipe.phases}
    mixed = curriculum.mix_probability or any(phase.mix_probability for phase in recipe.phases)
    for index, part in enumerate(parts):
        for stage in sorted(stages | set(range(len(part.steps) + 1) if mixed else ())):
            thoughts = curriculum.thoughts_in_training(len(part.steps), stage)
            learned = len(curriculum.steps_kept(part.steps, stage)) + len(part.answer)
            yield index, stage, thoughts, learned
        if recipe.supervisor == "teacher":
            yield index, 0, 0, sum(map(len, part.steps)) + len(part.answer)


def check_fit(
    recipe: Recipe, curriculum: Curriculum, parts: Sequence[Tokenized], positions: int | None
) -> None:
    """Raise a RecipeError unless the stages fit the problems and the positions of the model."""
    if recipe.objective != "curriculum":
        return
    tokens = curriculum.rule.removes == "tokens"
    most = max(sum(map(len, part.steps)) if tokens else len(part.steps) for part in parts)
    if curriculum.rule.removes in ("steps", "tokens") and curriculum.max_stage > most:
        raise RecipeError(
            f"curriculum.max_stage: {curriculum.max_stage}, but no problem has more than {most} "
            f"{'tokens in its steps' if tokens else 'steps'}; lower max_stage or use longer "
            "problems"
        )
    last = curriculum.max_stage + 1
    for index, phase in enumerate(recipe.phases):
        if phase.stage > last and not tokens:
            raise RecipeError(
                f"phases[{index}].stage: {phase.stage} is past the last stage, {last}, in which no "
                "language step is left"
            )
    for index, stage, thoughts, learned in row_sizes(recipe, curriculum, parts):
        markers = 2 * curriculum.rule.markers
        length = len(parts[index].question) + markers + thoughts + learned
        if positions is not None and length > positions:
            raise RecipeError(
                f"problem {index} has {length} tokens at stage {stage}, but the model has "
                f"{positions} positions; use shorter problems, lower "
                "curriculum.thoughts_per_step, or a model with more positions"
            )
