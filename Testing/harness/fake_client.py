"""A client of a worker that is not there: masks by simple rules, in the tests' own time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.neighbours import plane_size
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Event, Failed, Ready
from MedSAGaSlicerLib.worker.requests import PixelSource


def draw(size: tuple[int, int], prompts: Prompts, radius: float = 3.0) -> npt.NDArray[np.bool_]:
    """Discs around positive points and the whole box, less half-size discs around negative ones."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, dtype=np.bool_)
    if prompts.box is not None:
        left, top, right, bottom = prompts.box
        mask |= (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)
    for positive in (True, False):
        for (column, row), sign in zip(prompts.points, prompts.positive, strict=True):
            if sign == positive:
                reach = radius if positive else radius / 2
                disc = (columns - column) ** 2 + (rows - row) ** 2 <= reach**2
                mask = mask | disc if positive else mask & ~disc
    return mask


@dataclass
class FakeClient:
    """Answers decodes in the order asked, ``delay`` polls later; embeds as fast as it is asked.

    With ``hold`` nothing is answered until it is False again. ``asked`` has every decode's key,
    prompts and previous; ``encoded`` every slice embedded, in order.
    """

    delay: int = 1
    hold: bool = False
    model: str = "starter"
    running: bool = False
    asked: list[tuple[str, Prompts, int | None]] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    prefetch_lists: list[list[str]] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    refuse: str | None = None
    input_size: int | None = None

    def __post_init__(self) -> None:
        self._number = 0
        self._waiting: list[tuple[int, Event]] = []
        self._cancelled: set[int] = set()
        self._logits: set[int] = set()

    def start(self) -> int:
        self.running = True
        return self._next()

    def load_model(self, model: str, adapter: str | None = None) -> int:
        self.running = True
        self._waiting.clear()
        self.model = model
        number = self._next()
        ready = Ready(number, model, adapter, "cpu", f"encoder of {model}", 1, "0", 1.0)
        self._waiting.append((self.delay, ready))
        return number

    def encode(self, key: str, pixels: npt.NDArray[np.uint8]) -> int:
        assert pixels.dtype == np.uint8
        number = self._next()
        self._embed(key, number)
        return number

    def prefetch(self, slices: Sequence[tuple[str, PixelSource]]) -> int:
        self.prefetch_lists.append([key for key, _ in slices])
        number = self._next()
        for key, _ in slices:
            self._embed(key, number)
        return number

    def decode(
        self,
        key: str,
        prompts: Prompts,
        *,
        pixels: PixelSource | None = None,
        previous: int | None = None,
        mask: npt.NDArray[np.bool_] | None = None,
    ) -> int:
        assert pixels is not None
        size = plane_size(pixels())
        assert mask is None or mask.shape == size
        if previous is not None and previous not in self._logits:
            msg = f"unknown logits {previous}"
            raise InputError(msg)
        prompts.validate(size)
        number = self._next()
        self.asked.append((key, prompts, previous))
        if self.refuse is not None:
            answer: Event = Failed(number, "input", self.refuse)
        else:
            answer = Decoded(number, key, self.predict(size, prompts), 0.9, number, 1.0)
        self._waiting.append((self.delay, answer))
        return number

    def predict(self, size: tuple[int, int], prompts: Prompts) -> npt.NDArray[np.bool_]:
        mask = draw(size, prompts)
        return mask if self.model == "starter" else mask[::-1, ::-1]

    def cancel(self, request: int) -> None:
        self._cancelled.add(request)

    def release(self, logits_id: int) -> None:
        self.released.append(logits_id)
        self._logits.discard(logits_id)

    def poll(self) -> list[Event]:
        if self.hold:
            return []
        self._waiting = [(polls - 1, event) for polls, event in self._waiting]
        news = []
        while self._waiting and self._waiting[0][0] < 0:
            event = self._waiting.pop(0)[1]
            if event.request not in self._cancelled:
                if isinstance(event, Decoded):
                    self._logits.add(event.logits_id)
                news.append(event)
        return news

    def wait(self, request: int | None = None, timeout_s: float | None = None) -> list[Event]:
        self.hold = False
        news: list[Event] = []
        while self._waiting:
            news += self.poll()
        return news

    @property
    def logits_kept(self) -> set[int]:
        return set(self._logits)

    def _embed(self, key: str, number: int) -> None:
        cached = key in self.encoded
        if not cached:
            self.encoded.append(key)
        self._waiting.append((self.delay, Encoded(number, key, 0.0 if cached else 1.0, cached)))

    def _next(self) -> int:
        self._number += 1
        return self._number
