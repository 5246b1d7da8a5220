"""A volume to try the module with, offered by Slicer's Sample Data module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "CTLiver"
SHA256: Final = "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"
_STORE: Final = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"


def register(resource_path: Callable[[str], str]) -> None:
    """Offer it; one that Slicer itself offers among many, from the same address."""
    # Only there in the application, and when this module starts perhaps not yet.
    import SampleData

    logic: Any = SampleData.SampleDataLogic
    # Since Slicer 5.12.
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory("MedSAGaSlicer", "MedSAGaSlicer")
    logic.registerCustomSampleDataSource(
        category="MedSAGaSlicer",
        sampleName=NAME,
        thumbnailFileName=resource_path("Icons/MedSAGaSlicer.png"),
        uris=_STORE + SHA256,
        fileNames=f"{NAME}.nrrd",
        nodeNames=NAME,
        checksums=f"SHA256:{SHA256}",
    )
