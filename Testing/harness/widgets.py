"""Stand-ins for the CTK and Slicer widgets that the panel uses, on a real MRML scene.

Each has the part of the real widget's face that the panel needs, under the real names; what such a
widget does is Slicer's documentation put into few lines, and so an assumption.
"""

from harness.node_selector import qMRMLNodeComboBox
from harness.plain_widgets import ctkCollapsibleButton, qMRMLWidget
from harness.segment_editor import qMRMLSegmentEditorWidget
from harness.segment_selector import qMRMLSegmentSelectorWidget

WIDGETS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        ctkCollapsibleButton,
        qMRMLNodeComboBox,
        qMRMLSegmentEditorWidget,
        qMRMLSegmentSelectorWidget,
        qMRMLWidget,
    )
}

SIGNALS = {
    "ctkCollapsibleButton": {"contentsCollapsed": "bool"},
    "qMRMLWidget": {"mrmlSceneChanged": "vtkMRMLScene*"},
    "qMRMLNodeComboBox": {
        "currentNodeIDChanged": "QString",
        "nodeAddedByUser": "vtkMRMLNode*",
    },
    "qMRMLSegmentEditorWidget": {
        "currentSegmentIDChanged": "QString",
        "segmentationNodeChanged": "vtkMRMLSegmentationNode*",
        "sourceVolumeNodeChanged": "vtkMRMLVolumeNode*",
    },
    "qMRMLSegmentSelectorWidget": {
        "currentNodeChanged": "vtkMRMLNode*",
        "currentSegmentChanged": "QString",
    },
}
"""Name and argument of each signal that the stand-ins have, as declared in C++.

Without those that C++ declares in two forms, as ``currentNodeChanged`` of the selector of nodes:
PythonQt takes either of them when it is named without its arguments.
"""

SLOTS = {
    "qMRMLNodeComboBox": {"setMRMLScene": "vtkMRMLScene*"},
    "qMRMLSegmentSelectorWidget": {"setMRMLScene": "vtkMRMLScene*"},
}
"""The same for slots that a .ui file connects."""
