"""Reads a study archive and writes flags, attributions, responses and a worklist. See README.md."""

import sys
from pathlib import Path

from irae.app.infer import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent / "configs"))
