from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Where workers with a fake predictor act; all are stopped at the end."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()
