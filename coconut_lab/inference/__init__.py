"""Think, then write: generation, halting rules, reading answers, scoring."""

from coconut_lab.inference.answers import (
    PATH_CLASSES,
    count_path_classes,
    numeric_answer,
    path_class,
)
from coconut_lab.inference.generation import Generation, generate
from coconut_lab.inference.halting import (
    ConfidentHalt,
    FixedThoughts,
    HaltError,
    Halting,
    LearnedHalt,
)
from coconut_lab.inference.halting_tradeoff import (
    HaltPoint,
    HaltStudy,
    heads_of,
    states_while_thinking,
    study_halts,
)
from coconut_lab.inference.halting_training import train_halting
from coconut_lab.inference.sampling import Sampling
from coconut_lab.inference.scoring import (
    Comparison,
    Score,
    compare_paired,
    is_right_number,
    score,
    write_answers,
)

__all__ = [
    "PATH_CLASSES",
    "Comparison",
    "ConfidentHalt",
    "FixedThoughts",
    "Generation",
    "HaltError",
    "HaltPoint",
    "HaltStudy",
    "Halting",
    "LearnedHalt",
    "Sampling",
    "Score",
    "compare_paired",
    "count_path_classes",
    "generate",
    "heads_of",
    "is_right_number",
    "numeric_answer",
    "path_class",
    "score",
    "states_while_thinking",
    "study_halts",
    "train_halting",
    "write_answers",
]
