"""``python -m lowmem_fold.cli``: the command line where its script is not on the path."""

from .main import main

raise SystemExit(main())
