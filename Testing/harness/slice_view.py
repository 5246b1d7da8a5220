"""A slice view as Slicer draws it, off screen, with the events a mouse would cause.

Slice logic, displayable managers and interactor style are Slicer's own. Only the image's renderer
is ours, since Slicer's lives in CTK: it shows the very image that the slice logic makes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from harness.application import Application
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    # Holds the reaction to window/level drags, too.
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)


class SliceView:
    """One slice view of ``size`` (width, height) pixels.

    Positions are VTK display coordinates: pixels, origin at the bottom left.
    """

    def __init__(
        self,
        application: Application,
        name: str = "Red",
        orientation: str = "Axial",
        size: tuple[int, int] = (400, 400),
    ) -> None:
        self.application, self.size = application, size
        self._make_window()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application.logic)
        application.logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(application.scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.node.SetMappedInLayout(1)
        self.logic.ResizeSliceNode(*size)
        self._connect_managers()
        self._image = vtk.vtkImageMapper()
        self._image.SetColorWindow(255)
        self._image.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._image)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(self._actor)
        self._update_image()
        self.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update_image)

    def _make_window(self) -> None:
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)
        self._renderer = vtk.vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self.window.AddRenderer(self._renderer)
        self.window.SetSize(*self.size)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        self.interactor.SetSize(*self.size)

    def _connect_managers(self) -> None:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(self.application.logic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.SetRenderer(self._renderer)
        self._managers.Initialize(factory, self._renderer)
        style = slicer.vtkMRMLSliceViewInteractorStyle()
        style.SetSliceLogic(self.logic)
        style.SetDisplayableManagers(self._managers)
        # A user style that does nothing keeps VTK's default one from acting beside Slicer's.
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        style.SetInteractor(self.interactor)
        self._style = style
        self._managers.SetMRMLDisplayableNode(self.node)

    def _update_image(self, *_event: object) -> None:
        connection = self.logic.GetImageDataConnection()
        self._image.SetInputConnection(connection)
        self._actor.SetVisibility(connection is not None)

    def show(self, volume: slicer.vtkMRMLVolumeNode, *, align: bool = True) -> None:
        """Show a volume, whole, at its middle slice; ``align`` turns the view to its axes."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        if align:
            self.logic.RotateSliceToLowestVolumeAxes(False)
        self.logic.FitSliceToBackground(*self.size)
        self.logic.SnapSliceOffsetToIJK()

    def render(self) -> None:
        """Draw what is due."""
        self._update_image()
        self.window.Render()

    def grab(self) -> npt.NDArray[np.uint8]:
        """Draw, and return the picture as (height, width, 3) with the top row first."""
        self.render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
        picture = grabber.GetOutput()
        width, height, _ = picture.GetDimensions()
        pixels = vtk_to_numpy(picture.GetPointData().GetScalars())
        return pixels.reshape(height, width, -1)[::-1, :, :3].copy()

    def pixel(self, xy: Sequence[float]) -> tuple[int, int, int]:
        """The colour drawn at a position."""
        red, green, blue = self.grab()[self.size[1] - 1 - round(xy[1]), round(xy[0])]
        return int(red), int(green), int(blue)

    def xy_of(self, ras: Sequence[float]) -> tuple[float, float]:
        """Where a point of the world is in the view."""
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), to_xy)
        x, y, *_ = to_xy.MultiplyPoint((*ras, 1.0))
        return x, y

    def ras_of(self, xy: Sequence[float]) -> tuple[float, float, float]:
        """Which point of the world is at a position."""
        r, a, s, _ = self.node.GetXYToRAS().MultiplyPoint((xy[0], xy[1], 0.0, 1.0))
        return r, a, s

    def move(self, xy: Sequence[float], *, ctrl: bool = False, shift: bool = False) -> None:
        self._at(xy, ctrl, shift)
        self.interactor.MouseMoveEvent()

    def press(self, xy: Sequence[float], *, ctrl: bool = False, shift: bool = False) -> None:
        self._at(xy, ctrl, shift)
        self.interactor.LeftButtonPressEvent()

    def release(self, xy: Sequence[float], *, ctrl: bool = False, shift: bool = False) -> None:
        self._at(xy, ctrl, shift)
        self.interactor.LeftButtonReleaseEvent()

    def click(self, xy: Sequence[float], *, ctrl: bool = False, shift: bool = False) -> None:
        """Move there, press and release the left button."""
        self.move(xy, ctrl=ctrl, shift=shift)
        self.press(xy, ctrl=ctrl, shift=shift)
        self.release(xy, ctrl=ctrl, shift=shift)

    def drag(
        self, start: Sequence[float], end: Sequence[float], *, ctrl: bool = False, steps: int = 5
    ) -> None:
        """Press at ``start``, move in steps, release at ``end``."""
        self.move(start, ctrl=ctrl)
        self.press(start, ctrl=ctrl)
        for part in np.linspace(0, 1, steps + 1)[1:]:
            there = np.asarray(start) + (np.asarray(end) - np.asarray(start)) * part
            self.move(there, ctrl=ctrl)
        self.release(end, ctrl=ctrl)

    def key(self, symbol: str) -> None:
        """Press and release a key, given its X11 name such as "Escape"."""
        self.interactor.SetKeySym(symbol)
        self.interactor.KeyPressEvent()
        self.interactor.CharEvent()
        self.interactor.KeyReleaseEvent()

    def wheel(self, xy: Sequence[float], steps: int = 1) -> None:
        """Scroll: positive steps forward."""
        for _ in range(abs(steps)):
            self._at(xy, ctrl=False, shift=False)
            if steps > 0:
                self.interactor.MouseWheelForwardEvent()
            else:
                self.interactor.MouseWheelBackwardEvent()

    def close(self) -> None:
        """Take the view out of the application before the scene goes."""
        self._managers.SetMRMLDisplayableNode(None)
        self.application.logic.GetSliceLogics().RemoveItem(self.logic)
        self.logic.SetMRMLScene(None)
        self.window.Finalize()

    def _at(self, xy: Sequence[float], ctrl: bool, shift: bool) -> None:
        x, y = round(float(xy[0])), round(float(xy[1]))
        self.interactor.SetEventInformation(x, y, int(ctrl), int(shift), chr(0), 0, None)
