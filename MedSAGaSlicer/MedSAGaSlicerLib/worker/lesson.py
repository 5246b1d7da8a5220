"""What a lesson consists of, as one process tells it to another, and how it is given."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache, default_folder
from MedSAGaSlicerLib.engine.example_file import read_examples
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Event
from MedSAGaSlicerLib.worker.loaded_model import base_of, default_threads

Place = tuple[str, str, int]


@dataclass(frozen=True)
class Lesson:
    """What to teach whom, and where to leave it.

    Attributes:
        examples: folder written by ``engine.example_file``.
        output: the adapter folder to be made.
        work: folder for the state from which the lesson can go on.
        model: registry name or path of the base.
        title: what people will call the taught model; None: after its segments.
        config: how.
        earlier_held_out: places (case, axis, index) kept aside by earlier lessons.
    """

    examples: Path
    output: Path
    work: Path
    model: str
    title: str | None = None
    config: TeachingConfig = field(default_factory=TeachingConfig)
    earlier_held_out: tuple[Place, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Plain values for a frame."""
        return {n: str(v) if isinstance(v, Path) else v for n, v in asdict(self).items()}


def give(order: dict[str, Any], stop: Callable[[], bool]) -> Iterator[Event]:
    """Do what a "teach" frame asks for; imports torch.

    Raises:
        MedSAGaError, OSError: see ``engine.teaching.careful.teach``.
    """
    from MedSAGaSlicerLib.engine.teaching.careful import teach

    examples = read_examples(Path(order["examples"]))
    threads = order["threads"] or default_threads()
    make, precision = order["predictor"], order.get("precision")
    base = base_of(make, order["model"], order["device"], threads, precision)
    cache = order["cache"]
    folder = Path(cache["folder"]) if cache["folder"] else default_folder()
    yield from teach(
        TeachingConfig.from_dict(order["config"]),
        examples,
        base,
        Path(order["output"]),
        base_name=order["model"],
        title=order["title"],
        cache=EmbeddingCache(folder, ram_bytes=cache["ram_bytes"], disk_bytes=cache["disk_bytes"]),
        work=Path(order["work"]),
        earlier_held_out=[(case, axis, index) for case, axis, index in order["earlier_held_out"]],
        stop=stop,
    )
