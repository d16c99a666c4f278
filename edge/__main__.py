"""`python -m edge` is the `edge` command."""

import sys

from edge.cli.main import main

sys.exit(main())
