"""Problems: generated, read, written, verified and audited for shortcuts.

`problems` is what every task shares; `prosqa`, `prontoqa`, `gsm8k` and `word_problems` are the
tasks, with their parts beside them (`graph`, `notation`, `prosqa_graphs`, `prontoqa_logic`,
`arithmetic`, `randomness`). `loading` reads any of them from a file or the hub, `json_files` is
Coconut's own format, and `verify` and `shortcuts` say whether a problem is right and whether it
can be solved without reasoning.
"""

from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.gsm8k import write_gsm8k
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.loading import cache_file, load_problems
from coconut_lab.tasks.notation import ProblemError, Statement, read_statement, write_symbols
from coconut_lab.tasks.problems import Problem, parse_problem
from coconut_lab.tasks.prontoqa import generate_prontoqa, write_prontoqa
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES, PRESETS, generate_prosqa
from coconut_lab.tasks.verify import shortcut_audit, verify_steps
from coconut_lab.tasks.word_problems import generate_arithmetic

__all__ = [
    "CONCEPTS",
    "ENTITIES",
    "PRESETS",
    "Graph",
    "Problem",
    "ProblemError",
    "Statement",
    "cache_file",
    "generate_arithmetic",
    "generate_prontoqa",
    "generate_prosqa",
    "load_problems",
    "parse_problem",
    "read_statement",
    "shortcut_audit",
    "verify_steps",
    "write_gsm8k",
    "write_json",
    "write_prontoqa",
    "write_symbols",
]
