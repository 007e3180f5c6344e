"""The throughput of a run as a chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report import rate
from benchmarks.scenarios import FLOOR, NAIVE


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw bars, as SVG or PNG by the file's ending.

    Raises:
        SystemExit: matplotlib is not there.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise SystemExit("a chart needs matplotlib: pip install --group bench") from None
    # The same numbers make the same file.
    mpl.rcParams.update({"svg.hashsalt": "msg91-destination", "svg.fonttype": "none"})
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    runs = found["throughput"]
    names = sorted(runs, key=lambda name: -rate(runs[name]))
    rates = [rate(runs[name]) for name in names]
    rows = [[row["events_per_second"] for row in runs[name]] for name in names]
    low = [middle - min(row) for middle, row in zip(rates, rows, strict=True)]
    high = [max(row) - middle for middle, row in zip(rates, rows, strict=True)]
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(names) + 1.2))
    colours = ["#9e9e9e" if name in (FLOOR, *NAIVE) else "#1f6feb" for name in names]
    bars = axes.barh(names, rates, xerr=[low, high], color=colours, error_kw={"ecolor": "#444", "capsize": 3})
    axes.bar_label(bars, labels=[f" {one:,.0f}" for one in rates], padding=4)
    axes.invert_yaxis()
    cores = found["machine"]["cores"]
    axes.set_xlabel(f"events per second, everything on {cores} cores (median; lines show the spread)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
