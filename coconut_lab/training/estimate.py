"""What a recipe will need on a GPU: memory, floating-point operations and hours, before it is run.

Tokens, passes and operations are counted on batches of the run itself. Memory is that of the
longest rows that any batch can hold. Hours are a range, because no formula knows how well a GPU
will be used; the assumptions are the constants below and are printed with the result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, Tokenized
from coconut_lab.model.coconut import Coconut
from coconut_lab.tables import Table
from coconut_lab.training.costs import Shape, activation_bytes, pass_flops, shape_of
from coconut_lab.training.data import Batches, share_out
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
class Gpu:
    """What a GPU can hold and compute; a rate is None where the vendor lists none."""

    name: str  # in the table below, or as its driver says
    memory: float  # GB (10^9 bytes)
    bf16: float | None  # peak of dense matrix products, TFLOP/s
    fp32: float | None  # the same without tensor cores: what torch does unless told to use TF32

    def rate(self, bf16: bool) -> float | None:
        """Give the peak in FLOP/s at a precision; float32's where bfloat16 has no units."""
        listed = self.bf16 if bf16 and self.bf16 is not None else self.fp32
        return None if listed is None else listed * 1e12


#: Published by NVIDIA. Where a data sheet gives a rate "with sparsity", half of it is dense.
GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        # NVIDIA T4 data sheet (2019). Turing has tensor cores for float16 only.
        Gpu("T4", 16, None, 8.1),
        # NVIDIA Ampere GA102 whitepaper V2.0, appendix A: BF16 tensor with FP32 accumulation.
        Gpu("RTX-3090", 24, 71.0, 35.6),
        # NVIDIA Ada GPU architecture whitepaper V2.1, appendix A.
        Gpu("RTX-4090", 24, 165.2, 82.6),
        # NVIDIA L4 data sheet (2023): 242 with sparsity.
        Gpu("L4", 24, 121.0, 30.3),
        # NVIDIA A100 data sheet (2021).
        Gpu("A100-40", 40, 312.0, 19.5),
        Gpu("A100-80", 80, 312.0, 19.5),
        # NVIDIA H100 data sheet, SXM: 1,979 with sparsity; H200 data sheet: the same rates.
        Gpu("H100-80", 80, 989.0, 67.0),
        Gpu("H200", 141, 989.0, 67.0),
    )
}
#: What a dry run shows when no GPU is named and none is there.
SHOWN = ("T4", "RTX-3090", "A100-40", "H100-80")


def find_gpu(name: str) -> Gpu:
    """Look a GPU up by its name; capitals, blanks and hyphens do not matter.

    Raises:
        RecipeError: there is none of that name; the message lists the names.
    """
    for gpu in GPUS.values():
        if _words(gpu.name) == _words(name) or "".join(_words(gpu.name)) == "".join(_words(name)):
            return gpu
    raise RecipeError(f"--gpu: {name!r} is none of {', '.join(GPUS)}")


def detect_gpu() -> Gpu | None:
    """Describe the CUDA GPU of this machine; its rates are those of the table, if that has it."""
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    model = {name: name.removeprefix("RTX-").split("-")[0].lower() for name in GPUS}
    known = [GPUS[name] for name, word in model.items() if word in _words(found.name)]
    rates = (known[0].bf16, known[0].fp32) if known else (None, None)
    return Gpu(found.name, found.total_memory / 1e9, *rates)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


@dataclass(frozen=True)
class PhaseEstimate:
    """One phase of a recipe; means per optimizer step, over all processes."""

    stage: int
    steps: int
    passes: float  # for one part of the batch: thoughts + 1
    tokens: float  # real tokens
    computed: float  # the same with padding
    flops: float
    seconds: tuple[float, float] | None  # least and most; None where the GPU's rate is unknown


@dataclass(frozen=True)
class Estimate:
    """What a recipe needs; all sizes are bytes of one process."""

    gpu: Gpu
    processes: int
    bf16: bool
    rows: int  # what one process puts through the model at once
    parts: int  # and how often per step
    columns: int  # of the longest row
    labelled: int  # at most that many of its positions
    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int  # at the worst moment
    per_row: int  # for one more row at once
    phases: tuple[PhaseEstimate, ...]

    @property
    def flops(self) -> float:
        """Floating-point operations of the whole run."""
        return sum(phase.steps * phase.flops for phase in self.phases)

    @property
    def hours(self) -> tuple[float, float] | None:
        """Least and most hours; None where the GPU's rate is unknown. Scoring is not counted."""
        low = high = 0.0
        for phase in self.phases:
            if phase.seconds is None:
                return None
            low += phase.steps * phase.seconds[0] / 3600
            high += phase.steps * phase.seconds[1] / 3600
        return low, high

    @property
    def usable(self) -> float:
        """Bytes that tensors may take."""
        return USABLE * self.gpu.memory * 1e9

    @property
    def fits(self) -> bool:
        """Whether the peak is within the share of the memory that tensors may take."""
        return self.peak <= self.usable

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
        rows = [
            (
                str(number),
                str(phase.stage),
                f"{self.parts} x {phase.passes:g}",
                f"{phase.tokens:,.0f}",
                f"{phase.computed:,.0f}",
                f"{phase.flops / 1e12:.3g}",
                " to ".join(map(_number, phase.seconds)) if phase.seconds else "unknown",
            )
            for number, phase in enumerate(self.phases)
        ]
        shown = len(heads) - bool(others)
        held = ", ".join(
            f"{name} {_size(getattr(self, name))}"
            for name in ("weights", "gradients", "optimizer", "activations")
        )
        return "\n".join(
            [
                "per optimizer step:",
                str(Table(heads[:shown], tuple(row[:shown] for row in rows))),
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
        recipe: the recipe; where its phases count epochs, of the problems in `batches`.
        model: the model that it trains; only its sizes matter, so it may be on the device "meta".
        batches: its batches.
        curriculum: its curriculum.
        gpu: the GPU that each process has to itself.
        processes: how many processes share a batch, each with the whole model (DDP).
        samples: how many batches of each phase are looked at, evenly spread.

    Raises:
        RecipeError: the batch does not divide among the processes.
    """
    shares = share_out(recipe, processes)
    recipe = recipe.in_steps(len(batches.problems))
    shape = shape_of(model)
    bf16, again = recipe.precision != "fp32", recipe.recompute
    rows = shares[0][0].stop
    longest = longest_rows(recipe, curriculum, batches.parts)
    phases = []
    first = 0
    for phase in recipe.phases:
        looked_at = sorted({first + phase.steps * i // samples for i in range(samples)})
        first += phase.steps
        found = [batches.training(step, recipe, phase, curriculum) for step in looked_at]
        if recipe.objective == "walks":  # drawn anew for each batch
            for batch in found:
                labelled = int((batch["labels"] != IGNORED).sum(1).max())
                longest["columns"] = max(longest["columns"], batch["input_ids"].shape[1])
                longest["labelled"] = max(longest["labelled"], labelled)
        thought = model.tokens.thought
        phases.append(_phase(shape, thought, phase, found, shares, gpu.rate(bf16), again))
    per_row = activation_bytes(shape, rows=1, **longest, bf16=bf16, recompute=again)
    element = model.language_model.get_input_embeddings().weight.element_size()
    weights, gradients = shape.parameters * element, shape.trained * element
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
        parts=len(shares[0]),
        columns=longest["columns"],
        labelled=longest["labelled"],
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
) -> dict[str, int]:
    """Bound what a batch can hold: `collate` sets thoughts under each other, the longest decide."""
    if recipe.objective == "walks":
        return {"columns": 0, "labelled": 0, "thoughts": 0, "unread": 0}
    stages = {phase.stage for phase in recipe.phases}
    if curriculum.mix_probability or any(phase.mix_probability for phase in recipe.phases):
        stages |= set(range(curriculum.max_stage + 2))
    question = rest = labelled = thoughts = 0
    for part in parts:
        question = max(question, len(part.question))
        for stage in stages:
            learned = len(curriculum.steps_kept(part.steps, stage)) + len(part.answer)
            count = curriculum.thoughts_in_training(len(part.steps), stage)
            rest = max(rest, count + learned)
            labelled = max(labelled, learned)
            thoughts = max(thoughts, count)
    return {
        "columns": question + 2 * curriculum.rule.markers + rest,
        "labelled": labelled,
        "thoughts": thoughts if curriculum.rule.stand_in == "thoughts" else 0,
        # The last column of the question may be read, all markers and what follows them are.
        "unread": question - 1,
    }


def _phase(
    shape: Shape,
    thought: int,
    phase: Phase,
    found: Sequence[dict[str, Tensor]],
    shares: Sequence[Sequence[slice]],
    rate: float | None,
    recompute: bool,
) -> PhaseEstimate:
    """Take means over some batches of a phase."""
    tokens = computed = flops = passes = 0
    low = high = 0.0
    chunks = [chunk for share in shares for chunk in share]
    for batch in found:
        tokens += int(batch["attention_mask"].sum())
        computed += batch["input_ids"].numel()
        for chunk in chunks:
            ids = batch["input_ids"][chunk]
            thinks = (ids == thought) & batch["attention_mask"][chunk].bool()
            columns = thinks.any(0).nonzero().flatten().tolist()
            labelled = batch["labels"][chunk, 1:] != IGNORED
            first = int(labelled.any(0).int().argmax())
            sizes = (len(ids), ids.shape[1], columns, int(labelled.sum()))
            counts = pass_flops(shape, *sizes, first, recompute)
            flops += sum(counts)
            passes += len(counts)
            for count in counts:
                seconds = count / (rate or math.inf)
                low += max(seconds / UTILISATION[1], shape.layers * LAYER_SECONDS[0])
                high += max(seconds / UTILISATION[0], shape.layers * LAYER_SECONDS[1])
    number, each = len(found), len(found) * len(shares)
    return PhaseEstimate(
        stage=phase.stage,
        steps=phase.steps,
        passes=round(passes / (number * len(chunks)), 2),
        tokens=tokens / number,
        computed=computed / number,
        flops=flops / number,
        seconds=(low / each, high / each) if rate else None,
    )


def dry_run(
    recipe: Recipe,
    model: Coconut,
    batches: Batches,
    curriculum: Curriculum,
    gpu: Gpu | None = None,
    processes: int = 1,
) -> str:
    """Write what a run needs on a GPU: on this machine's, or on several, if none is named."""
    chosen = gpu or detect_gpu()
    names = [] if chosen else SHOWN[1:]
    found, *others = [
        estimate_run(recipe, model, batches, curriculum, each, processes)
        for each in (chosen or GPUS[SHOWN[0]], *(GPUS[name] for name in names))
    ]
    if chosen and not found.fits:
        raise RecipeError(f"micro_batch: {found.rows} rows at once: {found.line()}")
    return found.table(others)
