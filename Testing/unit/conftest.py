import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from brick import PROMPTS
from made_images import save_image
from region_predictor import RegionPredictor
from stage import Stage

from MedSAGaSlicerLib import cli


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Where workers with a fake predictor act; all are stopped at the end."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> RegionPredictor:
    """All commands get the stand-in instead of a network."""
    model = RegionPredictor()
    monkeypatch.setattr(cli, "_predictor", lambda *_: model)
    return model


@pytest.fixture
def brick(tmp_path: Path) -> Path:
    volume = np.full((6, 10, 12), 10, np.int16)
    volume[1:5, 2:8, 3:9] = 500
    return save_image(tmp_path / "brick.nii.gz", volume, spacing=(0.5, 0.5, 2.0))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "P.json"
    path.write_text(json.dumps(PROMPTS))
    return path
