"""Annotators that nobody closes: dropped before, with and after their scene."""

import gc
import itertools
import subprocess
import sys
import weakref

import numpy as np
import slicer
import vtk
from harness.application import Application
from harness.fake_client import FakeClient

from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.mouse import MouseTool
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

DROPS = ("application", "scene", "nodes", "view", "annotator")


def drop_in_order(order: tuple[str, ...], *, collected: bool) -> None:
    """A scene, a view and an annotator at work are let go of one by one, closed by nobody.

    ``collected``: the garbage collector looks for what is left after each of them.
    """
    application = Application()
    scene = application.scene
    volume = slicer.util.addVolumeFromArray(np.arange(480, dtype=np.uint16).reshape(2, 15, 16))
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    annotator = Annotator(volume, segmentation, FakeClient())
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    interactor = vtk.vtkGenericRenderWindowInteractor()
    annotator.watch_view(view)
    tool = MouseTool(annotator, "one", "point", print)
    tool.add_view(view, interactor)
    annotator.point("one", (8, 8, 1))
    annotator.box("one", (2, 2, 1), (5, 5, 1))
    annotator.wait()
    annotator.confirm("k", 0)
    annotator.point("one", (4, 4, 1))
    kept = {
        "application": application,
        "scene": scene,
        "nodes": [volume, segmentation],
        "view": [view, interactor, tool],
        "annotator": annotator,
    }
    # A cycle, as a panel makes one: only the collector gets rid of it.
    kept["annotator"].panel = [annotator]
    slicer.mrmlScene = slicer.modules = None
    del application, scene, volume, segmentation, annotator, view, interactor, tool
    for name in order:
        del kept[name]
        if collected:
            gc.collect()
    gc.collect()


def test_an_annotator_that_nobody_closed_may_go_before_and_after_its_scene():
    script = (
        f"import runpy, sys; sys.path[:] = {sys.path!r}; "
        f"runpy.run_path({__file__!r})['drop_every_way']()"
    )
    # In a process of its own: what is tested here once ended the process.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-200:]
    assert done.stdout.splitlines()[-1] == "all dropped"


def drop_every_way() -> None:
    for number, order in enumerate(list(itertools.permutations(DROPS))[::13]):
        print(order, flush=True)
        drop_in_order(order, collected=number % 2 == 0)
    print("all dropped")


def test_an_annotator_that_was_dropped_leaves_no_observer_in_the_scene(volume, segmentation):
    annotator = Annotator(volume, segmentation, FakeClient())
    gone = weakref.ref(annotator)
    annotator.point("tumour", grid_of(volume).to_ras((10, 8, 5)))
    annotator.wait()
    del annotator
    # Without the collector: nothing in VTK holds on to it.
    assert gone() is None
    mask = read_slice(segmentation, "tumour", grid_of(volume), SlicePosition("k", 5))
    assert mask.any()
    write_slice(segmentation, "tumour", volume, SlicePosition("k", 5), ~mask)
    again = Annotator(volume, segmentation, FakeClient())
    assert len(again.prompts()) == 1
    again.close()
