"""Arrays and tensors as pictures: thinned and copied in the caller, made an image on the preview thread.

What is shown must be copied at once, because a loop may write over it in its next step; so the copy is
thinned to little more than the preview's size, and everything else waits. No array library is imported for
it: whatever can be sliced and says its shape and dtype will do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.worker.previews import latents
from headway.worker.previews.tensors import is_torch, to_host

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Larger pictures are a mistake more often than a picture, and take seconds: twice a 48 Mpixel photograph
# would not be drawn as a preview either.
MAX_PIXELS = 64_000_000
# A copy keeps a pixel for each of the preview's, along each side. Where that reads more than so much of the
# memory, whose cache lines of 64 bytes are read whole, it keeps two thirds of the rows: of a 1024 × 1024 × 3
# float array that is in no cache, a copy then takes 0.5 ms for 0.75.
COPY_BYTES = 2_000_000
LINE_BYTES = 64
FEWER_ROWS = 1.5
# Values of these sizes are copied by loops of their own. A pixel of 3 floats, 12 bytes, goes as one of 16,
# with what follows it, and the copy takes 0.3 ms for 0.5.
COPIED_BYTES = (1, 2, 4, 8, 16)
# Of a batch, or of a video's frames, so many are shown, as a grid.
MAX_TILES = 4
CHANNELS = frozenset({1, 3, 4})
# Diffusers' FLUX and Qwen pipelines keep latents as tokens, 2 × 2 positions of 16 channels each.
PACKED_CHANNELS = 64
# Those of 512 × 512 pixels; fewer rows of 64 are taken for a small picture, unless the family is named.
MIN_TOKENS = 1_024
# A picture from 0 to 1 that was scaled with a smooth filter may be a little below 0.
UNDERSHOOT = 0.05
# Floats as large are meant from 0 to 255: no picture from 0 to 1 is that bright.
BYTES_FROM = 16.0

EXPECTED = (
    "expected a PIL image, PNG, JPEG or WebP bytes, a matplotlib figure, text, audio with rate=, an array "
    "of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a tensor of shape (C, H, W) or (1, C, H, W), of "
    "uint8, bool or floats from 0 to 1 or from -1 to 1, or latents of 4 or 16 channels"
)


class ArrayCapture:
    """A thinned copy of an array, with the meaning of its axes.

    Parameters
    ----------
    data
        The copy, in the main memory.
    axes
        A letter an axis: ``N`` a batch, ``T`` frames, ``C`` channels, ``H``, ``W``, or ``L`` tokens.
    stretch
        How many times as high as the copy the picture is to be: where rows were thinned more than columns.
    is_reduced
        Whether the copy is thinned at all.
    wait
        Waits until the copy is there, where it comes from a device.
    family
        Of latents, where it was given.
    said
        Shape and dtype of what came, for a warning.
    """

    def __init__(
        self,
        data: Any,
        axes: str,
        *,
        stretch: float,
        is_reduced: bool,
        wait: Callable[[], object] | None,
        family: str | None,
        said: str,
    ) -> None:
        self._data = data
        self._axes = axes
        self._stretch = stretch
        self._wait = wait
        self._family = family
        self.said = said
        self.has_nan = False
        self.is_reduced = is_reduced

    def image(self, pixels: int) -> Image.Image:
        """Make an image of it; runs on the preview thread."""
        import numpy as np
        from PIL import Image

        if self._wait is not None:
            self._wait()
        values = np.asarray(self._data)
        if values.dtype == object or values.ndim != len(self._axes):
            raise ValueError(f"{EXPECTED}, got {self.said}")
        tiles = _tiles(values, self._axes)
        if tiles.dtype.kind not in "ub":  # floats, bfloat16 among them, which numpy does not know as one
            tiles = self._finite(tiles)
        colours = self._colours(tiles)
        image = Image.fromarray(_grid(_bytes(colours)))
        if self._stretch == 1.0:
            return image
        height = round(image.height * self._stretch)
        return image.resize((image.width, height), Image.Resampling.BICUBIC)

    def _finite(self, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        tiles = tiles.astype(np.float32, copy=False)
        self.has_nan = not np.isfinite(tiles).all()
        return np.nan_to_num(tiles, nan=0.0, posinf=1.0, neginf=0.0) if self.has_nan else tiles

    def _colours(self, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Project latents; of 4 channels, first in the tensor, they are told from RGBA by values below 0."""
        channels = tiles.shape[-1]
        is_first = self._axes.find("C") < self._axes.find("H")
        is_latent = (
            self._family is not None
            or channels not in CHANNELS
            or (channels == 4 and is_first and tiles.dtype.kind == "f" and float(tiles.min()) < -UNDERSHOOT)
        )
        if not is_latent:
            return tiles
        if tiles.dtype.kind != "f":
            raise ValueError(f"expected latents to be floats, got {self.said}")
        defaults = latents.FRAME_DEFAULTS if "T" in self._axes else latents.DEFAULTS
        return latents.project(tiles, self._family or defaults[channels]).clip(0.0, 1.0)


def capture(array: Any, *, pixels: int, family: str | None, is_final: bool = False) -> ArrayCapture:
    """Take a thinned copy of an array or a tensor.

    Parameters
    ----------
    array
        Of numpy, torch, or whatever has a shape, a dtype and numpy's protocols.
    pixels
        The longer side of the picture that is to be made of it.
    family
        The latents' family; ``None`` to tell by the shape.
    is_final
        Whether it may take its time: a copy in between keeps fewer rows of what is large.

    Raises
    ------
    ValueError
        When no picture can be made of its shape or dtype; the message names them.
    """
    is_tensor = is_torch(array)
    how = _plan(tuple(array.shape), array.dtype, pixels, family, channels_first=is_tensor, is_final=is_final)
    if is_tensor:
        data, wait = to_host(array[how.slices])
    else:
        data, wait = _copied(array, how.slices), None
    return ArrayCapture(
        data,
        how.axes,
        stretch=how.stretch,
        is_reduced=how.is_reduced,
        wait=wait,
        family=family,
        said=how.said,
    )


class _Plan(NamedTuple):
    """How arrays of one shape and dtype are copied."""

    axes: str
    slices: tuple[slice, ...]
    stretch: float
    is_reduced: bool
    said: str


# A loop offers the same again and again, and in no cache a dtype's name alone takes 70 µs.
@lru_cache(maxsize=64)
def _plan(
    shape: tuple[int, ...],
    dtype: Any,
    pixels: int,
    family: str | None,
    *,
    channels_first: bool,
    is_final: bool,
) -> _Plan:
    if family is not None:
        latents.check_family(family)
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]  # torch's have none
    said = f"{name} of shape {tuple(int(length) for length in shape)}"
    if not (name.startswith(("float", "bfloat")) or name in ("uint8", "bool")):
        raise ValueError(f"{EXPECTED}, got {said}")
    axes = find_axes(shape, channels_first=channels_first or family is not None, family=family)
    if axes is None and family is not None:
        channels = len(latents.FAMILIES[family].factors)
        raise ValueError(f"expected latents of {channels} channels for latent={family!r}, got {said}")
    if axes is None or 0 in shape:
        raise ValueError(f"{EXPECTED}, got {said}")
    sides = dict(zip(axes, shape, strict=True))
    if sides.get("H", 1) * sides.get("W", 1) > MAX_PIXELS:
        raise ValueError(f"expected a picture of at most {MAX_PIXELS:,} pixels, got {said}")
    row_step, column_step = _steps(sides, pixels, None if is_final else getattr(dtype, "itemsize", 4))
    return _Plan(
        axes,
        _thinning(sides, row_step, column_step),
        stretch=row_step / column_step,
        is_reduced=row_step > 1,
        said=said,
    )


def find_axes(shape: tuple[int, ...], *, channels_first: bool, family: str | None = None) -> str | None:
    """Tell what the axes of a shape are, ``None`` where nothing fits.

    Where both readings fit, the library's habit decides: channels come last in numpy and first in torch.
    """
    if len(shape) == 2:
        return "HW" if family is None else None
    wanted = {len(latents.FAMILIES[family].factors)} if family else CHANNELS | latents.LATENT_CHANNELS
    side = round(shape[-2] ** 0.5) if len(shape) == 3 else 0
    is_packed = len(shape) == 3 and shape[-1] == PACKED_CHANNELS and side * side == shape[-2]
    is_plain = family is None and (shape[0] != 1 or shape[-2] < MIN_TOKENS)
    if is_packed and not is_plain and 16 in wanted:
        return "NLC"
    if len(shape) == 5:
        return next((axes for axes, at in (("NCTHW", 1), ("NTCHW", 2)) if shape[at] in wanted), None)
    if len(shape) not in (3, 4):
        return None
    batch = "N" * (len(shape) - 3)
    is_last = shape[-1] in CHANNELS and family is None
    is_first = shape[-3] in wanted
    if is_first and (channels_first or not is_last):
        return batch + "CHW"
    return batch + "HWC" if is_last else None


def _steps(sides: dict[str, int], pixels: int, item_bytes: int | None) -> tuple[int, int]:
    """Tell how far apart the rows and columns are that a copy keeps; with an item's bytes, of a cheap one."""
    tiles = min(MAX_TILES, sides.get("N", 1) * sides.get("T", 1))
    rows, columns, channels = sides.get("H", 1), sides.get("W", 1), sides.get("C", 1)
    step = max(1, int(max(rows, columns) * (2 if tiles > 1 else 1) / pixels))
    if item_bytes is None:
        return step, step
    is_last = next(reversed(sides)) == "C"
    pixel_bytes = item_bytes * (channels if is_last else 1)
    row_bytes = min(columns * pixel_bytes, columns // step * (LINE_BYTES + pixel_bytes))
    planes = tiles * (1 if is_last else channels)
    is_dear = planes * (rows // step) * row_bytes > COPY_BYTES
    return int(FEWER_ROWS * step) if is_dear else step, step


def _thinning(sides: dict[str, int], row_step: int, column_step: int) -> tuple[slice, ...]:
    frames = -(-sides.get("T", 1) // MAX_TILES)
    how = {
        "N": slice(0, MAX_TILES if "T" not in sides else 1),
        "T": slice(None, None, frames),
        "H": slice(None, None, row_step),
        "W": slice(None, None, column_step),
    }
    return tuple(how.get(axis, slice(None)) for axis in sides)


def _copied(array: Any, slices: tuple[slice, ...]) -> Any:
    """Copy a slice of a numpy array, pixels as wholes where they lie together."""
    import numpy as np

    if type(array) is not np.ndarray:  # a masked one shows what lies below its mask
        return np.array(array[slices])
    view = array[slices]
    channels, pixel_bytes = view.shape[-1], view.itemsize * view.shape[-1]
    if view.ndim < 3 or channels not in CHANNELS or view.strides[-1] != view.itemsize:
        return view.copy()
    wide = next((size for size in COPIED_BYTES if size >= pixel_bytes), pixel_bytes)
    if wide % view.itemsize == 0:
        with suppress(ValueError):  # what follows the last pixel is not the array's
            wholes = np.ndarray(view.shape[:-1], f"V{wide}", array, 0, view.strides[:-1])
            return wholes.copy()[..., None].view(view.dtype)[..., :channels]
    return view.copy()


def _tiles(values: np.ndarray[Any, Any], axes: str) -> np.ndarray[Any, Any]:
    """Bring an array into the shape (tiles, H, W, C)."""
    if axes == "NLC":
        count, tokens, _ = values.shape
        side = round(tokens**0.5)
        values = values.reshape(count, side, side, PACKED_CHANNELS // 4, 2, 2)
        values = values.transpose(0, 1, 4, 2, 5, 3)
        return values.reshape(count, 2 * side, 2 * side, PACKED_CHANNELS // 4)
    letters = axes
    for missing in "NTC":
        if missing not in letters:
            values, letters = values[..., None], letters + missing
    values = values.transpose([letters.index(axis) for axis in "NTHWC"])
    return values.reshape(-1, *values.shape[2:])[:MAX_TILES]


def _bytes(tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Turn whatever range the values have into 0 to 255."""
    import numpy as np

    if tiles.dtype == np.uint8:
        return tiles
    if tiles.dtype == np.bool_:
        return tiles.astype(np.uint8) * 255
    colours = tiles
    if colours.shape[-1] == 4:
        colours = colours[..., :3]  # what is opaque says nothing of the range
    least, most = float(colours.min()), float(colours.max())
    if least < -UNDERSHOOT and most <= BYTES_FROM:
        tiles = tiles.copy()
        tiles[..., :3] = (tiles[..., :3] + 1.0) / 2.0
    scale = 1.0 if most > BYTES_FROM else 255.0
    return (tiles * scale + 0.5).clip(0.0, 255.0).astype(np.uint8)


def _grid(tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Lay pictures side by side, two in a row, and drop a lone channel."""
    import numpy as np

    count = len(tiles)
    if count > 2 and count % 2:
        tiles = np.concatenate([tiles, np.zeros_like(tiles[:1])])
    if count > 1:
        rows = [np.concatenate(list(tiles[i : i + 2]), axis=1) for i in range(0, len(tiles), 2)]
        picture = np.concatenate(rows, axis=0)
    else:
        picture = tiles[0]
    return np.ascontiguousarray(picture[:, :, 0] if picture.shape[-1] == 1 else picture)
