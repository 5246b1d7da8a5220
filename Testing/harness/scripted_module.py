"""The base classes of scripted modules, as far as ours leans on them, and their translation calls.

Written from Slicer's documentation. ``install`` puts them where the module file imports them from.
"""

import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:
        return _resource(self.parent.path, name)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.layout = parent.layout()
        self.reloaded = 0

    def resourcePath(self, name: str) -> str:
        return _resource(slicer.util.modulePath(self.moduleName), name)

    def setup(self) -> None:
        """Slicer adds its developer section here."""

    def enter(self) -> None: ...

    def exit(self) -> None: ...

    def cleanup(self) -> None: ...

    def onReload(self) -> None:
        self.reloaded += 1


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(scene.GenerateUniqueName(self.moduleName))
            node = scene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def runTest(self) -> None: ...

    def delayDisplay(self, message: str, msec: int = 1000) -> None: ...


def tr(text: str) -> str:
    return text


def translate(_context: str, text: str) -> str:
    return text


def install() -> None:
    bases = ModuleType("slicer.ScriptedLoadableModule")
    for base in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(bases, base.__name__, base)
    i18n = ModuleType("slicer.i18n")
    i18n.tr, i18n.translate = tr, translate  # type: ignore[attr-defined]
    for module in (bases, i18n):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.rpartition(".")[2], module)


def _resource(module_path: str, name: str) -> str:
    return str(Path(module_path).parent / "Resources" / name)
