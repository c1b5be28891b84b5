"""The one hook for interventions: change a thought before it is fed back.

Ablations, donors, thoughts written by hand, noise and steering vectors are all an `edit`. For
example, `generate(model, tokenizer, prompts, edit=lambda k, h, rows: h * (k != 2))` feeds back
zeros as the second thought.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from coconut_lab.errors import checks_kinds
from coconut_lab.model.outputs import ModelError

#: `edit(k, h, rows) -> h`: gets thought k (1, 2, …) of some rows, h (b, d), and the numbers of the
#: rows that it belongs to, rows (b,) int64: of the batch, or of the prompts given to `generate`.
#: It gives back what to feed to the model in its place, (b, d). Gradient flows through it.
Edit = Callable[[int, Tensor, Tensor], Tensor]


@checks_kinds(ModelError)
def apply_edit(edit: Edit, thought: Tensor, here: Tensor, numbers: Tensor) -> Tensor:
    """Let an edit change the thoughts (B, d) about to be fed back in one column.

    `here` (B,) says which rows think there, `numbers` (B,) which of its thoughts it is to a row.
    """
    for k in numbers[here].unique().tolist():
        rows = (here & (numbers == k)).nonzero().flatten()  # (b,)
        old = thought[rows]
        new = edit(k, old, rows)
        if not isinstance(new, Tensor) or (new.shape, new.dtype) != (old.shape, old.dtype):
            found = type(new).__name__
            if isinstance(new, Tensor):
                found = f"shape {tuple(new.shape)} of {new.dtype}"
            raise ModelError(
                f"edit returned {found} for thought {k}; it must return the thoughts to feed back, "
                f"a tensor of shape {tuple(old.shape)} of {old.dtype} like h; try .to(h)"
            )
        if not bool(new.isfinite().all()):
            raise ModelError(
                f"edit returned nan or infinity for thought {k}; look for a division by zero, such "
                "as by the length of a zero vector"
            )
        thought = thought.index_put((rows,), new.to(thought))
    return thought
