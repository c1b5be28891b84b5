"""Learn and study reasoning in a continuous latent space (Coconut, Hao et al. 2024)."""

from coconut_lab.checkpoints import Checkpoint, load
from coconut_lab.coconut import Coconut, CoconutOutput
from coconut_lab.curriculum import Curriculum, Example, collate
from coconut_lab.evaluation import Comparison, Score, compare_paired, score
from coconut_lab.generation import Generation, generate
from coconut_lab.hub import from_hub
from coconut_lab.loading import load_problems
from coconut_lab.problems import Graph, Problem, ProblemError
from coconut_lab.prontoqa import generate_prontoqa
from coconut_lab.prosqa import generate_prosqa
from coconut_lab.tasks import shortcut_audit, verify_steps
from coconut_lab.tokenizer import add_thought_tokens
from coconut_lab.word_problems import generate_arithmetic

__all__ = [
    "Checkpoint",
    "Coconut",
    "CoconutOutput",
    "Comparison",
    "Curriculum",
    "Example",
    "Generation",
    "Graph",
    "Problem",
    "ProblemError",
    "Score",
    "add_thought_tokens",
    "collate",
    "compare_paired",
    "from_hub",
    "generate",
    "generate_arithmetic",
    "generate_prontoqa",
    "generate_prosqa",
    "load",
    "load_problems",
    "score",
    "shortcut_audit",
    "verify_steps",
]
