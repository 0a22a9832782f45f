"""The benchmarks lie beside the package, not in it, so their folder is made known here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
