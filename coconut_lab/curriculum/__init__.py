"""What a model is trained on: tokenizer, methods, stages, label masks and batches."""

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
