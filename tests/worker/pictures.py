"""What previews are made of in tests, and a tensor that behaves as one of torch's."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def decoded(data: bytes) -> Image.Image:
    """Decode an image."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def encoded(image: Image.Image, kind: str) -> bytes:
    """Encode an image without loss worth naming."""
    buffer = BytesIO()
    image.save(buffer, kind, quality=95)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and nothing else."""
    whole = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    whole[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    whole[29:33] = zlib.crc32(bytes(whole[12:29])).to_bytes(4, "big")
    return bytes(whole)


class Tensor:
    """Behaves as a tensor of torch where previews ask it; no more than that."""

    def __init__(
        self, values: Any, dtype: str = "", *, is_cuda: bool = False, needs_grad: bool = False
    ) -> None:
        self.values = np.asarray(values)
        self.dtype = f"torch.{dtype or self.values.dtype.name}"
        self.is_cuda = is_cuda
        self.device = "cuda:0" if is_cuda else "cpu"
        self.needs_grad = needs_grad
        self._version = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def T(self) -> Tensor:
        return self._like(self.values.T)

    def _like(self, values: Any, **changes: Any) -> Tensor:
        named = {"dtype": self.dtype[6:], "is_cuda": self.is_cuda, "needs_grad": self.needs_grad}
        return Tensor(values, **named | changes)

    def __getitem__(self, key: Any) -> Tensor:
        return self._like(self.values[key])

    def reshape(self, *shape: int) -> Tensor:
        return self._like(self.values.reshape(*shape))

    def detach(self) -> Tensor:
        return self._like(self.values, needs_grad=False)

    def clone(self) -> Tensor:
        return self._like(self.values.copy())

    def float(self) -> Tensor:
        return self._like(self.values.astype("float32"), dtype="float32")

    def cpu(self) -> Tensor:
        return self._like(self.values, is_cuda=False)

    def to(self, device: str, *, non_blocking: bool) -> Tensor:
        assert non_blocking
        return self._like(self.values, is_cuda=device != "cpu")

    def numpy(self) -> Any:
        assert not self.is_cuda, "a tensor of a device has no array"
        assert not self.needs_grad, "a tensor that requires a gradient has no array"
        assert self.dtype != "torch.bfloat16", "numpy has no bfloat16"
        return self.values

    def add_(self, value: Any) -> Tensor:
        self.values += value
        self._version += 1
        return self
