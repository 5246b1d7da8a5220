"""A real MRML scene for each test: volume, segmentation, slice views as Slicer has them."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("slicer") is None:
    # The extra "scene" is not installed: there is no MRML to test on.
    collect_ignore_glob = ["*"]
else:
    # The harness is shared with the tests of the panel and belongs to no package.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    import slicer
    from harness.application import Application
    from harness.fake_client import FakeClient
    from harness.slice_view import SliceView

    from MedSAGaSlicerLib.scene.annotator import Annotator

    @pytest.fixture
    def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
        """The logics around a scene; a test in which VTK or an observer complains has failed."""
        raised: list[BaseException] = []
        # VTK hands exceptions of observers to the hook and goes on.
        monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: raised.append(error))
        application = Application()
        yield application
        messages = application.messages()
        application.close()
        assert not raised, raised
        assert "ERROR" not in messages, messages

    @pytest.fixture
    def scene(application: Application) -> slicer.vtkMRMLScene:
        return application.scene

    @pytest.fixture
    def volume(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLScalarVolumeNode:
        """24 x 20 x 12 voxels of 1 x 1.5 x 3 mm, turned by 10 degrees, with a bright ball."""
        k, j, i = np.mgrid[:12, :20, :24]
        ball = (i - 11) ** 2 + (j - 9) ** 2 + (2 * (k - 6)) ** 2 < 36
        voxels = np.where(ball, 300, 40 + i + 2 * j).astype(np.int16)
        c, s = np.cos(np.pi / 18), np.sin(np.pi / 18)
        ijk_to_ras = np.array([[-c, s, 0, 10], [-s, -c, 0, 14], [0, 0, 1, -8], [0, 0, 0, 1.0]])
        ijk_to_ras[:, :3] *= (1.0, 1.5, 3.0)
        return slicer.util.addVolumeFromArray(voxels, ijk_to_ras, "MR")

    @pytest.fixture
    def segmentation(
        scene: slicer.vtkMRMLScene, volume: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLSegmentationNode:
        """An empty segmentation with the segments tumour, liver and spleen."""
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for name in ("tumour", "liver", "spleen"):
            node.GetSegmentation().AddEmptySegment(name, name)
        return node

    @pytest.fixture
    def client() -> FakeClient:
        """Answers without a worker; tests that need another kind have a fixture of this name."""
        return FakeClient()

    @pytest.fixture
    def annotator(
        volume: slicer.vtkMRMLScalarVolumeNode,
        segmentation: slicer.vtkMRMLSegmentationNode,
        client: FakeClient,
    ) -> Iterator[Annotator]:
        annotator = Annotator(volume, segmentation, client)
        yield annotator
        if annotator.closed is None:
            annotator.close()

    @pytest.fixture
    def slice_view(application: Application) -> Iterator[Callable[..., SliceView]]:
        """Make slice views: ``slice_view("Red", "Axial", (400, 400))``."""
        views: list[SliceView] = []

        def make(*arguments: object, **options: object) -> SliceView:
            views.append(SliceView(application, *arguments, **options))
            return views[-1]

        yield make
        for view in views:
            view.close()
