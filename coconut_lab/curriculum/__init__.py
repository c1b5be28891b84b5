"""What a model is trained on: from a problem to token ids, labels and batches.

`tokenizer.py` makes tokenizers and adds the thought tokens; `curriculum.py` has the table of
methods, the stages and the masks of the labels; `batching.py` pads rows so that thoughts share
columns; `in_words.py` says in words what a stage does.
"""

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.curriculum import METHODS, Curriculum, Example, tokenize
from coconut_lab.curriculum.tokenizer import add_pause_token, add_thought_tokens, word_tokenizer

__all__ = [
    "METHODS",
    "Curriculum",
    "Example",
    "add_pause_token",
    "add_thought_tokens",
    "collate",
    "tokenize",
    "word_tokenizer",
]
