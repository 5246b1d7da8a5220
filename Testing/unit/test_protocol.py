import numpy as np
import pytest

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError, WorkerError
from MedSAGaSlicerLib.worker.payloads import (
    pack_mask,
    pack_pixels,
    pack_prompts,
    unpack_mask,
    unpack_pixels,
    unpack_prompts,
)
from MedSAGaSlicerLib.worker.protocol import MAGIC, MAX_BANNER_BYTES, FrameReader, Message, frame

FRAMES = [
    frame("hello", protocol=1, name="Müller\n"),
    frame("encode", b"\n{}\x00" * 1000, request=1, shape=[40, 100]),
    frame("empty", b""),
    frame("last", bytes(range(256)), request=2),
]
MESSAGES = [
    Message({"type": "hello", "protocol": 1, "name": "Müller\n"}),
    Message(
        {"type": "encode", "request": 1, "shape": [40, 100], "bytes": 4000}, b"\n{}\x00" * 1000
    ),
    Message({"type": "empty"}),
    Message({"type": "last", "request": 2, "bytes": 256}, bytes(range(256))),
]


def pieces(data: bytes, sizes: np.random.Generator) -> list[bytes]:
    cuts = sorted(sizes.integers(len(data), size=60))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_messages_come_back_however_the_pipe_cuts_them(seed: int) -> None:
    reader = FrameReader()
    parts = pieces(b"".join(FRAMES), np.random.default_rng(seed))
    assert [message for part in parts for message in reader.feed(part)] == MESSAGES


@pytest.mark.parametrize(
    "banner",
    [
        b"",
        b"Welcome to host\r\nLast login: today\n",
        b"no line end",
        MAGIC[:-1] + b"almost",
        MAGIC[:5] * 3,
        b'{"type":"hello"}\n',
    ],
)
def test_a_banner_before_the_magic_is_skipped(banner: bytes) -> None:
    data = banner + MAGIC + b"".join(FRAMES)
    at_once = FrameReader(skip_to_magic=True).feed(data)
    reader = FrameReader(skip_to_magic=True)
    byte_by_byte = [message for byte in data for message in reader.feed(bytes([byte]))]
    assert at_once == byte_by_byte == MESSAGES


def test_a_flood_without_magic_is_refused() -> None:
    reader = FrameReader(skip_to_magic=True)
    with pytest.raises(WorkerError, match="without a worker's greeting"):
        reader.feed(b"x" * (MAX_BANNER_BYTES + 100))


@pytest.mark.parametrize(
    "line",
    [
        b"Segmentation fault\n",
        b"[1,2]\n",
        b'{"kind":"hello"}\n',
        b'{"type":3}\n',
        b'{"type":"a","bytes":-1}\n',
        b'{"type":"a","bytes":1e3}\n',
        b'{"type":"a","bytes":true}\n',
        b'{"type":"a","bytes":99999999999}\n',
        b'{"type":"a","score":NaN}\n',
        b"\xff\xfe\n",
        b"{" * (1 << 23),
    ],
)
def test_what_is_not_the_protocol_is_refused(line: bytes) -> None:
    with pytest.raises(WorkerError, match="does not speak the worker's protocol"):
        FrameReader().feed(line)


def test_nan_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        frame("decoded", score=float("nan"))


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (64, 64), (3, 1001)])
def test_a_mask_comes_back_from_eight_voxels_a_byte(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(size) > 0.5
    shape, body = pack_mask(mask)
    assert len(body) == -(-mask.size // 8)
    back = unpack_mask(shape, body)
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)
    with pytest.raises(WorkerError, match="came with"):
        unpack_mask(shape, body + b"\x00")


@pytest.mark.parametrize("size", [(5, 7), (5, 7, 3)])
def test_a_slice_comes_back_whatever_its_strides(size: tuple[int, ...]) -> None:
    volume = np.random.default_rng(0).integers(0, 255, (4, *size), dtype=np.uint8)
    view = volume[2, ::-1]
    np.testing.assert_array_equal(unpack_pixels(*pack_pixels(view)), view)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_what_is_no_slice_is_not_sent(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="Normalise the slice first"):
        pack_pixels(array)


def test_prompts_come_back_as_plain_numbers() -> None:
    numbers = np.array([[1, 2], [3.5, 4]])
    prompts = Prompts(
        points=tuple((a, b) for a, b in numbers),
        positive=(np.True_, np.False_),
        box=tuple(np.arange(4, dtype=np.int64)),
    )
    back = unpack_prompts(pack_prompts(prompts))
    assert back == Prompts(((1.0, 2.0), (3.5, 4.0)), (True, False), (0.0, 1.0, 2.0, 3.0))
    assert unpack_prompts(pack_prompts(Prompts())) == Prompts()
