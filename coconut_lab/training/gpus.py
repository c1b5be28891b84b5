"""Graphics processors that recipes are sized for: a table of published figures."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from coconut_lab.training.recipe import RecipeError


@dataclass(frozen=True)
class Gpu:
    """What a GPU can hold and compute.

    Attributes:
        name: what it is called in the table, or by its driver.
        memory: GB (10^9 bytes).
        bf16: peak of dense matrix products in bfloat16, TFLOP/s; None if the vendor lists none.
        fp32: peak in float32 without tensor cores, TFLOP/s: what torch does unless it is told to
            round to TF32; None if unknown.
    """

    name: str
    memory: float
    bf16: float | None
    fp32: float | None

    @property
    def model(self) -> str:
        """The word by which drivers call it: "3090" for "RTX-3090", "A100" for "A100-80"."""
        return self.name.removeprefix("RTX-").split("-")[0]

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
        if _plain(gpu.name) == _plain(name):
            return gpu
    raise RecipeError(f"--gpu: {name!r} is none of {', '.join(GPUS)}")


def detect_gpu() -> Gpu | None:
    """Describe the CUDA GPU of this machine, or give None where there is none.

    The memory is what the driver reports. The rates are those of the table, unknown for a model
    that it does not hold.
    """
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    words = set(re.split(r"[^a-z0-9]+", found.name.lower()))
    known = [gpu for gpu in GPUS.values() if gpu.model.lower() in words]
    rates = known[0] if known else Gpu("", 0, None, None)
    return Gpu(found.name, found.total_memory / 1e9, rates.bf16, rates.fp32)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
