"""The parent's end of the inference worker: ask, poll, never wait unless told to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.worker.events import Event

Pixels = npt.NDArray[np.uint8]
PixelSource = Callable[[], Pixels]


class InferenceClient:
    """Asks a worker process for embeddings and masks without ever blocking the caller.

    Requests return a number at once; their answers come as events from ``poll``, which a GUI
    calls by a timer (10 ms while ``busy``, 100 ms otherwise) and a script through ``wait``.
    Pixels are uint8, (rows, columns) or (rows, columns, 3), one slice, already normalised.
    ``key`` is always ``engine.embedding_key.slice_key(pixels)``: the same pixels, the same key,
    whatever the model. Prompts are in that slice's (column, row) coordinates.

    There are no threads in here and nothing of Qt, Slicer or torch. All methods must be called
    from one thread.

        client = InferenceClient(model="starter")
        client.start()
        key = slice_key(pixels)
        client.encode(key, pixels)
        request = client.decode(key, Prompts(points=((64, 70),), positive=(True,)))
        (answer,) = [e for e in client.wait(request) if isinstance(e, Decoded)]
        client.stop()
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        model: str = "starter",
        adapter: str | None = None,
        device: str = "auto",
        threads: int | None = None,
        cache_folder: str | None = None,
        ram_bytes: int = 1 << 30,
        disk_bytes: int = 8 << 30,
        environment: Mapping[str, str] | None = None,
        predictor: str = "MedSAGaSlicerLib.engine.predictor:load_predictor",
        start_limit_s: float = 120.0,
        silence_limit_s: float = 60.0,
    ) -> None:
        """Say how the worker shall be; nothing is started yet.

        ``command`` is the worker's complete command line (``launch.python_command``), None for
        this very Python. ``environment`` replaces the inherited one: give Slicer's start-up
        environment to any command other than PythonSlicer. ``model`` is a registry name or a
        path, ``adapter`` a folder. ``cache_folder`` None is the usual place on the worker's
        machine; ``disk_bytes`` 0 keeps embeddings in memory only. ``predictor`` is the
        "module:function" that the worker calls to load a model. ``start_limit_s`` is the time a
        worker has to introduce itself, ``silence_limit_s`` the longest it may leave a sign of
        life unanswered before it is taken for hung.
        """
        raise NotImplementedError

    def start(self) -> int:
        """Start the worker and have it load the model; the request number of the ``Ready``.

        May be called again after ``stop`` or ``Died``. Does nothing but return the number while
        the worker is up.

        Raises:
            WorkerError: the command cannot be run.
        """
        raise NotImplementedError

    def stop(self, grace_s: float = 2.0) -> None:
        """End the worker and whatever it started; no process is left. May be called twice.

        Nothing is reported of requests still under way. Takes up to ``grace_s`` seconds.
        """
        raise NotImplementedError

    def load_model(self, model: str, adapter: str | None = None) -> int:
        """Switch the model; answered by ``Ready`` or ``Failed`` (then the old one stays).

        Every request still under way is forgotten first, the prefetch list too: masks of the old
        model never arrive after this call. Ask anew for what is wanted, at once if you like.
        Logits ids stay valid: what they stand for is decoded anew by the new model when needed.
        """
        raise NotImplementedError

    def encode(self, key: str, pixels: Pixels) -> int:
        """Embed a slice the person looks at; answered by ``Encoded`` or ``Failed``.

        Goes before all prefetching. A slice that is being embedded already, or is in the cache,
        is not embedded again. ``pixels`` is copied.
        """
        raise NotImplementedError

    def prefetch(self, slices: Sequence[tuple[str, PixelSource]]) -> int:
        """Embed slices while there is nothing better to do, in this order.

        Replaces the former list: what is in both is kept and not begun again, the rest is
        dropped unless it runs already; an empty list stops prefetching. One ``Encoded`` per
        slice comes, at once for those in the cache; slices of a dropped list get none.
        A source is called once, from ``poll`` or ``wait``, shortly before its turn; when it
        raises ``InputError`` the slice gets a ``Failed`` and the rest goes on.
        """
        raise NotImplementedError

    def decode(
        self,
        key: str,
        prompts: Prompts,
        *,
        pixels: PixelSource | None = None,
        previous: int | None = None,
    ) -> int:
        """Ask for the mask of one object on a slice; answered by ``Decoded`` or ``Failed``.

        Decodes are answered in the order asked. One whose slice is being embedded waits for it;
        one whose slice is unknown to the worker calls ``pixels`` for it, or fails with kind
        "missing" without one. ``previous`` is an earlier ``logits_id``, or the number of a
        decode not yet answered, whose low-resolution mask is given to the model as well.

        Raises:
            InputError: ``previous`` was released or never asked for.
        """
        raise NotImplementedError

    def cancel(self, request: int) -> None:
        """Forget a request: no event of it will come. One already answered is left alone."""
        raise NotImplementedError

    def release(self, logits_id: int) -> None:
        """Say that no further ``decode`` will refine this answer; its memory is given back."""
        raise NotImplementedError

    def stats(self) -> int:
        """Ask for figures (cache sizes, hits, queue lengths); answered by ``Stats``."""
        raise NotImplementedError

    def clear_cache(self) -> int:
        """Delete every embedding from memory and disk; answered by ``Stats``."""
        raise NotImplementedError

    def poll(self) -> list[Event]:
        """Send what can be sent, read what has come, and return the news. Never blocks."""
        raise NotImplementedError

    def wait(self, request: int | None = None, timeout_s: float | None = None) -> list[Event]:
        """Poll until ``request`` is answered; without one, until nothing but prefetch is left.

        Returns all news in order, those of other requests too. After ``Died`` nothing is waited
        for. For scripts and tests: a GUI polls.

        Raises:
            WorkerError: ``timeout_s`` passed; the news so far comes with the next ``poll``.
        """
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the worker is up, starting, or being started again."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether an answer other than to ``prefetch`` is outstanding."""
        raise NotImplementedError

    @property
    def prefetching(self) -> bool:
        """Whether slices of the prefetch list are still without an embedding."""
        raise NotImplementedError

    @property
    def log_path(self) -> Path | None:
        """Where the worker's standard error goes while it runs."""
        raise NotImplementedError
