"""Run `python -m coconut_lab.study checkpoints|halting|methods|depth|tables …`."""

import sys

from coconut_lab.study import build_checkpoints, build_halting, methods_and_depth, tables

COMMANDS = {"checkpoints": build_checkpoints.main, "halting": build_halting.main}

name, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
if name == "tables":
    sys.exit(tables.main())
sys.exit(COMMANDS[name](rest) if name in COMMANDS else methods_and_depth.main(sys.argv[1:]))
