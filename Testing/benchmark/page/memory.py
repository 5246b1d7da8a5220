"""Memory of inference and of every way of teaching, beside what was published and the plan."""

from __future__ import annotations

from lines import RESULTS, read

from page.markdown import MISSING, Line, command, origin, table

FILE = RESULTS / "memory.jsonl"
_SCRIPT = (
    "python Testing/benchmark/memory_methods.py --output Testing/benchmark/results/memory.jsonl"
)
COMMANDS = (_SCRIPT, f"{_SCRIPT} --family starter lite_medsam sam_med2d_b mobile_sam")
FAMILIES = {
    "sam_vit_b": "ViT-B, 1024",
    "mobile_sam": "MobileSAM, 1024",
    "sam_med2d_b": "SAM-Med2D, 256",
    "lite_medsam": "LiteMedSAM, 256",
    "starter": "starter, 192",
}
PUBLISHED = {
    "inference": "inference, authors' code",
    "full-published": "all weights, AdamW",
    "lora-published": "LoRA as SAMed does it",
    "galore-published": "GaLore, galore-torch",
}
OURS = {
    "ours-inference": "**inference, ours**",
    "decoder": "`decoder`",
    "late": "`late`",
    "lora": "`lora`",
    "adapter": "`adapter`",
    "galore": "`galore`",
    "full": "`full`",
}
METHODS = {**PUBLISHED, **OURS}


def by_setting(device: str) -> dict[tuple[str, str], Line]:
    """The lines of a device by family and method, in single precision; the later one counts."""
    lines = [line for line in read(FILE) if line["setting"]["device"] == device]
    return {
        (line["setting"]["family"], line["method"]): line
        for line in lines
        if not line["setting"]["half"]
    }


def section(device: str = "cpu") -> str:
    """Peaks, floors and plans."""
    lines = by_setting(device)
    if not lines:
        return MISSING + "."
    families = [one for one in FAMILIES if any(family == one for family, _ in lines)]
    header = [
        "GiB above the weights: peak, (floor), [planned]",
        *(FAMILIES[one] for one in families),
    ]
    rows = [
        [told, *(cell(lines.get((family, method)), method, family) for family in families)]
        for method, told in METHODS.items()
    ]
    return "\n\n".join(
        [command(*COMMANDS), table(header, rows), f"{origin(list(lines.values()))}."]
    )


def cell(line: Line | None, method: str, family: str) -> str:
    """Peak, floor and plan of one method on one model."""
    if line is None:
        no_blocks = method == "lora-published" and family in ("mobile_sam", "lite_medsam")
        return "none" if no_blocks else MISSING
    told = f"{line['value']:.2f}"
    told += f" ({line['floor']:.2f})" if "floor" in line else ""
    return told + (f" [{line['planned']:.2f}]" if "planned" in line else "")
