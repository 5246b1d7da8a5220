"""PySide6 made to look like PythonQt, the binding that Slicer has: the modules ``qt`` and ``ctk``.

What PySide6 has as a method and Qt as a property becomes an attribute, on PySide6's own classes:
``button.text`` is the text and ``button.text()`` an error, as in Slicer. ``isChecked()`` and
``setText("...")`` are there in both. New attributes are refused, so a misspelt property shows.

Not imitated, so the product keeps away from it: ``object.connect("signal(type)", slot)`` (it writes
``object.signal.connect(slot)``), enums as numbers, PythonQt's conversions and ownership.
"""

import ctypes
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, TracebackType
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)


class SlotErrors:
    """Exceptions that a slot or an observer let out.

    Qt and VTK print them and go on, in Slicer and here: a test that does not look here passes.
    """

    def __init__(self) -> None:
        self.found: list[BaseException] = []

    def watch(self) -> None:
        """Collect from now on, beside printing."""
        sys.excepthook = self._note

    def take(self) -> list[BaseException]:
        """What has been found since the last time."""
        found, self.found = self.found, []
        return found

    def _note(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self.found.append(error)
        sys.__excepthook__(kind, error, trace)


class Attribute:
    """A Qt property as PythonQt shows it; on the class it stays the method of that name."""

    def __init__(
        self, name: str, method: Any, read: Callable[[Any], Any], write: Callable[..., Any] | None
    ) -> None:
        self.name, self.method, self.read, self.write = name, method, read, write

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self if self.method is None else self.method
        return self.read(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.write is None:
            msg = f"the property {self.name!r} of {type(instance).__name__} cannot be set"
            raise AttributeError(msg)
        self.write(instance, value)


def install(custom: dict[str, type]) -> ModuleType:
    """Put ``qt`` and ``ctk`` where an import finds them; done once per process.

    ``custom`` are the stand-ins for CTK's and Slicer's widgets, by class name.
    """
    if "qt" in sys.modules:
        return sys.modules["qt"]
    _keep_none()
    for kind in sorted(_object_classes(), key=lambda kind: len(kind.__mro__)):
        _show_properties(kind)
        kind.__setattr__ = _set_attribute
    QtCore.QObject.name = Attribute(
        "name", None, lambda o: o.objectName, lambda o, v: o.setObjectName(v)
    )
    QtCore.QObject.className = lambda self: self.metaObject().className()
    qt, ctk = ModuleType("qt"), ModuleType("ctk")
    for module in MODULES:
        for name in _public(module):
            setattr(qt, name, getattr(module, name))
    for name, kind in custom.items():
        if name.startswith("ctk"):
            setattr(ctk, name, kind)
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
    return qt


def _keep_none() -> None:
    """Lend None as many references as a test run can lose.

    PySide6 6.12 gives one back too many with each call that returns nothing. Since Python 3.12 that
    does no harm; before, None is deallocated some ten thousand calls later, and Python ends.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _public(module: ModuleType) -> Iterator[str]:
    # Not vars(): PySide6 makes its classes when they are first asked for.
    return (name for name in dir(module) if not name.startswith("_"))


def _object_classes() -> set[type]:
    found = (getattr(module, name) for module in MODULES for name in _public(module))
    return {kind for kind in found if isinstance(kind, type) and issubclass(kind, QtCore.QObject)}


def _show_properties(kind: type) -> None:
    meta = kind.staticMetaObject  # type: ignore[attr-defined]
    for n in range(meta.propertyOffset(), meta.propertyCount()):
        qt_property = meta.property(n)
        name = qt_property.name()
        capital = name[0].upper() + name[1:]
        method = getattr(kind, name, None)
        readers = (getattr(kind, other, None) for other in (name, f"is{capital}", f"has{capital}"))
        read = next((_unbound(reader) for reader in readers if callable(reader)), None)
        setter = getattr(kind, f"set{capital}", None)
        write = _unbound(setter) if callable(setter) else None
        if write is None and qt_property.isWritable():
            write = _property_writer(name)
        own = method if callable(method) else None
        setattr(kind, name, Attribute(name, own, read or _property_reader(name), write))


def _unbound(method: Callable[..., Any]) -> Callable[..., Any]:
    # A static method does not want the object.
    if type(method).__name__ == "builtin_function_or_method":
        return lambda _, *values: method(*values)
    return method


def _property_reader(name: str) -> Callable[[Any], Any]:
    return lambda instance: instance.property(name)


def _property_writer(name: str) -> Callable[[Any, Any], Any]:
    return lambda instance, value: instance.setProperty(name, value)


def _set_attribute(instance: Any, name: str, value: Any) -> None:
    found = inspect.getattr_static(type(instance), name, None)
    if isinstance(found, QtCore.Property):
        found.fset(instance, value)
    elif hasattr(found, "__set__"):
        found.__set__(instance, value)
    elif name.startswith("_") or found is not None:
        instance.__dict__[name] = value
    elif isinstance(value, QtCore.QObject) and value.objectName == name:
        # PySide6's loader hangs every named child on its parent; Slicer's does not.
        return
    else:
        msg = f"{type(instance).__name__} has no property {name!r} to set"
        raise AttributeError(msg)
