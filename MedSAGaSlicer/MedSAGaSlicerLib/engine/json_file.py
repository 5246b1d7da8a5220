"""Writing JSON whole or not at all."""

import json
from pathlib import Path
from typing import Any

from MedSAGaSlicerLib.engine.files import atomic_path


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, indented, in UTF-8; NaN and infinity are refused by a ValueError.

    Raises:
        InputError: the folder is missing or cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
