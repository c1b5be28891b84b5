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
from typing import NamedTuple

import torch
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, Tokenized
from coconut_lab.model.coconut import Coconut
from coconut_lab.tables import Table
from coconut_lab.training.costs import Shape, activation_bytes, pass_flops
from coconut_lab.training.data import Batches, row_sizes, share_out
from coconut_lab.training.recipe import Recipe, RecipeError

#: Share of the peak rate that training reaches. Table 3 of Chowdhery et al. 2022 (PaLM,
#: arXiv 2204.02311) gives 21 to 46% for well-tuned runs; short rows in plain PyTorch get less.
UTILISATION = (0.15, 0.5)
#: Seconds that one layer takes in one pass, forward and backward, however few tokens there are:
#: some 80 kernels, each launched from Python. An assumption.
LAYER_SECONDS = (0.5e-3, 2e-3)
#: Share of the memory that tensors may take; the rest is for CUDA itself and for fragments.
USABLE = 0.9


class Gpu(NamedTuple):
    """What a GPU can hold and compute; a rate is None where the vendor lists none."""

    name: str  # in the table below, or as its driver says
    memory: float  # GB (10^9 bytes)
    bf16: float | None  # peak of dense matrix products, TFLOP/s
    fp32: float | None  # the same without tensor cores: what torch does unless told to use TF32

    def rate(self, bf16: bool) -> float:
        """The peak in FLOP/s; float32's where bfloat16 has no units, not a number if unknown."""
        listed = self.bf16 if bf16 and self.bf16 is not None else self.fp32
        return math.nan if listed is None else listed * 1e12


#: Published by NVIDIA; half of a rate "with sparsity" is dense. Data sheets: T4 (2019; Turing has
#: tensor cores for float16 only), L4 (2023), A100 (2021), H100 SXM, H200. Whitepapers, appendix A
#: (BF16 with FP32 accumulation): Ampere GA102 V2.0 and Ada V2.1.
GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("T4", 16, None, 8.1),
        Gpu("RTX-3090", 24, 71.0, 35.6),
        Gpu("RTX-4090", 24, 165.2, 82.6),
        Gpu("L4", 24, 121.0, 30.3),
        Gpu("A100-40", 40, 312.0, 19.5),
        Gpu("A100-80", 80, 312.0, 19.5),
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
        if "".join(_words(gpu.name)) == "".join(_words(str(name))):
            return gpu
    raise RecipeError(f"--gpu: {name!r} is none of {', '.join(GPUS)}")


def detect_gpu() -> Gpu | None:
    """Describe the CUDA GPU of this machine; its rates are those of the table, if that has it."""
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    for gpu in GPUS.values():
        if gpu.name.removeprefix("RTX-").split("-")[0].lower() in _words(found.name):
            return gpu._replace(name=found.name, memory=found.total_memory / 1e9)
    return Gpu(found.name, found.total_memory / 1e9, None, None)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


class PhaseEstimate(NamedTuple):
    """One phase of a recipe; means per optimizer step, over all processes."""

    stage: int
    steps: int
    passes: float  # for one part of the batch: thoughts + 1
    tokens: float  # real tokens
    computed: float  # the same with padding
    flops: float
    seconds: tuple[float, float]  # least and most; not a number where the GPU's rate is unknown


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
    memory: dict[str, int]  # weights, gradients, optimizer, activations
    peak: int  # at the worst moment
    per_row: int  # for one more row at once
    phases: tuple[PhaseEstimate, ...]

    @property
    def hours(self) -> tuple[float, float]:
        """Least and most hours, without scoring; not a number where the GPU's rate is unknown."""
        low, high = (
            sum(phase.steps * phase.seconds[end] / 3600 for phase in self.phases) for end in (0, 1)
        )
        return low, high

    @property
    def fits(self) -> bool:
        """Whether the peak is within the share of the memory that tensors may take."""
        return self.peak <= USABLE * self.gpu.memory * 1e9

    def verdict(self) -> str:
        """Say in a few words whether it fits, and if not, what would."""
        if self.fits:
            return "fits"
        room = USABLE * self.gpu.memory * 1e9 - (self.peak - self.rows * self.per_row)
        if room >= self.per_row:
            most = min(self.rows * self.parts, int(room // self.per_row))
            return f"does not fit; micro_batch: {most} would"
        return "does not fit with a single row; take a larger GPU, or share the weights (FSDP)"

    def line(self) -> str:
        """Write one line: GPU, memory, time, verdict."""
        precision = "bf16" if self.bf16 else "fp32"
        if self.bf16 and self.gpu.bf16 is None and self.gpu.fp32 is not None:
            precision += ", which it has no units for: at the rate of fp32"
        low, high = self.hours
        unit = "hours"
        if high < 1:
            low, high, unit = 60 * low, 60 * high, "minutes"
        time = f"{_number(low)} to {_number(high)} {unit}"
        return (
            f"{self.processes} x {self.gpu.name} ({self.gpu.memory:.0f} GB, {precision}): "
            f"{_size(self.peak)} at the peak, {'time unknown' if math.isnan(high) else time}: "
            f"{self.verdict()}"
        )

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
                "unknown" if math.isnan(sum(phase.seconds)) else
                " to ".join(map(_number, phase.seconds)),
            )
            for number, phase in enumerate(self.phases)
        ]  # fmt: skip
        shown = len(heads) - bool(others)
        held = ", ".join(f"{name} {_size(count)}" for name, count in self.memory.items())
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
    shape = Shape(model)
    bf16, again = recipe.precision != "fp32", recipe.recompute
    rows = shares[0][0].stop
    longest = longest_rows(recipe, curriculum, batches.parts)
    phases, first = [], 0
    for phase in recipe.phases:
        looked_at = sorted({first + phase.steps * i // samples for i in range(samples)})
        first += phase.steps
        found = [batches.training(step, recipe, phase, curriculum) for step in looked_at]
        if recipe.objective == "walks":  # drawn anew for each batch
            for batch in found:
                labelled = int((batch["labels"] != IGNORED).sum(1).max())
                longest["columns"] = max(longest["columns"], batch["input_ids"].shape[1])
                longest["labelled"] = max(longest["labelled"], labelled)
        parts = [
            pass_flops(shape, *part_sizes(batch, chunk, model.tokens.thought), recompute=again)
            for batch in found
            for share in shares
            for chunk in share
        ]
        low, high = (
            sum(max(n / gpu.rate(bf16) / use, shape.layers * least) for part in parts for n in part)
            / (len(found) * processes)
            for use, least in zip(reversed(UTILISATION), LAYER_SECONDS, strict=True)
        )
        phases.append(
            PhaseEstimate(
                phase.stage,
                phase.steps,
                passes=round(sum(map(len, parts)) / len(parts), 2),
                tokens=sum(int(batch["attention_mask"].sum()) for batch in found) / len(found),
                computed=sum(batch["input_ids"].numel() for batch in found) / len(found),
                flops=sum(map(sum, parts)) / len(found),
                seconds=(low, high),
            )
        )
    per_row = activation_bytes(shape, rows=1, **longest, bf16=bf16, recompute=again)
    element = model.language_model.get_input_embeddings().weight.element_size()
    weights, gradients = shape.parameters * element, shape.trained * element
    copies = 2 * shape.linear if bf16 and element > 2 else 0  # autocast's, for the whole forward
    buckets = gradients if processes > 1 else 0  # in which DDP exchanges gradients
    optimizer = 2 * gradients
    # AdamW updates all weights together, with intermediates of their size (torch's manual); by
    # then the activations are gone.
    peak = weights + gradients + buckets + optimizer + max(copies + rows * per_row, gradients)
    memory = {"weights": weights, "gradients": gradients, "optimizer": optimizer}
    memory["activations"] = rows * per_row
    sizes = longest["columns"], longest["labelled"]
    return Estimate(
        gpu, processes, bf16, rows, len(shares[0]), *sizes, memory, peak, per_row, tuple(phases)
    )


def part_sizes(
    batch: dict[str, Tensor], chunk: slice, thought: int
) -> tuple[int, int, list[int], int, int]:
    """Measure a part of a batch for `pass_flops`, which gives the order."""
    ids = batch["input_ids"][chunk]
    thinks = (ids == thought) & batch["attention_mask"][chunk].bool()
    labelled = batch["labels"][chunk, 1:] != IGNORED
    columns = thinks.any(0).nonzero().flatten().tolist()
    return len(ids), ids.shape[1], columns, int(labelled.sum()), int(labelled.any(0).int().argmax())


def longest_rows(
    recipe: Recipe, curriculum: Curriculum, parts: Sequence[Tokenized]
) -> dict[str, int]:
    """Bound what a batch can hold: `collate` sets thoughts under each other, the longest decide."""
    if recipe.objective == "walks":
        return {"columns": 0, "labelled": 0, "thoughts": 0, "unread": 0}
    question = max(len(part.question) for part in parts)
    sizes = [row[2:] for row in row_sizes(recipe, curriculum, parts)]
    rest = max(map(sum, sizes))
    thoughts, labelled = (max(column) for column in zip(*sizes, strict=True))
    return {
        "columns": question + 2 * curriculum.rule.markers + rest,
        "labelled": labelled,
        "thoughts": thoughts if curriculum.rule.stand_in == "thoughts" else 0,
        # The last column of the question may be read, all markers and what follows them are.
        "unread": question - 1,
    }
