"""Dark colours, as Slicer's dark style has them."""

from harness.desktop import Desktop
from PySide6.QtGui import QColor, QPalette

_ROLES = {
    QPalette.ColorRole.Window: (53, 53, 53),
    QPalette.ColorRole.WindowText: (235, 235, 235),
    QPalette.ColorRole.Base: (35, 35, 35),
    QPalette.ColorRole.AlternateBase: (53, 53, 53),
    QPalette.ColorRole.Text: (235, 235, 235),
    QPalette.ColorRole.Button: (53, 53, 53),
    QPalette.ColorRole.ButtonText: (235, 235, 235),
    QPalette.ColorRole.Highlight: (42, 130, 218),
    QPalette.ColorRole.HighlightedText: (0, 0, 0),
    QPalette.ColorRole.PlaceholderText: (140, 140, 140),
}
_TEXTS = (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText)


def darken(desktop: Desktop) -> None:
    """Have the whole application dark from now on."""
    palette = QPalette()
    for role, colour in _ROLES.items():
        palette.setColor(role, QColor(*colour))
    for role in _TEXTS:
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(127, 127, 127))
    desktop.app.setStyle("Fusion")
    desktop.app.setPalette(palette)
