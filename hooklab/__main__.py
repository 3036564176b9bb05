"""``python -m hooklab`` is the ``hooklab`` command."""

import sys

from hooklab.cli import main

sys.exit(main())
