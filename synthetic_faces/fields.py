"""Arithmetic on fields: arrays with a number per pixel."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[Any]  # float32, (H, W); NumPy's stubs would have it float64 after every product with a number
Colour = tuple[float, float, float]  # linear red, green, blue
Box = tuple[slice, slice]  # rows and columns


def clamp(field: Field) -> Field:
    """Limited to 0..1."""
    return np.minimum(np.maximum(field, 0.0), 1.0)


def smoothstep(low: Field | float, high: Field | float, field: Field) -> Field:
    """0 below `low`, 1 above `high`, a smooth cubic between them."""
    t = clamp((field - low) / (high - low))
    return t * t * (3.0 - 2.0 * t)


def bump(x: Field, y: Field, *, at: tuple[float, float], radii: tuple[float, float]) -> Field:
    """A smooth hill of height 1 on an ellipse, 0 outside it."""
    across, down = (x - at[0]) / radii[0], (y - at[1]) / radii[1]
    inside = np.maximum(1.0 - across * across - down * down, 0.0)
    return inside * inside


def ridge(offset: Field) -> Field:
    """A smooth hill of height 1 where the offset is 0, 0 from -1 and 1 on."""
    inside = np.maximum(1.0 - offset * offset, 0.0)
    return inside * inside


def wave(phase: Field) -> Field:
    """A sine of period 1, by parabolas."""
    turn = phase - np.floor(phase) - 0.5
    return 16.0 * turn * (np.abs(turn) - 0.5)


def mix(first: Field | float, second: Field | float, share: Field | float) -> Field:
    """The first where the share is 0, the second where it is 1."""
    return cast("Field", first + (second - first) * share)


def coloured(colour: Colour, field: Field | float) -> Field:
    """A colour (3,) times a field (H, W): (3, H, W)."""
    return np.array(colour, np.float32)[:, None, None] * np.asarray(field, np.float32)


def sample(table: Field, down: Field, across: Field) -> Field:
    """Reads a table (H, W) at fractional places, linearly; it repeats without end. Its sides are powers of two."""
    height, width = table.shape
    row, column = np.floor(down), np.floor(across)
    below, right = down - row, across - column
    row_0, column_0 = row.astype(np.int32) & (height - 1), column.astype(np.int32) & (width - 1)
    row_1, column_1 = (row_0 + 1 & (height - 1)) * width, column_0 + 1 & (width - 1)
    row_0 = row_0 * width
    flat = table.ravel()
    top = mix(flat.take(row_0 + column_0), flat.take(row_0 + column_1), right)
    bottom = mix(flat.take(row_1 + column_0), flat.take(row_1 + column_1), right)
    return mix(top, bottom, below)


def enlarged(field: Field, *, height: int, width: int) -> Field:
    """A coarse field (h, w) as a smooth one (height, width)."""
    return np.asarray(Image.fromarray(field).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def grain(table: Field, down: Field, across: Field) -> Field:
    """Like `sample`, but takes the nearest entry: for texture finer than pixels."""
    height, width = table.shape
    row, column = down.astype(np.int32) & (height - 1), across.astype(np.int32) & (width - 1)
    found: Field = table.ravel().take(row * width + column)
    return found


def window(within: NDArray[np.bool_]) -> Box | None:
    """The smallest box around the pixels that are within; None where there is none."""
    rows, columns = np.flatnonzero(within.any(axis=1)), np.flatnonzero(within.any(axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def softened(table: Field) -> Field:
    """Each place the mean of itself and its neighbours above, below, left and right, without edges."""
    neighbours = np.roll(table, 1, 0) + np.roll(table, -1, 0) + np.roll(table, 1, 1) + np.roll(table, -1, 1)
    mean: Field = (table + neighbours) * 0.2
    return mean
