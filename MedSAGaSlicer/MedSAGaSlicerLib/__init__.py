"""MedSAGaSlicer: segment by prompts, and teach the model from a few confirmed slices.

Four layers, each importing only those below it: ``engine`` (arrays and models), ``worker``
(processes), ``scene`` (MRML without Qt), ``gui`` (the Slicer panel). Importing this package loads
none of them.
"""

__version__ = "0.1.0"
