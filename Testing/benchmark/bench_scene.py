"""The scene layer on a volume of 512 x 512 x 300 voxels with three segments: what a slice costs to
write, how a labelmap grows, what an undo step takes, what a click costs beyond the model, and
whether slices are ready when a person scrolls to them."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import fakes_path  # noqa: F401  where the stage is
from report import ROOT, report
from stage import SAFETY_S, Stage

sys.path.insert(0, str(ROOT / "Testing"))

import slicer
from harness.application import Application

from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.events import Stats

SHAPE_KJI = (300, 512, 512)
NAMES = ("tumour", "liver", "spleen")
# The panel's timer while answers are outstanding.
TICK_S = 0.01
ENCODE_S, SCROLL_S = 0.35, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=150)
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument(
        "--slices", type=int, default=60, help="scrolled through, half a second each"
    )
    parser.add_argument("--only", choices=("writes", "growth", "clicks", "scrolling"))
    options = parser.parse_args()
    application = Application()
    volume = _volume()
    if options.only != "scrolling":
        node = _segmentation(application, volume)
        usual = _usual(node, volume)
        application.scene.RemoveNode(node)
    if options.only in (None, "writes"):
        _writes(_segmentation(application, volume), volume, options.writes, usual)
    if options.only in (None, "growth"):
        _growth(application, volume, usual)
    if options.only in (None, "clicks"):
        _clicks(application, volume, options.clicks, usual)
    if options.only in (None, "scrolling"):
        _scroll(application, volume, options.slices)
    application.close()


def _volume() -> slicer.vtkMRMLScalarVolumeNode:
    generator = np.random.default_rng(0)
    plane = generator.integers(0, 400, SHAPE_KJI[1:]).astype(np.int16)
    voxels = np.stack([np.roll(plane, n, axis=0) for n in range(SHAPE_KJI[0])])
    ijk_to_ras = np.diag([-0.7, -0.7, 1.5, 1.0])
    return slicer.util.addVolumeFromArray(voxels, ijk_to_ras, "CT")


def _segmentation(
    application: Application, volume: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name in NAMES:
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


def _blob(size: tuple[int, int], number: int) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    across = size[1] * (0.3 + 0.2 * (number % 3))
    return (rows - size[0] / 2) ** 2 + (columns - across) ** 2 < (30 + number % 20) ** 2


def _writes(
    node: slicer.vtkMRMLSegmentationNode,
    volume: slicer.vtkMRMLScalarVolumeNode,
    count: int,
    usual: dict[str, float],
) -> None:
    grid = grid_of(volume)
    for axis, size in (("k", (512, 512)), ("j", (300, 512)), ("i", (300, 512))):
        wrote, read = [], []
        for n in range(count):
            position = SlicePosition(axis, 75 + n)
            segment, mask = NAMES[n % 3], _blob(size, n)
            start = time.perf_counter()
            write_slice(node, segment, volume, position, mask)
            wrote.append((time.perf_counter() - start) * 1e3)
            start = time.perf_counter()
            got = read_slice(node, segment, grid, position)
            read.append((time.perf_counter() - start) * 1e3)
            assert np.array_equal(got, mask)
        about = {"axis": axis, "volume": SHAPE_KJI, "segments": len(NAMES), "limit": 10}
        layers = node.GetSegmentation().GetNumberOfLayers()
        write, fetch = _beside("write", usual), _beside("read", usual)
        report("write one slice", wrote, "ms", **write, **about, layers=layers)
        report("read one slice", read, "ms", **fetch, axis=axis, volume=SHAPE_KJI)


def _growth(
    application: Application, volume: slicer.vtkMRMLScalarVolumeNode, usual: dict[str, float]
) -> None:
    times = []
    for corner in range(5):
        node = _segmentation(application, volume)
        mask = np.zeros((512, 512), bool)
        mask[:5, :5] = True
        write_slice(node, "liver", volume, SlicePosition("k", 5 * corner), mask)
        start = time.perf_counter()
        # From a corner to the whole volume in one step: the longest way that there is.
        write_slice(node, "liver", volume, SlicePosition("k", 299), mask[::-1, ::-1])
        times.append((time.perf_counter() - start) * 1e3)
        application.scene.RemoveNode(node)
    beside = _beside("write", usual)
    report("write one slice, labelmap grows to the volume", times, "ms", **beside, limit=150)


WAYS = {
    "write": slicer.util.updateSegmentBinaryLabelmapFromArray,
    "read": slicer.util.arrayFromSegmentBinaryLabelmap,
}


def _usual(
    node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode
) -> dict[str, float]:
    """Milliseconds of the same by the functions that scripts for Slicer use."""
    voxels = np.zeros(SHAPE_KJI, np.uint8)
    calls = {
        "write": lambda: WAYS["write"](voxels, node, "liver", volume),
        "read": lambda: WAYS["read"](node, "liver", volume),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(3):
        voxels[100 + n] = _blob((512, 512), n)
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: float(np.median(each)) for name, each in times.items()}


def _beside(name: str, usual: dict[str, float]) -> dict[str, object]:
    """What stands beside a figure."""
    return {"reference": usual[name], "reference_is": f"slicer.util.{WAYS[name].__name__}"}


def _clicks(
    application: Application,
    volume: slicer.vtkMRMLScalarVolumeNode,
    count: int,
    usual: dict[str, float],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        client = stage.started()
        node = _segmentation(application, volume)
        annotator = Annotator(volume, node, client)
        grid = grid_of(volume)
        beyond, undone, sizes = [], [], []
        for n in range(count):
            index = 100 + n % 10
            ras = grid.to_ras((150 + n, 200 + 50 * (n % 3), index))
            annotator.look_at("k", index)
            client.wait(timeout_s=SAFETY_S)
            start = time.perf_counter()
            annotator.point(NAMES[n % 3], ras)
            written = None
            while written is None:
                events = annotator.poll()
                written = next((e for e in events if isinstance(e, MaskWritten)), None)
                if written is None:
                    time.sleep(TICK_S / 10)
            beyond.append((time.perf_counter() - start) * 1e3 - written.milliseconds)
            if n % 10 == 9:
                sizes.append(float(annotator._annotation.history.current.size_bytes))
                start = time.perf_counter()
                annotator.undo()
                undone.append((time.perf_counter() - start) * 1e3)
        about = {"volume": SHAPE_KJI, "segments": len(NAMES)}
        told = {"p95": float(np.quantile(beyond, 0.95)), "limit_p95": 25, **_beside("write", usual)}
        report("click to mask beyond the decode", beyond, "ms", **told, **about)
        report("undo", undone, "ms", **_beside("write", usual), **about)
        whole = {"reference": int(np.prod(SHAPE_KJI)), "reference_is": "a copy of the labelmap"}
        report("undo step", sizes, "bytes", **whole, **about)
        annotator.close()
        stage.close()


def _scroll(application: Application, volume: slicer.vtkMRMLScalarVolumeNode, count: int) -> None:
    """Two slices a second from the middle of a volume that nobody has looked at, then a jump."""
    middle = SHAPE_KJI[0] // 2
    on = range(middle + 1, middle + count + 1)
    back = range(middle + count - 1, middle - 1, -2)
    ways = {"on": on, "back by twos": back, "after a jump": range(10, 10 + count // 3)}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        stage.cue("encode-seconds", str(ENCODE_S))
        client = stage.started()
        annotator = Annotator(volume, _segmentation(application, volume), client)
        annotator.look_at("k", middle)
        for way, indices in ways.items():
            if way == "after a jump":
                # Nobody could have known where to: the first slice is not counted.
                annotator.look_at("k", indices[0] - 1)
            late, slow = [], 0.0
            for index in indices:
                until = time.monotonic() + SCROLL_S
                while time.monotonic() < until:
                    start = time.perf_counter()
                    annotator.poll()
                    slow = max(slow, (time.perf_counter() - start) * 1e3)
                    time.sleep(TICK_S)
                if not annotator.is_ready("k", index):
                    late.append(abs(index - indices[0]) + 1)
                annotator.look_at("k", index)
            # The n-th slice from a cold start cannot be there before n + 1 encodes are done, nor
            # that from a jump before one more, which nobody can interrupt.
            before = {"on": 1, "after a jump": 2}.get(way)
            impossible = [n for n in late if before and (n + before) * ENCODE_S > n * SCROLL_S]
            report(
                "slices ready when scrolled to, 2 per second, encoder 0.35 s",
                [1 - len(late) / len(indices)],
                "share",
                way=way,
                slices=len(indices),
                late=late,
                late_for_any_order=impossible,
                slowest_poll_ms=round(slow, 1),
                limit=0.95,
            )
        (stats,) = (e for e in client.wait(client.stats(), SAFETY_S) if isinstance(e, Stats))
        encoded, kept = (int(stats.values[name]) for name in ("encoded", "disk_entries"))
        report("slices encoded twice while scrolling", [encoded - kept], "count", encoded=encoded)
        annotator.close()
        stage.close()


if __name__ == "__main__":
    main()
