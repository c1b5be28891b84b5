"""The method, and what serves it.

`coconut.py` is the latent forward: n + 1 passes, hidden states fed back as input embeddings, the
loss. `passes.py` runs the passes, and is the only door to `fast/`, which makes them fast or small
and changes no number. `edits.py` is the one hook that changes a thought. `wrapper.py` holds the
language model and its files; `support.py` refuses what does not work; `outputs.py` is what comes
out, `modes.py` what a model is set to for a while.
"""

from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.model.outputs import CoconutOutput, LatentOutput, ModelError

__all__ = ["Coconut", "CoconutOutput", "Edit", "LatentOutput", "ModelError"]
