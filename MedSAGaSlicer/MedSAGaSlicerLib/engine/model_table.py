"""What models there are, as rows for programs and as a table for people."""

from __future__ import annotations

from typing import Any

from MedSAGaSlicerLib.engine import registry


def model_rows() -> list[dict[str, Any]]:
    """Every registered model: what it is, whether it is on this machine, and where from."""
    rows = []
    for entry in registry.entries():
        present = registry.installed(entry)
        size = present.stat().st_size if present else entry.size
        rows.append(
            {
                "name": entry.name,
                "family": entry.family,
                "present": present is not None,
                "path": str(registry.path_of(entry)),
                "shipped": entry.shipped,
                "downloadable": entry.downloadable,
                "url": entry.url,
                "size": size,
                "licence": entry.licence,
                "input_size": entry.input_size,
                "preprocessing": entry.preprocessing,
                "source": entry.source,
            }
        )
    return rows


def model_table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned columns."""
    lines = [("NAME", "HERE", "SIZE", "LICENCE", "FROM")]
    for row in rows:
        size = "?" if row["size"] is None else f"{row['size'] / 1e6:.0f} MB"
        lines.append((row["name"], _here(row), size, row["licence"], row["source"]))
    widths = [max(len(line[at]) for line in lines) for at in range(4)]
    aligned = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        aligned.append("  ".join([*cells, line[4]]))
    return "\n".join(aligned)


def _here(row: dict[str, Any]) -> str:
    if row["present"]:
        return "yes"
    if row["downloadable"]:
        return "to download"
    return "missing" if row["shipped"] else "by hand"
