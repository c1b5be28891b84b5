"""What a model is trained on: from a problem to token ids, labels and batches.

`tokenizer.py` makes tokenizers and adds the thought tokens; `methods.py` is the table of methods;
`stages_and_masks.py` says what a stage replaces and what the loss sees; `batching.py` pads rows so
that thoughts share columns; `in_words.py` says in words what a stage does.
"""

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum, Example, tokenize
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
