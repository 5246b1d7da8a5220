"""A made image and prompts on it, for tests of the command line."""

from typing import Any

from MedSAGaSlicerLib import cli

PROMPTS = {
    "format": 1,
    "segments": [
        {
            "name": "brick",
            "color": [1, 0, 0],
            "prompts": [
                {"axis": "k", "index": 2, "points": [{"at": [5, 4], "positive": True}]},
                {"axis": "k", "index": 3, "box": [3, 2, 8, 7]},
            ],
        }
    ],
}


def run(*arguments: Any) -> int:
    return cli.main([str(argument) for argument in arguments])
