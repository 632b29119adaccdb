"""`python -m pipeline`."""

import sys

from pipeline.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
