"""Trains a network on synthetic patients, packages and registers it. See docs/how-to/train.md."""

import sys
from pathlib import Path

from irae.app.train import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent / "configs"))
