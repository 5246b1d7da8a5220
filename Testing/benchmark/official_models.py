"""Encoders of others as they publish them, from the reader's own clone of their repository."""

import importlib.util
import sys
import types
from pathlib import Path

from torch import nn

from MedSAGaSlicerLib.engine.families import SamModel

# Within a clone of https://github.com/ChaoningZhang/MobileSAM.
TINY_VIT = Path("mobile_sam") / "modeling" / "tiny_vit_sam.py"


def with_published_encoder(model: SamModel, clone: Path) -> SamModel:
    """MobileSAM with the encoder of its authors' clone, and the weights it had."""
    ours = model.image_encoder.state_dict()
    theirs = published_tiny_vit(clone / TINY_VIT)
    missing = theirs.load_state_dict(ours, strict=False)
    # Their encoder has the head of a classifier that it never asks.
    wanted = [name for name in missing.missing_keys if not name.startswith(("norm_head", "head"))]
    buffers = ("attention_bias_idxs", "num_batches_tracked")
    wanted = [name for name in wanted if not name.endswith(buffers)]
    if wanted or missing.unexpected_keys:
        msg = f"{clone} has another TinyViT: {wanted[:3]} {missing.unexpected_keys[:3]}"
        raise SystemExit(msg)
    model.image_encoder = theirs.eval()
    return model


def published_tiny_vit(file: Path) -> nn.Module:
    """TinyViT as `build_sam_vit_t` of that repository makes it."""
    if importlib.util.find_spec("timm") is None:
        stand_in_for_timm()
    spec = importlib.util.spec_from_file_location("published_tiny_vit", file)
    if spec is None or spec.loader is None or not file.is_file():
        msg = f"{file} is not there: give the folder of a clone of ChaoningZhang/MobileSAM"
        raise SystemExit(msg)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    encoder: nn.Module = module.TinyViT(
        img_size=1024,
        in_chans=3,
        num_classes=1000,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        mlp_ratio=4.0,
        drop_rate=0.0,
        drop_path_rate=0.0,
        use_checkpoint=False,
        mbconv_expand_ratio=4.0,
        local_conv_size=3,
        layer_lr_decay=0.8,
    )
    return encoder


def stand_in_for_timm() -> None:
    """The four names that the file takes from timm; none of them computes anything in an encode."""

    class DropPath(nn.Identity):
        def __init__(self, drop_prob: float = 0.0) -> None:
            super().__init__()
            self.drop_prob = drop_prob

    layers = types.ModuleType("timm.models.layers")
    layers.DropPath = DropPath
    layers.to_2tuple = lambda value: value if isinstance(value, tuple) else (value, value)
    layers.trunc_normal_ = nn.init.trunc_normal_
    registry = types.ModuleType("timm.models.registry")
    registry.register_model = lambda function: function
    for name in ("timm", "timm.models"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules |= {"timm.models.layers": layers, "timm.models.registry": registry}
