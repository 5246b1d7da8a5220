"""Scenes as files, as Slicer's save dialog leaves them."""

from pathlib import Path

import slicer
from harness.application import Application


def save_bundle(application: Application, path: Path) -> None:
    """Save everything into one .mrb file."""
    assert application.scene.WriteToMRB(str(path))


def save_scene(application: Application, path: Path) -> None:
    """Save a .mrml file, with the nodes' own files beside it."""
    scene = application.scene
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(path.parent))
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLStorableNode")
        if not node.GetSaveWithScene() or not node.AddDefaultStorageNode():
            continue
        storage = node.GetStorageNode()
        extension = storage.GetDefaultWriteFileExtension()
        storage.SetFileName(str(path.parent / f"{node.GetID()}.{extension}"))
        assert storage.WriteData(node), node.GetID()
    assert scene.Commit(str(path))


def load_scene(application: Application, path: Path, *, clear: bool = True) -> None:
    """Load or, without ``clear``, import a .mrml or .mrb file."""
    scene = application.scene
    if path.suffix == ".mrb":
        assert scene.ReadFromMRB(str(path), clear)
        return
    scene.SetURL(str(path))
    assert scene.Connect() if clear else scene.Import()


def nodes(scene: slicer.vtkMRMLScene, kind: str) -> list[slicer.vtkMRMLNode]:
    """The scene's nodes of a class or its subclasses."""
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
