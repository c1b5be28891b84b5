"""Run `python -m coconut_lab.training recipe.yaml`."""

import sys

from coconut_lab.training.trainer import main

sys.exit(main())
