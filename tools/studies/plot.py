"""The document of a study as a picture: a line for each row, a point for each seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fgaseg_d2.io.files import atomic_path

_TITLES = {
    "seconds_per_picture": "test, seconds a picture",
    "training_seconds": "training, seconds",
    "parameters": "parameters",
    "trained_parameters": "trained parameters",
}


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Draw a study: each seed as a point, the mean as a bar, the default row's mean as a line.

    Args:
        document: of :func:`studies.collect.collect`.
        path: of the picture (.png).

    Raises:
        OSError: the file cannot be written.
    """
    # It takes a second to load.
    from matplotlib.figure import Figure

    rows, panels = document["rows"], document["panels"]
    size = (2.2 + 2.8 * len(panels), 1.3 + 0.38 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(document["title"])
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, key in zip(all_axes, panels, strict=True):
        _draw_panel(axes, document, key)
    all_axes[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
    all_axes[0].set_ylim(len(rows) - 0.5, -0.5)
    seeds = document["settings"]["seeds"]
    handles, labels = all_axes[0].get_legend_handles_labels()
    if handles and len(seeds) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_panel(axes: Any, document: Mapping, key: str) -> None:
    rows = document["rows"]
    for index, seed in enumerate(document["settings"]["seeds"]):
        points = [
            (run.get("figures", {}).get(key, run.get(key)), position)
            for position, row in enumerate(rows)
            for run in row["runs"]
            if run["seed"] == seed and run["state"] == "finished"
        ]
        points = [point for point in points if point[0] is not None]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, "o", color=f"C{index}", alpha=0.7, markersize=5, label=f"seed {seed}")
    for position, row in enumerate(rows):
        mean = row["summary"][key]
        if mean is None:
            continue
        axes.plot([mean["mean"]] * 2, [position - 0.3, position + 0.3], color="black", linewidth=2)
        if row["name"] == document["default"]:
            axes.axvline(mean["mean"], color="grey", linestyle=":", linewidth=1)
    axes.set_xlabel(_TITLES.get(key, f"mIoU, {key}" if key != "mIoU" else key))
    axes.grid(axis="x", alpha=0.3)
