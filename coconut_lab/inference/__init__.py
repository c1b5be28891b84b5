"""From a prompt to an answer and its score: think, halt, write, read, judge.

`generation.py` runs a model, with a rule of `halting.py` and a `sampling.py` if wanted;
`answers.py` reads what it wrote, and `scoring.py` counts it. `states_and_answers.py` looks at every
number of thoughts; from that, `halting_training.py` makes a rule, and `halting_tradeoff.py` says
what it costs.
"""

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
    HaltingContext,
    LearnedHalt,
)
from coconut_lab.inference.halting_tradeoff import (
    HaltingTradeoff,
    HaltPoint,
    HaltStudy,
    OperatingPoint,
    study_halts,
)
from coconut_lab.inference.halting_training import train_halting
from coconut_lab.inference.sampling import Sampling
from coconut_lab.inference.scoring import (
    Comparison,
    Score,
    answer_limit,
    compare_paired,
    is_right_number,
    score,
    write_answers,
)
from coconut_lab.inference.states_and_answers import heads_of, states_while_thinking

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
    "HaltingContext",
    "HaltingTradeoff",
    "LearnedHalt",
    "OperatingPoint",
    "Sampling",
    "Score",
    "answer_limit",
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
