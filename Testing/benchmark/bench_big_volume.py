"""A volume of 546 x 820 x 820 voxels of 16 bits: what opening it costs the caller, how soon the
first mask is there, what memory scene and worker take beside it, and that none of it grows.

First as a file for the command line, left where it is (memory-mapped), then in a scene with a real
worker. Memory is that of each process above an empty one; that of the volume itself, which the
scene holds, is taken off as well.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

from report import ROOT, report

from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation

SHAPE_KJI = (546, 820, 820)
LIMIT_S = 0.3
LIMIT_BYTES = 1.5 * 2**30
SAFETY_S = 300
TICK_S = 0.002
# The organ's centre (column, row), its radius in pixels, and the slices it takes, as parts.
CENTRE, RADIUS, REACH = (0.4, 0.55), 0.09, 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE_KJI, metavar=("K", "J", "I"))
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--folder", type=Path, help="for the file; needs its 734 MB (default: tmp)")
    parser.add_argument("--part", choices=("file", "scene"), help="only one of the two")
    options = parser.parse_args()
    if options.part is None:
        # One after the other in processes of their own: each begins empty.
        for part in ("file", "scene"):
            subprocess.run([sys.executable, *sys.argv, "--part", part], check=True)
    elif options.part == "file":
        _file(tuple(options.shape), options.slices, options.model, options.folder)
    else:
        sys.path.insert(0, str(ROOT / "Testing"))
        _scene(tuple(options.shape), options.slices, options.model)


def _file(shape: tuple[int, ...], slices: int, model: str, folder: Path | None) -> None:
    from MedSAGaSlicerLib.engine.predictor import load_predictor
    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
    from MedSAGaSlicerLib.engine.regions.looking import looking

    about = {"volume": shape, "model": model}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "big.nrrd"
        _write(path, shape)
        before = _private_bytes()
        opened = []
        for _ in range(3):
            start = time.perf_counter()
            volume = read_image(path)
            normalisation = volume_normalisation(volume)
            opened.append(time.perf_counter() - start)
        grown = _private_bytes() - before
        start = time.perf_counter()
        SimpleITK.ReadImage(str(path))
        whole = {"reference": time.perf_counter() - start, "reference_is": "SimpleITK.ReadImage"}
        report("file: opened and normalised", opened, "s", limit=LIMIT_S, **whole, **about)
        whole = {"reference": _mib(shape), "reference_is": "the volume"}
        report("file: memory of opening it", [grown / 2**20], "MiB", **whole)
        predictor = looking(load_predictor(model, "cpu"), RegionChoice())
        sizes, middle = [], shape[0] // 2
        for index in range(middle - slices // 2, middle - slices // 2 + slices):
            pixels = normalised_slice(volume.array_kji, normalisation, "k", index)
            predictor.predict(predictor.encode(pixels), Prompts(box=_box(shape)))
            sizes.append((float(_private_bytes()), 0.0))
        _growth("file", sizes, about)


def _scene(shape: tuple[int, ...], slices: int, model: str) -> None:
    import slicer
    from harness.application import Application

    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.creating import new_segmentation
    from MedSAGaSlicerLib.scene.volumes import grid_of, normalisation_of
    from MedSAGaSlicerLib.worker.client import InferenceClient

    about = {"volume": shape, "model": model}
    empty_scene, empty_python = _private_bytes(), _of_empty_python()
    application = Application()
    volume = _volume_node(application.scene, shape)
    with (
        tempfile.TemporaryDirectory() as folder,
        _started(InferenceClient, model, folder) as client,
    ):
        worker = _process_of(client)
        segmentation = new_segmentation(volume)
        start = time.perf_counter()
        annotator = Annotator(volume, segmentation, client)
        normalisation_of(volume)
        opened = time.perf_counter() - start
        voxels, start = slicer.util.arrayFromVolume(volume), time.perf_counter()
        voxels.min(), voxels.max()
        whole = {"reference": time.perf_counter() - start}
        whole["reference_is"] = "numpy's minimum and maximum of all voxels"
        report("scene: opened and normalised", [opened], "s", limit=LIMIT_S, **whole, **about)
        grid, middle, box = grid_of(volume), shape[0] // 2, _box(shape)
        corners = [grid.to_ras((*box[at : at + 2], middle)) for at in (0, 2)]
        _first_mask(annotator, client, corners, about)
        sizes = []
        for index in range(middle + 1, middle + 1 + slices // 2):
            annotator.look_at("k", index)
            annotator.box("organ", *(grid.to_ras((*box[at : at + 2], index)) for at in (0, 2)))
            annotator.wait(SAFETY_S)
            sizes.append(_both(annotator, client, worker))
        _growth("scene: prompted slices", sizes, about)
        _propagate(annotator, client, slices, worker, about)
        scene = _private_bytes() - empty_scene - 2 * int(np.prod(shape))
        process = _private_bytes(worker) - empty_python
        report(
            "scene and worker above empty processes and the volume",
            [(scene + process) / 2**20],
            "MiB",
            limit=LIMIT_BYTES / 2**20,
            reference=_mib(shape),
            reference_is="the volume",
            scene_MiB=round(scene / 2**20),
            worker_MiB=round(process / 2**20),
            **about,
        )
        annotator.close()
    application.close()


def _first_mask(annotator, client, corners, about: dict[str, object]) -> None:
    from MedSAGaSlicerLib.scene.events import MaskWritten

    start = time.perf_counter()
    annotator.box("organ", *corners)
    written = None
    while written is None:
        written = next((e for e in annotator.poll() if isinstance(e, MaskWritten)), None)
        time.sleep(TICK_S)
    took = time.perf_counter() - start
    decode, encode = written.milliseconds / 1e3, min(_encode_s(client, n) for n in range(3))
    known = {"seconds": took, "encode_s": encode, "decode_s": decode, "limit": LIMIT_S}
    known |= {"reference": encode + decode, "reference_is": "the model's encode and decode"}
    beyond = took - encode - decode
    report("scene: first mask beyond encode and decode", [beyond], "s", **known, **about)


def _encode_s(client, number: int) -> float:
    """What the worker takes for an embedding by itself."""
    from MedSAGaSlicerLib.engine.embedding_key import slice_key
    from MedSAGaSlicerLib.worker.events import Encoded

    pixels = np.random.default_rng(number).integers(0, 255, (200, 200)).astype(np.uint8)
    events = client.wait(client.encode(slice_key(pixels), pixels), timeout_s=SAFETY_S)
    return next(e for e in events if isinstance(e, Encoded)).milliseconds / 1e3


def _propagate(annotator, client, slices: int, worker: int, about) -> None:
    job, sizes = annotator.propagate("organ"), []
    done = 0
    while job.running and len(sizes) < slices:
        job.poll()
        if job.progress[0] > done:
            done = job.progress[0]
            sizes.append(_both(annotator, client, worker))
        time.sleep(TICK_S)
    job.stop()
    _growth("scene: propagated slices", sizes, {**about, "state": job.state})


def _both(annotator, client, worker: int) -> tuple[float, float]:
    """Scene and worker, less the embeddings in memory, which have a limit of their own."""
    from MedSAGaSlicerLib.worker.events import Stats

    client.stats()
    cached = None
    while cached is None:
        found = [e.values["ram_bytes"] for e in annotator.poll() if isinstance(e, Stats)]
        cached = int(found[0]) if found else None
        time.sleep(TICK_S)
    return float(_private_bytes()), float(_private_bytes(worker) - cached)


def _growth(what: str, sizes: list[tuple[float, float]], about: dict[str, object]) -> None:
    """How much more memory there is at the end than after the first fifth, when all is warm."""
    warm, last = sizes[len(sizes) // 5], sizes[-1]
    here, there = ((b - a) / 2**20 for a, b in zip(warm, last, strict=True))
    details = {"here_MiB": here, "worker_MiB": there, "warm_MiB": sum(warm) / 2**20}
    beside = {"reference": _mib(about["volume"]), "reference_is": "the volume"}
    told = {**beside, **details, **about}
    report(f"{what}: growth", [here + there], "MiB", slices=len(sizes), **told)


def _slices(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A trunk of soft tissue in air, and in it an ellipsoid that is brighter."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: shape[1], : shape[2]] / np.array(shape[1:]).reshape(2, 1, 1)
    noise = rng.normal(0, 15, shape[1:]).astype(np.int16)
    body = (rows - 0.5) ** 2 / 0.14 + (columns - 0.5) ** 2 / 0.2 < 1
    away = (columns - CENTRE[0]) ** 2 + (rows - CENTRE[1]) ** 2
    for index in range(shape[0]):
        part = np.where(body, np.int16(40), np.int16(-1000))
        left = 1 - ((index / shape[0] - 0.5) / REACH) ** 2
        part[away < RADIUS**2 * left] = 150
        yield part + np.roll(noise, index, axis=0)


def _box(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    low = [round((at - RADIUS) * count) for at, count in zip(CENTRE, shape[:0:-1], strict=True)]
    high = [round((at + RADIUS) * count) for at, count in zip(CENTRE, shape[:0:-1], strict=True)]
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _write(path: Path, shape: tuple[int, ...]) -> None:
    header = ["NRRD0004", "type: short", "dimension: 3", "encoding: raw", "endian: little"]
    header += [f"sizes: {shape[2]} {shape[1]} {shape[0]}", "spacings: 0.6 0.6 1", "", ""]
    with path.open("wb") as stream:
        stream.write("\n".join(header).encode())
        for part in _slices(shape):
            stream.write(part.astype("<i2").tobytes())


def _volume_node(scene, shape):
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    image = vtk.vtkImageData()
    image.SetDimensions(*shape[::-1])
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    for index, part in enumerate(_slices(shape)):
        voxels[index] = part
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName("big")
    node.SetSpacing(0.6, 0.6, 1.0)
    node.SetAndObserveImageData(image)
    return scene.AddNode(node)


@contextmanager
def _started(kind, model: str, folder: str):
    client = kind(model=model, cache_folder=folder, device="cpu")
    client.wait(client.start(), timeout_s=SAFETY_S)
    try:
        yield client
    finally:
        client.stop()


def _process_of(client) -> int:
    from MedSAGaSlicerLib.worker.events import Stats

    answers = client.wait(client.stats(), timeout_s=SAFETY_S)
    return int(next(e for e in answers if isinstance(e, Stats)).values["process"])


def _of_empty_python() -> int:
    """What an interpreter takes that has imported nothing."""
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        time.sleep(0.5)
        taken = _private_bytes(process.pid)
        process.stdin.close()
    return taken


def _private_bytes(process: int | None = None) -> int:
    """Resident memory that is no file's: what is mapped of a file can be dropped at any time."""
    fields = Path(f"/proc/{process or 'self'}/status").read_text().splitlines()
    kib = {line.split(":")[0]: line.split()[1] for line in fields if line.startswith("Rss")}
    return (int(kib["RssAnon"]) + int(kib["RssShmem"])) * 1024


def _mib(shape: tuple[int, ...]) -> float:
    return 2 * int(np.prod(shape)) / 2**20


if __name__ == "__main__":
    main()
