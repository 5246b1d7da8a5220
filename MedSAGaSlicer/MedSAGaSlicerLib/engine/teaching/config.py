"""The settings of a lesson; without torch, so that a panel can take its defaults here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.errors import InputError

AUTO: Final = "auto"
METHODS: Final = ("decoder", "late", "lora", "adapter", "galore", "full")
"""The ways of teaching that can be asked for, besides `auto`."""
DEEP: Final = "adapter"
"""The one of them whose encoder can look at neighbouring slices."""


@dataclass(frozen=True)
class TeachingConfig:
    """How a model is taught.

    Attributes:
        method: one of `METHODS`, or `auto`.
        seed: of everything that is drawn; on a CPU the same seed gives the same adapter.
        steps: optimiser updates; fixed, so that no slice is needed to say when to stop.
        batch: objects per update; 0: as many as suit the model.
        rounds: prompts that follow each other on an object at most: the first, then corrections.
        views: of each slice, itself and changed ones; 0: as many as suit the model.
        learning_rate: its peak.
        warm_up: part of the steps over which the rate rises; then it falls as a cosine.
        weight_decay: decoupled.
        share: of the taught weights in what answers prompts, the rest is the base's (WiSE-FT,
            Wortsman et al. 2022); 0: as suits the method.
        prompt_tokens: learned for each segment, for segmenting without prompts; 0: none.
        head_start: part of the steps, the first ones, in which only the locator learns, the
            first guess of a segment's place; without learned prompts there is none.
        finder_updates: of the finder, beside each of the others; it is a small network of the
            lesson's own that segments without prompts, besides the model. 0: none.
        guesses: slices per update from which the locator learns; 0: as many as suit the model.
        region: how slices are shown, as `RegionChoice.parse` reads it; examples of tiles and of
            regions have been cut already.
        save_every: steps between two resumable states on disk.
        at_once: objects whose gradients are computed together, those of an update one such part
            after the other; 0: as many as suit the model.
        encoder_rate: the encoder's peak rate relative to `learning_rate`; 0: as suits the method.
        encoder_start: part of the steps after the head start in which the encoder stays as it is
            and the decoder learns alone, on cached embeddings; 0: as suits the method.
        rank: of methods that change matrices by ones of low rank; 0: as suits the method.
        last_blocks: of the encoder, which the method `late` teaches; 0: a quarter of them.
        depth: slices that the encoder looks at together, the one meant in the middle of its
            neighbours; an odd number, 1: that slice alone. More are for the method `adapter`.
    """

    method: str = AUTO
    seed: int = 0
    steps: int = 400
    batch: int = 0
    rounds: int = 6
    views: int = 0
    learning_rate: float = 5e-4
    warm_up: float = 0.05
    weight_decay: float = 0.01
    share: float = 0.0
    prompt_tokens: int = 4
    head_start: float = 0.25
    finder_updates: int = 2
    guesses: int = 0
    region: str = "auto"
    save_every: int = 50
    at_once: int = 0
    encoder_rate: float = 0.0
    encoder_start: float = 0.0
    rank: int = 0
    last_blocks: int = 0
    depth: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no lesson.

        Raises:
            InputError: names the value and what it may be.
        """
        RegionChoice.parse(self.region)
        if self.method not in (AUTO, *METHODS):
            self._refuse("method", f"one of {AUTO}, {', '.join(METHODS)}")
        for name, least in (("steps", 1), ("batch", 0), ("rounds", 1), ("views", 0)):
            if getattr(self, name) < least:
                self._refuse(name, f"{least} or more")
        for name, least in (("prompt_tokens", 0), ("save_every", 1), ("seed", 0), ("guesses", 0)):
            if getattr(self, name) < least:
                self._refuse(name, f"{least} or more")
        for name in ("at_once", "rank", "encoder_rate", "last_blocks", "finder_updates"):
            if getattr(self, name) < 0:
                self._refuse(name, "0 or more")
        if not 0 < self.learning_rate <= 1:
            self._refuse("learning_rate", "above 0, at most 1")
        if not 0 <= self.warm_up < 1:
            self._refuse("warm_up", "from 0, below 1")
        if not 0 <= self.share <= 1:
            self._refuse("share", "0 to 1")
        for name in ("head_start", "encoder_start"):
            if not 0 <= getattr(self, name) < 1:
                self._refuse(name, "from 0, below 1")
        if self.weight_decay < 0:
            self._refuse("weight_decay", "0 or more")
        if self.depth < 1 or self.depth % 2 == 0:
            self._refuse("depth", "an odd number of slices")
        if self.depth > 1 and self.method != DEEP:
            self._refuse("depth", f"1, unless the method is {DEEP}")

    def _refuse(self, name: str, allowed: str) -> None:
        msg = f"The setting {name} of a lesson is {getattr(self, name)!r}; it must be {allowed}."
        raise InputError(msg)

    @property
    def head_steps(self) -> int:
        """The number of steps of the head start."""
        return int(self.head_start * self.steps) if self.prompt_tokens else 0

    @property
    def still_steps(self) -> int:
        """The number of steps, those of the head start first, in which the encoder stays."""
        return self.head_steps + int(self.encoder_start * (self.steps - self.head_steps))

    def by(self, method: str) -> TeachingConfig:
        """The same settings for another method; neighbours only where that can look at them."""
        return replace(self, method=method, depth=self.depth if method == DEEP else 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TeachingConfig:
        """The settings that `to_dict` described; names of other versions are left out.

        Raises:
            InputError: a value is out of range.
        """
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
