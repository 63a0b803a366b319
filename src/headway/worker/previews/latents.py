"""Latents seen without their decoder: a linear projection of their channels to red, green and blue.

The figures are regressions of decoded pictures on latents that others have measured and published; they give
the picture's layout and colours at an eighth of its size, at no cost beside that of a decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from headway.errors import UsageError

if TYPE_CHECKING:
    import numpy as np


class LatentFamily(msgspec.Struct, frozen=True, kw_only=True):
    """How the latents of some models become colours from −1 to 1.

    Parameters
    ----------
    factors
        Red, green and blue of each channel.
    bias
        Of red, green and blue.
    """

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


# Stable Diffusion 1.x and 2.x: by @torridgristle after @erucipe and @keturn, as InvokeAI has them
# (invokeai/app/util/step_callback.py, Apache-2.0); the method is explained in
# https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204
_SD1 = LatentFamily(
    factors=(
        (0.3444, 0.1385, 0.0670),
        (0.1247, 0.4027, 0.1494),
        (-0.3192, 0.2513, 0.2103),
        (-0.1307, -0.1874, -0.7445),
    )
)
# Stable Diffusion XL: Timothy Alexis Vass, "Explaining the SDXL latent space"
# (https://huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space), also in the guide to
# callbacks of diffusers (Apache-2.0). There from 0 to 255: here divided by 127.5, and 1 taken from the bias.
_SDXL = LatentFamily(
    factors=(
        (60 / 127.5, 60 / 127.5, 60 / 127.5),
        (-60 / 127.5, -5 / 127.5, 10 / 127.5),
        (25 / 127.5, 15 / 127.5, -5 / 127.5),
        (-70 / 127.5, -50 / 127.5, -35 / 127.5),
    ),
    bias=(150 / 127.5 - 1, 140 / 127.5 - 1, 130 / 127.5 - 1),
)
# Stable Diffusion 3 and 3.5: InvokeAI (as above), by its scripts/generate_vae_linear_approximation.py.
_SD3 = LatentFamily(
    factors=(
        (-0.05240681, 0.03251581, 0.0749016),
        (-0.0580572, 0.00759826, 0.05729818),
        (0.16144888, 0.01270368, -0.03768577),
        (0.14418615, 0.08460266, 0.15941818),
        (0.04894035, 0.0056485, -0.06686988),
        (0.05187166, 0.19222395, 0.06261094),
        (0.1539433, 0.04818359, 0.07103094),
        (-0.08601796, 0.09013458, 0.10893912),
        (-0.12398469, -0.06766567, 0.0033688),
        (-0.0439737, 0.07825329, 0.02258823),
        (0.03101129, 0.06382551, 0.07753657),
        (-0.01315361, 0.08554491, -0.08772475),
        (0.06464487, 0.05914605, 0.13262741),
        (-0.07863674, -0.02261737, -0.12761454),
        (-0.09923835, -0.08010759, -0.06264447),
        (-0.03392309, -0.0804029, -0.06078822),
    )
)
# FLUX.1, whose autoencoder Z-Image has too: InvokeAI, as above.
_FLUX = LatentFamily(
    factors=(
        (-0.0412, 0.0149, 0.0521),
        (0.0056, 0.0291, 0.0768),
        (0.0342, -0.0681, -0.0427),
        (-0.0258, 0.0092, 0.0463),
        (0.0863, 0.0784, 0.0547),
        (-0.0017, 0.0402, 0.0158),
        (0.0501, 0.1058, 0.1152),
        (-0.0209, -0.0218, -0.0329),
        (-0.0314, 0.0083, 0.0896),
        (0.0851, 0.0665, -0.0472),
        (-0.0534, 0.0238, -0.0024),
        (0.0452, -0.0026, 0.0048),
        (0.0892, 0.0831, 0.0881),
        (-0.1117, -0.0304, -0.0789),
        (0.0027, -0.0479, -0.0043),
        (-0.1146, -0.0827, -0.0598),
    )
)
# Wan 2.1, whose latent space Qwen-Image shares: measured for ComfyUI (comfy/latent_formats.py, Wan21).
_WAN = LatentFamily(
    factors=(
        (-0.1299, -0.1692, 0.2932),
        (0.0671, 0.0406, 0.0442),
        (0.3568, 0.2548, 0.1747),
        (0.0372, 0.2344, 0.1420),
        (0.0313, 0.0189, -0.0328),
        (0.0296, -0.0956, -0.0665),
        (-0.3477, -0.4059, -0.2925),
        (0.0166, 0.1902, 0.1975),
        (-0.0412, 0.0267, -0.1364),
        (-0.1293, 0.0740, 0.1636),
        (0.0680, 0.3019, 0.1128),
        (0.0032, 0.0581, 0.0639),
        (-0.1251, 0.0927, 0.1699),
        (0.0060, -0.0633, 0.0005),
        (0.3477, 0.2275, 0.2950),
        (0.1984, 0.0913, 0.1861),
    ),
    bias=(-0.1835, -0.0868, -0.3360),
)

FAMILIES: dict[str, LatentFamily] = {
    "sd1": _SD1,
    "sdxl": _SDXL,
    "sd3": _SD3,
    "flux": _FLUX,
    "wan": _WAN,
    "qwen": _WAN,
}
# Which family latents are taken for that are given without one: the one in widest use of so many channels,
# and of video. AnimateDiff's frames are of Stable Diffusion 1.5.
DEFAULTS = {4: "sdxl", 16: "flux"}
FRAME_DEFAULTS = {4: "sd1", 16: "wan"}
LATENT_CHANNELS = frozenset(DEFAULTS)


def check_family(name: str) -> str:
    """Return the name of a family.

    Raises
    ------
    UsageError
        When it is not one.
    """
    if name not in FAMILIES:
        raise UsageError(f"expected latent to be one of {', '.join(FAMILIES)}, got {name!r}")
    return name


def project(latents: np.ndarray[Any, Any], family: str) -> np.ndarray[Any, Any]:
    """Turn latents into colours.

    Parameters
    ----------
    latents
        Floats of shape ``(..., channels)``.
    family
        One of `FAMILIES`.

    Returns
    -------
    array
        Floats of shape ``(..., 3)``; 0 is black, 1 is white, and what is beyond is to be cut.

    Raises
    ------
    ValueError
        When the family has another number of channels.
    """
    import numpy as np

    known = FAMILIES[family]
    if latents.shape[-1] != len(known.factors):
        raise ValueError(
            f"expected latents of {len(known.factors)} channels for latent={family!r}, "
            f"got {latents.shape[-1]}"
        )
    colours: np.ndarray[Any, Any] = latents @ np.asarray(known.factors, latents.dtype)
    colours += np.asarray(known.bias, latents.dtype) + 1.0
    colours /= 2.0
    return colours
