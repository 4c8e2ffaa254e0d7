"""Pictures of results."""

import numpy as np

_MOST = 16  # images in one chart
_BLURRED, _RESTORED = (170, 170, 170), (31, 119, 180)  # RGB


def per_image_bars(rows, protocols):
    """Bars per image, blurred input beside the restored one, a panel for each protocol (as MADN's Figs. 7 and 8).

    Args:
      rows: per-image dicts of `runner.evaluate`; of more than 16, 16 evenly spaced ones are drawn.
      protocols: names of the columns.

    Returns:
      uint8 RGB [H, W, 3].
    """
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(_MOST, len(rows))).round().astype(int))]
    return np.concatenate([_panel(chosen, name) for name in protocols], axis=0)


def _panel(rows, protocol):
    import cv2

    def write(text, x, y, size=0.4):
        cv2.putText(picture, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)

    slot, height, base = 150, 300, 250  # pixels: width of an image's place, the panel's height, the bars' ground line
    picture = np.full((height, max(slot * len(rows), 450), 3), 255, np.uint8)
    write(f"{protocol}: grey = blurred, blue = restored", 8, 18, 0.5)
    pairs = [(row[f"blurred_{protocol}"], row[protocol]) for row in rows]
    finite = [value for pair in pairs for value in pair if np.isfinite(value)]
    top = max(finite, default=1.0)
    # Bars from zero would all look alike: the axis starts below the smallest, and says where.
    lowest = min(finite, default=0.0)
    bottom = max(lowest - 0.25 * (top - lowest), 0.0) - 1e-9
    for place, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
        for side, (value, colour) in enumerate(zip(pair, (_BLURRED, _RESTORED), strict=True)):
            share = (min(value, top) - bottom) / (top - bottom)
            x = place * slot + 15 + side * 60
            y = int(base - share * (base - 60))
            cv2.rectangle(picture, (x, y), (x + 50, base), colour, -1)
            write(f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}", x, y - 5)
        write(row["image"][-17:], place * slot + 8, base + 18)
    write(f"axis starts at {max(bottom, 0):.3g}", 8, base + 40)
    return picture
