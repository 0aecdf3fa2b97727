"""Makes trainer_toys.py importable: here, and by the same path in processes that the tests start."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
