"""Learn and study reasoning in a continuous latent space (Coconut, Hao et al. 2024)."""

from coconut_lab.checkpoints.pretrained import from_hub
from coconut_lab.checkpoints.shipped import Checkpoint, load
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import Curriculum, Example
from coconut_lab.curriculum.tokenizer import add_thought_tokens
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
    HaltingTradeoff,
    HaltPoint,
    HaltStudy,
    OperatingPoint,
    study_halts,
)
from coconut_lab.inference.halting_training import train_halting
from coconut_lab.inference.sampling import Sampling
from coconut_lab.inference.scoring import Comparison, Score, compare_paired, score
from coconut_lab.model.coconut import Coconut, CoconutOutput
from coconut_lab.tasks.counterfactuals import rewire, twin
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Graph, Problem, ProblemError
from coconut_lab.tasks.prontoqa import generate_prontoqa
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.tasks.verify import shortcut_audit, verify_steps
from coconut_lab.tasks.word_problems import generate_arithmetic

__all__ = [
    "PATH_CLASSES",
    "Checkpoint",
    "Coconut",
    "CoconutOutput",
    "Comparison",
    "ConfidentHalt",
    "Curriculum",
    "Example",
    "FixedThoughts",
    "Generation",
    "Graph",
    "HaltError",
    "HaltPoint",
    "HaltStudy",
    "Halting",
    "HaltingTradeoff",
    "LearnedHalt",
    "OperatingPoint",
    "Problem",
    "ProblemError",
    "Sampling",
    "Score",
    "add_thought_tokens",
    "collate",
    "compare_paired",
    "count_path_classes",
    "from_hub",
    "generate",
    "generate_arithmetic",
    "generate_prontoqa",
    "generate_prosqa",
    "load",
    "load_problems",
    "numeric_answer",
    "path_class",
    "rewire",
    "score",
    "shortcut_audit",
    "study_halts",
    "train_halting",
    "twin",
    "verify_steps",
]
