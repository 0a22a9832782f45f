"""What all tests share: one thread, a Hypothesis profile, and where the real data is."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # two threads that wait for each other can be ten times slower than one
settings.register_profile("isogloss", deadline=None)
settings.load_profile("isogloss")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real treebanks, texts and dictionaries; skips the test where there is none."""
    folder = Path(os.environ.get("ISOGLOSS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there (set ISOGLOSS_DATA)")
    return folder
