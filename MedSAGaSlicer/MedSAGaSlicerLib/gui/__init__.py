"""The panel in Slicer: widgets and settings, as thin as it can be."""
