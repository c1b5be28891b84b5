"""What a recipe will need on a GPU: memory, floating-point operations and hours, before it is run.

Tokens, passes and operations are counted on batches of the run itself. Memory is that of the
longest rows that any batch can hold. Hours are a range, because no formula knows how well a GPU
will be used; the assumptions are the constants below and are printed with the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from coconut_lab.curriculum.curriculum import IGNORED, Curriculum, Tokenized
from coconut_lab.model.coconut import Coconut
from coconut_lab.training.costs import Shape, activation_bytes, pass_flops, shape_of
from coconut_lab.training.data import Batches
from coconut_lab.training.gpus import GPUS, SHOWN, Gpu, detect_gpu
from coconut_lab.training.recipe import Phase, Recipe, RecipeError

#: Share of the peak rate that training reaches. Table 3 of Chowdhery et al. 2022 (PaLM,
#: arXiv 2204.02311) gives 21 to 46% for well-tuned runs; short rows in plain PyTorch get less.
UTILISATION = (0.15, 0.5)
#: Seconds that one layer takes in one pass, forward and backward, however few tokens there are:
#: some 80 kernels, each launched from Python. An assumption.
LAYER_SECONDS = (0.5e-3, 2e-3)
#: Share of the memory that tensors may take; the rest is for CUDA itself and for fragments.
USABLE = 0.9


@dataclass(frozen=True)
class PhaseEstimate:
    """One phase of a recipe; means per optimizer step, over all processes.

    Attributes:
        stage: the scheduled stage.
        steps: optimizer steps.
        passes: forward passes for one part of the batch: thoughts + 1.
        tokens: real tokens per step.
        computed: the same with padding.
        flops: floating-point operations per step.
        seconds: least and most per step; None where the GPU's rate is unknown.
    """

    stage: int
    steps: int
    passes: float
    tokens: float
    computed: float
    flops: float
    seconds: tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """What a recipe needs; bytes are those of one process.

    Attributes:
        gpu, processes, bf16: what it was estimated for.
        rows, parts: what one process puts through the model at once, and how often per step.
        columns, labelled: of the longest row, and how many of its positions are labelled at most.
        weights, gradients, optimizer, activations: bytes.
        peak: bytes at the worst moment.
        per_row: bytes that one more row at once takes.
        phases: one estimate each.
    """

    gpu: Gpu
    processes: int
    bf16: bool
    rows: int
    parts: int
    columns: int
    labelled: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int
    per_row: int
    phases: tuple[PhaseEstimate, ...]

    @property
    def flops(self) -> float:
        """Floating-point operations of the whole run."""
        return sum(phase.steps * phase.flops for phase in self.phases)

    @property
    def hours(self) -> tuple[float, float] | None:
        """Least and most hours; None where the GPU's rate is unknown. Scoring is not counted."""
        if any(phase.seconds is None for phase in self.phases):
            return None
        low, high = (
            sum(phase.steps * phase.seconds[end] for phase in self.phases if phase.seconds)
            for end in (0, 1)
        )
        return low / 3600, high / 3600

    @property
    def fits(self) -> bool:
        """Whether the peak is within the share of the memory that tensors may take."""
        return self.peak <= self.usable

    @property
    def usable(self) -> float:
        """Bytes that tensors may take."""
        return USABLE * self.gpu.memory * 1e9

    @property
    def micro_batch(self) -> int:
        """The most rows at once that would fit; 0 if not even one does."""
        room = self.usable - (self.peak - self.rows * self.per_row)
        return max(0, min(self.rows * self.parts, int(room // self.per_row)))

    def verdict(self) -> str:
        """Say in a few words whether it fits, and if not, what would."""
        if self.fits:
            return "fits"
        if self.micro_batch:
            return f"does not fit; micro_batch: {self.micro_batch} would"
        return "does not fit with a single row; take a larger GPU, or share the weights (FSDP)"

    def line(self) -> str:
        """Write one line: GPU, memory, time, verdict."""
        precision = "bf16" if self.bf16 else "fp32"
        if self.bf16 and self.gpu.bf16 is None and self.gpu.fp32 is not None:
            precision += ", which it has no units for: at the rate of fp32"
        return (
            f"{self.processes} x {self.gpu.name} ({self.gpu.memory:.0f} GB, {precision}): "
            f"{_size(self.peak)} at the peak, {self.time()}: {self.verdict()}"
        )

    def time(self) -> str:
        """Write the least and the most time in words, in hours or, below one hour, in minutes."""
        if self.hours is None:
            return "time unknown"
        low, high = self.hours
        if high < 1:
            return f"{_number(60 * low)} to {_number(60 * high)} minutes"
        return f"{_number(low)} to {_number(high)} hours"

    def table(self, others: Sequence[Estimate] = ()) -> str:
        """Write the phases, the memory and the assumptions as plain text.

        Args:
            others: estimates for other GPUs, for a line each; the phases then go without seconds.
        """
        heads = ("phase", "stage", "parts x passes", "tokens", "padded", "TFLOP", "seconds")
        cells: list[tuple[str, ...]] = [heads]
        for number, phase in enumerate(self.phases):
            spent = phase.seconds
            cells.append(
                (
                    str(number),
                    str(phase.stage),
                    f"{self.parts} x {phase.passes:g}",
                    f"{phase.tokens:,.0f}",
                    f"{phase.computed:,.0f}",
                    f"{phase.flops / 1e12:.3g}",
                    "unknown" if spent is None else " to ".join(map(_number, spent)),
                )
            )
        cells = [row[:-1] for row in cells] if others else cells
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        held = ", ".join(
            f"{name} {_size(getattr(self, name))}"
            for name in ("weights", "gradients", "optimizer", "activations")
        )
        return "\n".join(
            [
                "per optimizer step:",
                *lines,
                f"memory of a process: {held} ({self.rows} rows of {self.columns} columns, "
                f"{self.labelled} labelled, the longest there are)",
                self.line(),
                *(other.line() for other in others),
                f"assumed: {UTILISATION[0]:.0%} to {UTILISATION[1]:.0%} of the peak rate, at least "
                f"{LAYER_SECONDS[0] * 1e3:g} to {LAYER_SECONDS[1] * 1e3:g} ms per layer and pass, "
                f"{USABLE:.0%} of the memory for tensors; scoring is not counted",
            ]
        )


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def estimate_run(
    recipe: Recipe,
    model: Coconut,
    batches: Batches,
    curriculum: Curriculum,
    gpu: Gpu,
    processes: int = 1,
    samples: int = 4,
) -> Estimate:
    """Estimate memory, operations and hours of a recipe on a GPU, without running anything.

    Args:
        recipe: the recipe, its phases in steps (`Recipe.in_steps`).
        model: the model that it trains; only its sizes matter, so it may be on the device "meta".
        batches: its batches.
        curriculum: its curriculum.
        gpu: the GPU that each process has to itself.
        processes: how many processes share a batch, each with the whole model (DDP).
        samples: how many batches of each phase are looked at, evenly spread.

    Returns:
        The estimate.

    Raises:
        RecipeError: the batch does not divide among the processes.
    """
    share, rest = divmod(recipe.batch_size, processes)
    if rest:
        raise RecipeError(
            f"batch_size: {recipe.batch_size} does not divide among {processes} processes"
        )
    shape = shape_of(model)
    bf16 = recipe.precision != "fp32"
    rows, again = min(recipe.micro_batch or share, share), recipe.recompute
    phases = []
    columns, labelled, thoughts, unread = longest_rows(recipe, curriculum, batches.parts)
    first = 0
    for phase in recipe.phases:
        looked_at = sorted({first + phase.steps * i // samples for i in range(samples)})
        first += phase.steps
        found = [batches.training(step, recipe, phase, curriculum) for step in looked_at]
        if recipe.objective == "walks":  # drawn anew for each batch
            columns = max(columns, *(batch["input_ids"].shape[1] for batch in found))
            most = (int((batch["labels"] != IGNORED).sum(1).max()) for batch in found)
            labelled = max(labelled, *most)
        phases.append(_phase(shape, model, phase, found, share, rows, gpu.rate(bf16), again))
    sizes = (1, columns, labelled)
    per_row = activation_bytes(
        shape,
        *sizes,
        thoughts=thoughts,
        bf16=bf16,
        unread=unread,
        recompute=again,
    )
    element = model.language_model.get_input_embeddings().weight.element_size()
    weights = shape.parameters * element
    gradients = shape.trained * element
    copies = 2 * shape.linear if bf16 and element > 2 else 0  # autocast's, for the whole forward
    buckets = gradients if processes > 1 else 0  # in which DDP exchanges gradients
    optimizer = 2 * gradients
    # AdamW updates all weights together, with intermediates of their size (torch's manual); by
    # then the activations are gone.
    peak = weights + gradients + buckets + optimizer + max(copies + rows * per_row, gradients)
    return Estimate(
        gpu=gpu,
        processes=processes,
        bf16=bf16,
        rows=rows,
        parts=-(-share // rows),
        columns=columns,
        labelled=labelled,
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=rows * per_row,
        peak=peak,
        per_row=per_row,
        phases=tuple(phases),
    )


def longest_rows(
    recipe: Recipe, curriculum: Curriculum, parts: Sequence[Tokenized]
) -> tuple[int, int, bool, int]:
    """Bound what a batch can hold: `collate` sets thoughts under each other, the longest decide.

    Args:
        recipe: the recipe.
        curriculum: its curriculum.
        parts: the tokenized problems.

    Returns:
        Columns, labelled positions of a row, whether any row has thoughts, and how many of its
        columns are certainly not read; zeros for walks.
    """
    if recipe.objective == "walks":
        return 0, 0, False, 0
    mixed = curriculum.mix_probability or any(phase.mix_probability for phase in recipe.phases)
    stages = {phase.stage for phase in recipe.phases}
    if mixed:
        stages |= set(range(curriculum.max_stage + 2))
    question = rest = labelled = most = 0
    for part in parts:
        question = max(question, len(part.question))
        for stage in stages:
            learned = len(curriculum.steps_kept(part.steps, stage)) + len(part.answer)
            count = curriculum.thoughts_in_training(len(part.steps), stage)
            rest = max(rest, count + learned)
            labelled = max(labelled, learned)
            most = max(most, count)
    thoughts = curriculum.rule.stand_in == "thoughts" and most > 0
    # The last column of the question may be read, all markers and what follows them are.
    return question + 2 * curriculum.rule.markers + rest, labelled, thoughts, question - 1


def _phase(
    shape: Shape,
    model: Coconut,
    phase: Phase,
    found: Sequence[dict[str, Tensor]],
    share: int,
    rows: int,
    rate: float | None,
    recompute: bool,
) -> PhaseEstimate:
    """Take means over some batches of a phase."""
    processes = len(found[0]["input_ids"]) // share
    tokens = computed = flops = passes = 0
    low = high = 0.0
    for batch in found:
        tokens += int(batch["attention_mask"].sum())
        computed += batch["input_ids"].numel()
        for chunk in _chunks(len(batch["input_ids"]), share, rows):
            ids = batch["input_ids"][chunk]
            thought = (ids == model.tokens.thought) & batch["attention_mask"][chunk].bool()
            columns = thought.any(0).nonzero().flatten().tolist()
            labelled = batch["labels"][chunk, 1:] != IGNORED
            first = int(labelled.any(0).int().argmax())
            sizes = (len(ids), ids.shape[1], columns, int(labelled.sum()))
            counts = pass_flops(shape, *sizes, first, recompute)
            flops += sum(counts)
            passes += len(counts)
            if rate is None:
                continue
            for count in counts:
                low += max(count / (rate * UTILISATION[1]), shape.layers * LAYER_SECONDS[0])
                high += max(count / (rate * UTILISATION[0]), shape.layers * LAYER_SECONDS[1])
    number = len(found)
    chunks = number * processes * -(-share // rows)
    return PhaseEstimate(
        stage=phase.stage,
        steps=phase.steps,
        passes=round(passes / chunks, 2),
        tokens=tokens / number,
        computed=computed / number,
        flops=flops / number,
        seconds=(low / number / processes, high / number / processes) if rate else None,
    )


def _chunks(total: int, share: int, rows: int) -> Iterator[slice]:
    """Cut a batch as the training loop does: a share per process, parts of at most `rows`."""
    for first in range(0, total, share):
        for start in range(first, first + share, rows):
            yield slice(start, min(start + rows, first + share))


def dry_run(
    recipe: Recipe,
    model: Coconut,
    batches: Batches,
    curriculum: Curriculum,
    gpu: Gpu | None = None,
    processes: int = 1,
) -> str:
    """Say what a run will need, or that it cannot run.

    Args:
        recipe: the recipe, its phases in steps.
        model: the model that it trains.
        batches: its batches.
        curriculum: its curriculum.
        gpu: the GPU to size it for; None takes the one of this machine, or shows several.
        processes: how many processes share a batch.

    Returns:
        The table of the estimate; without any GPU, the phases and a line for each of several.

    Raises:
        RecipeError: it does not fit into the memory of the GPU; the message says what would.
    """
    parts = (recipe, model, batches, curriculum)
    chosen = gpu or detect_gpu()
    if chosen is not None:
        found = estimate_run(*parts, chosen, processes)
        if not found.fits:
            raise RecipeError(f"micro_batch: {found.rows} rows at once: {found.line()}")
        return found.table()
    first, *others = [estimate_run(*parts, GPUS[name], processes) for name in SHOWN]
    return first.table(others)
