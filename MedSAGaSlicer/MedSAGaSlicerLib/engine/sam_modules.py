"""Segment-anything's building blocks, loaded without running that package's `__init__`.

The package's `__init__` imports torchvision, which nothing here needs; its `modeling` folder is
plain torch. That folder is therefore loaded as a package of its own, under a name of ours: a later,
ordinary `import segment_anything` in the same process is left undisturbed. This is the only place
that does so.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.errors import DependencyError

_NAME = "MedSAGaSlicerLib.engine._segment_anything_modeling"


def _load_modeling() -> ModuleType:
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = importlib.util.find_spec("segment_anything")
    if package is None or not package.submodule_search_locations:
        msg = "The package segment-anything is missing; run pip install segment-anything"
        raise DependencyError(msg)
    folder = Path(package.submodule_search_locations[0]) / "modeling"
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        msg = f"The package segment-anything is damaged: {folder} cannot be read; install it again"
        raise DependencyError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[_NAME]
        msg = f"The package segment-anything is damaged ({error}); install it again"
        raise DependencyError(msg) from error
    return module


_modeling = _load_modeling()
_image_encoder = sys.modules[f"{_NAME}.image_encoder"]
_common = sys.modules[f"{_NAME}.common"]
_transformer = sys.modules[f"{_NAME}.transformer"]

ImageEncoderViT: type[nn.Module] = _modeling.ImageEncoderViT
PromptEncoder: type[nn.Module] = _modeling.PromptEncoder
MaskDecoder: type[nn.Module] = _modeling.MaskDecoder
TwoWayTransformer: type[nn.Module] = _modeling.TwoWayTransformer
Block: type[nn.Module] = _image_encoder.Block
Attention: type[nn.Module] = _image_encoder.Attention
PatchEmbed: type[nn.Module] = _image_encoder.PatchEmbed
DecoderAttention: type[nn.Module] = _transformer.Attention
TwoWayAttentionBlock: type[nn.Module] = _transformer.TwoWayAttentionBlock
LayerNorm2d: type[nn.Module] = _common.LayerNorm2d
MLPBlock: type[nn.Module] = _common.MLPBlock


def made_on_cpu(make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` makes, moved to torch's default device; for small networks.

    Embeddings and random buffers made on the meta device, where they are only shaped, would have
    torch import its compiler, which takes a second.
    """
    device = torch.get_default_device()
    with torch.device("cpu"):
        made = make()
    return made.to(device)


window_partition: Callable[[Tensor, int], tuple[Tensor, tuple[int, int]]] = (
    _image_encoder.window_partition
)
window_unpartition: Callable[[Tensor, int, tuple[int, int], tuple[int, int]], Tensor] = (
    _image_encoder.window_unpartition
)
get_rel_pos: Callable[[int, int, Tensor], Tensor] = _image_encoder.get_rel_pos
