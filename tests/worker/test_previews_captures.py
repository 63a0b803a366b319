"""What can be shown: each kind of picture becomes what it looks like, and anything else is named."""

from __future__ import annotations

import gc
import sys
import weakref
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from headway.errors import UsageError
from headway.worker.previews.captures import MAX_TEXT_CHARS, capture
from headway.worker.previews.encoding import scaled
from headway.worker.previews.generator import PreviewGenerator
from headway.worker.previews.latents import FAMILIES, project
from tests.worker.pictures import Tensor, decoded, encoded, png_header


def drawn(picture: object, pixels: int = 256, **options: Any) -> Any:
    """The pixels that a preview of a picture is scaled from."""
    taken = capture(picture, pixels=pixels, rate_hz=options.get("rate"), latent=options.get("latent"))
    return np.asarray(taken.image(pixels))


@pytest.mark.parametrize("size", [(1024, 1024), (3000, 500), (100, 60), (256, 256), (7, 2000)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "I", "F", "I;16"])
def test_any_image_becomes_a_small_jpeg_of_its_shape(size: tuple[int, int], mode: str) -> None:
    preview = PreviewGenerator().generate(Image.new(mode, size), at=0, progress=0)
    image = decoded(preview.data)
    assert (image.format, max(image.size)) == ("JPEG", min(256, max(size)))
    assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.35, abs=1)
    assert (preview.facts.width, preview.facts.height) == image.size


def test_what_is_transparent_lies_on_white() -> None:
    assert scaled(Image.new("RGBA", (32, 32), (255, 0, 0, 0)), 32).getpixel((9, 9)) == (255, 255, 255)


def test_an_image_of_sixteen_bits_is_drawn_from_its_darkest_to_its_lightest() -> None:
    depth = Image.fromarray(np.linspace(500, 900, 64 * 64).reshape(64, 64).astype("uint16"))
    assert scaled(depth, 64).getextrema() == (0, 255)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((64, 48), (64, 48)),
        ((64, 48, 1), (64, 48)),
        ((64, 48, 3), (64, 48, 3)),
        ((64, 48, 4), (64, 48, 4)),
        ((3, 64, 48), (64, 48, 3)),
        ((1, 64, 48), (64, 48)),
        ((1, 64, 48, 3), (64, 48, 3)),
        ((2, 64, 48, 3), (64, 96, 3)),
        ((3, 64, 48, 3), (128, 96, 3)),
        ((9, 3, 64, 48), (128, 96, 3)),
        ((2000, 1600, 3), (286, 229, 3)),
        ((1024, 1024, 3), (256, 256, 3)),
    ],
)
def test_an_array_is_copied_so_that_the_job_may_go_on_writing(
    shape: tuple[int, ...], shown: tuple[int, ...]
) -> None:
    array = np.full(shape, 200, dtype="uint8")
    taken = capture(array, pixels=256)
    array[:] = 0
    image = np.asarray(taken.image(256))
    assert (image.shape, image.max()) == (shown, 200)


@pytest.mark.parametrize("picture", [np.s_[::2, ::2], np.s_[::-1], np.s_[:, :, ::-1]])
def test_a_view_of_an_array_is_drawn_as_it_is(picture: Any) -> None:
    whole = np.random.default_rng(1).integers(0, 255, (80, 60, 3), dtype="uint8")
    np.testing.assert_array_equal(drawn(whole[picture]), whole[picture])


@pytest.mark.parametrize(
    ("values", "shades"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([-0.02, 0.5, 1.3], [0, 128, 255]),
        ([-1.5, 0.0, 2.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([float("nan"), 0.5, float("inf")], [0, 128, 255]),
    ],
    ids=["0 to 1", "-1 to 1", "a little beyond", "far beyond", "0 to 255", "no numbers"],
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_range_of_floats_is_told_by_their_values(
    values: list[float], shades: list[int], dtype: str
) -> None:
    picture = np.array([values, values], dtype=dtype)
    np.testing.assert_allclose(drawn(picture)[0], shades, atol=1)


def test_a_mask_is_black_and_white() -> None:
    np.testing.assert_array_equal(drawn(np.eye(8, dtype=bool)), 255 * np.eye(8, dtype="uint8"))


@pytest.mark.parametrize("channels_first", [False, True], ids=["H, W, C", "C, H, W"])
@pytest.mark.parametrize("side", [1024, 2048])
def test_a_large_array_is_copied_with_fewer_rows_and_drawn_as_high_as_wide(
    side: int, channels_first: bool
) -> None:
    ramp = np.repeat(np.linspace(0.0, 1.0, side, dtype="float32")[:, None], side, axis=1)
    picture = np.stack([ramp, ramp.T, ramp * 0], axis=0 if channels_first else -1)
    taken = capture(picture, pixels=256)
    copied = taken._data  # type: ignore[union-attr]
    assert copied.nbytes < 0.7 * 256 * 256 * 12
    image = np.asarray(taken.image(256))  # type: ignore[union-attr]
    assert image.shape == (256, 256, 3), "as high as it is wide"
    falls, rises = image[:, 128, 0].astype(int), image[128, :, 1].astype(int)
    np.testing.assert_allclose(falls, rises, atol=3)
    whole = capture(picture, pixels=2048, is_final=True)
    assert np.asarray(whole.image(2048)).shape == (side, side, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "bool"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("side", [255, 256, 509, 512, 513, 514])
def test_a_copy_holds_what_the_slice_holds_and_nothing_beside_it(
    side: int, channels: int, dtype: str
) -> None:
    values = np.random.default_rng(side).integers(0, 2, (side, side, channels)).astype(dtype)
    for picture in (values, values[:, ::-1], values[::-1], np.asfortranarray(values), values[3:, 5:]):
        taken = capture(picture, pixels=256, is_final=True)  # with all rows
        step = max(1, max(picture.shape[:2]) // 256)
        np.testing.assert_array_equal(taken._data, picture[::step, ::step])  # type: ignore[union-attr]
    taken = capture(np.stack([values] * 2), pixels=256, is_final=True)
    step = max(1, 2 * side // 256)
    np.testing.assert_array_equal(taken._data[1], values[::step, ::step])  # type: ignore[union-attr]


def test_an_array_of_another_library_is_read_through_its_protocol() -> None:
    class Other:
        dtype = "float32"

        def __init__(self, values: Any) -> None:
            self.values, self.shape = values, values.shape

        def __getitem__(self, key: Any) -> Other:
            return Other(self.values[key])

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return self.values

    assert drawn(Other(np.ones((8, 6, 3), "float32"))).shape == (8, 6, 3)


class TestTensors:
    """By a stand-in: torch is not among what tests install."""

    @pytest.mark.parametrize("dtype", ["uint8", "bool", "float32", "float16", "bfloat16"])
    @pytest.mark.parametrize("shape", [(3, 64, 48), (1, 3, 64, 48), (1, 64, 48), (64, 48), (64, 48, 3)])
    @pytest.mark.parametrize("is_cuda", [False, True])
    def test_a_tensor_of_any_kind_and_device_is_drawn(
        self, dtype: str, shape: tuple[int, ...], is_cuda: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events = fake_cuda(monkeypatch)
        values = np.ones(shape, "float32" if dtype == "bfloat16" else dtype)
        image = drawn(Tensor(values, dtype, is_cuda=is_cuda, needs_grad=True))
        assert image.shape[:2] == (64, 48)
        assert image.max() == (1 if dtype == "uint8" else 255)
        assert events == (["recorded", "waited"] if is_cuda else [])

    def test_it_is_copied_thinned_at_once(self) -> None:
        tensor = Tensor(np.ones((3, 1024, 1024), "float32"))
        taken = capture(tensor, pixels=256)
        tensor.add_(-1.0)
        image = np.asarray(taken.image(256))
        assert (image.shape, image.min()) == ((256, 256, 3), 255)

    def test_channels_come_first_where_both_readings_fit(self) -> None:
        assert drawn(Tensor(np.ones((3, 64, 3), "float32"))).shape == (64, 3, 3)
        assert drawn(np.ones((3, 64, 3), "float32")).shape == (3, 64, 3)

    def test_four_channels_are_latents_where_values_are_below_zero(self) -> None:
        latents = np.random.default_rng(1).normal(size=(4, 8, 8)).astype("float32")
        assert drawn(Tensor(latents)).shape == (8, 8, 3)
        assert drawn(Tensor(abs(latents).clip(0, 1))).shape == (8, 8, 4)
        assert drawn(latents).shape == (8, 8, 3)

    def test_real_tensors_are_drawn_too(self) -> None:
        torch = pytest.importorskip("torch")
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            assert drawn(torch.ones((1, 3, 64, 48), dtype=dtype, requires_grad=True)).max() == 255


def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for torch's events; give what becomes of them."""
    happened: list[str] = []

    class Event:
        def record(self) -> None:
            happened.append("recorded")

        def synchronize(self) -> None:
            happened.append("waited")

    class Device:
        def __init__(self, device: str) -> None:
            self.device = device

        def __enter__(self) -> None:
            assert self.device == "cuda:0"

        def __exit__(self, *_: object) -> None:
            pass

    cuda = SimpleNamespace(Event=Event, device=Device)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    return happened


class TestLatents:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_each_family_has_three_colours_a_channel(self, family: str) -> None:
        channels = len(FAMILIES[family].factors)
        assert all(len(factors) == 3 for factors in FAMILIES[family].factors)
        middle = project(np.zeros((2, 2, channels), "float32"), family)
        assert middle.shape == (2, 2, 3)
        np.testing.assert_allclose(middle[0, 0], (np.array(FAMILIES[family].bias) + 1) / 2, atol=1e-6)

    def test_sdxl_is_as_it_was_published(self) -> None:
        latents = np.array([0.5, -1.0, 2.0, 0.25])
        red = 60 * 0.5 + -60 * -1.0 + 25 * 2.0 + -70 * 0.25 + 150
        assert 255 * project(latents, "sdxl")[0] == pytest.approx(red)

    @pytest.mark.parametrize(
        ("shape", "family", "shown"),
        [
            ((1, 4, 16, 12), None, (16, 12, 3)),
            ((1, 4, 16, 12), "sd1", (16, 12, 3)),
            ((16, 16, 12), None, (16, 12, 3)),
            ((1, 16, 16, 12), "sd3", (16, 12, 3)),
            ((1, 16, 1, 16, 12), "qwen", (16, 12, 3)),
            ((1, 16, 21, 16, 12), None, (32, 24, 3)),
            ((1, 21, 16, 16, 12), "wan", (32, 24, 3)),
            ((1, 4, 8, 16, 12), None, (32, 24, 3)),
            ((2, 4, 16, 12), "sdxl", (16, 24, 3)),
            ((1, 1_024, 64), None, (64, 64, 3)),
            ((1, 64, 64), None, (64, 64)),
            ((1, 64, 64), "flux", (16, 16, 3)),
        ],
    )
    @pytest.mark.parametrize("kind", [np.asarray, Tensor])
    def test_they_are_drawn_in_colour(
        self, shape: tuple[int, ...], family: str | None, shown: tuple[int, ...], kind: Any
    ) -> None:
        values = np.random.default_rng(1).normal(size=shape).astype("float32")
        assert drawn(kind(values), latent=family).shape == shown

    def test_packed_ones_lie_where_the_pipeline_puts_them(self) -> None:
        latents = np.random.default_rng(1).normal(size=(16, 6, 6)).astype("float32")
        # As diffusers packs them: (C, H/2, 2, W/2, 2) to (H/2, W/2, C, 2, 2).
        packed = latents.reshape(16, 3, 2, 3, 2).transpose(1, 3, 0, 2, 4).reshape(1, 9, 64)
        np.testing.assert_array_equal(drawn(packed, latent="flux"), drawn(latents, latent="flux"))

    def test_a_family_that_is_not_known_is_named(self) -> None:
        with pytest.raises(UsageError, match=r"one of sd1, sdxl, .*, got 'sd9'"):
            drawn(np.zeros((4, 8, 8), "float32"), latent="sd9")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_an_encoded_image_is_decoded(kind: str, wrap: Any) -> None:
    data = wrap(encoded(Image.new("RGB", (640, 480), (200, 30, 30)), kind))
    image = drawn(data)
    assert image.shape == (480, 640, 3)
    np.testing.assert_allclose(image[9, 9], (200, 30, 30), atol=6)


def test_a_large_jpeg_is_decoded_no_larger_than_is_needed() -> None:
    data = encoded(Image.new("RGB", (4096, 4096)), "JPEG")
    assert capture(data, pixels=256).image(256).size == (512, 512)


def test_a_figure_is_drawn_no_finer_than_its_lines_need() -> None:
    assert capture(Figure(figsize=(4, 3), dpi=100), pixels=2_048).image(2_048).size == (800, 600)


def test_a_figure_is_drawn_as_it_is_when_it_is_offered() -> None:
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot([1, 2, 3], color="red")
    taken = capture(figure, pixels=256)
    figure.clear()
    image = taken.image(256).convert("RGB")
    assert image.size == (512, 384)
    assert (255, 0, 0) in {colour for _, colour in image.getcolors(1 << 20)}


class TestAudio:
    RATE = 44_100
    TONE = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype("float32")

    @pytest.mark.parametrize(
        "sound",
        [
            TONE,
            TONE[:, None],
            np.stack([TONE, TONE]),
            np.stack([TONE, TONE], axis=1),
            np.stack([TONE] * 6),
            (32_767 * TONE).astype("int16"),
            TONE[:3],
            Tensor(TONE),
            Tensor(np.stack([TONE, TONE], axis=1), "bfloat16"),
        ],
        ids=["mono", "N x 1", "2 x N", "N x 2", "surround", "int16", "3 samples", "tensor", "bfloat16"],
    )
    def test_a_sound_is_drawn_as_waveform_and_spectrogram(self, sound: Any) -> None:
        image = drawn(sound, rate=self.RATE)
        assert image.shape == (384, 512, 3)
        assert image.max() > 200

    def test_a_tone_is_a_line_at_its_pitch_and_a_higher_one_is_above(self) -> None:
        def row(hertz: float) -> int:
            tone = np.sin(2 * np.pi * hertz * np.arange(self.RATE) / self.RATE)
            return int(drawn(tone, rate=self.RATE)[128:].sum(axis=(1, 2)).argmax())

        assert row(440) > row(1_000) > row(4_000)

    def test_a_quiet_one_has_a_low_waveform_and_silence_none(self) -> None:
        def lit(sound: Any) -> int:
            return int((drawn(sound, rate=self.RATE)[:128].max(axis=2) > 200).sum())

        assert lit(self.TONE) > 4 * lit(0.1 * self.TONE) > 4 * lit(0 * self.TONE) > 0

    def test_it_is_copied_in_bounded_size_however_long_it_is(self) -> None:
        sound = np.zeros((2, 60 * self.RATE), "float32")
        taken = capture(sound, pixels=256, rate_hz=self.RATE)
        assert taken._windows.nbytes == 2 * 512 * 1_024 * 4
        sound[:] = np.nan
        assert not taken.image(256).getextrema()[0][1] > 200
        assert not taken.has_nan

    def test_a_tensor_of_a_device_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        events = fake_cuda(monkeypatch)
        assert drawn(Tensor(self.TONE, is_cuda=True), rate=self.RATE).max() > 200
        assert events == ["recorded", "waited"]

    def test_what_is_no_number_is_silence(self) -> None:
        taken = capture(np.full(1_000, np.nan), pixels=256, rate_hz=8_000)
        taken.image(256)
        assert taken.has_nan

    @pytest.mark.parametrize(
        ("sound", "rate", "message"),
        [
            (np.zeros((9, 9), "float32"), 44_100, r"got float32 of shape \(9, 9\)"),
            (np.zeros(0, "float32"), 44_100, r"got float32 of shape \(0,\)"),
            (np.zeros(9, "int64"), 44_100, r"got int64 of shape \(9,\)"),
            ("la la", 44_100, "got str of shape"),
            (np.zeros(9, "float32"), 0, "expected rate= in samples a second, got 0"),
            (np.zeros(9, "float32"), "44k", "got '44k'"),
            (np.zeros(9, "float32"), True, "got True"),
        ],
    )
    def test_what_is_no_sound_is_named(self, sound: Any, rate: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            capture(sound, pixels=256, rate_hz=rate)


def test_of_a_text_the_end_is_shown() -> None:
    generator = PreviewGenerator()
    short = generator.generate("Es war einmal ein König – 王", at=0, progress=0)
    assert short.data.decode() == "Es war einmal ein König – 王"
    assert (short.facts.media_type, short.facts.width) == ("text/plain; charset=utf-8", None)
    long = generator.generate("a" * 5_000 + "Ende", at=0, progress=0, is_final=True)
    assert long.data.decode() == "…" + "a" * (MAX_TEXT_CHARS - 5) + "Ende"
    assert generator.generate("\ud800", at=0, progress=0).data == b"?", "what is no text is no error"


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((8, 8), dtype="int64"), r"got int64 of shape \(8, 8\)"),
        (np.zeros((8, 8), dtype="complex64"), r"got complex64 of shape \(8, 8\)"),
        (np.zeros((8, 8, 2), dtype="uint8"), r"got uint8 of shape \(8, 8, 2\)"),
        (np.zeros((2, 7, 8, 9, 9), dtype="float32"), r"of shape \(2, 7, 8, 9, 9\)"),
        (np.zeros((1,) * 6, dtype="float32"), r"of shape \(1, 1, 1, 1, 1, 1\)"),
        (np.zeros(8, dtype="uint8"), r"of shape \(8,\)"),
        (np.zeros((0, 8), dtype="uint8"), r"of shape \(0, 8\)"),
        (np.zeros((16, 8, 8), dtype="uint8"), "expected latents to be floats, got uint8"),
        (np.lib.stride_tricks.as_strided(np.zeros(1, "uint8"), (30_000, 30_000), (0, 0)), "30000, 30000"),
        (Image.new("1", (30_000, 2_200)), "expected a picture of 1 to 64,000,000 pixels, got 30000 x 2200"),
        (Image.new("L", (0, 5)), "got 0 x 5"),
        (png_header(30_000, 2_200), "expected a picture of 1 to 64,000,000 pixels, got 30000 x 2200"),
        (b"GIF89a", "expected the bytes of a PNG, JPEG or WebP image, or of a sound, got 6 bytes"),
        (object(), "got object"),
        (None, "got NoneType"),
        ([[1, 2], [3, 4]], "got list"),
        (SimpleNamespace(shape=(8, 8), dtype="float32"), "got SimpleNamespace"),
    ],
)
def test_what_cannot_be_shown_is_named(picture: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        PreviewGenerator().generate(picture, at=0, progress=0)


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ValueError, match=r"1 to 64,000,000 pixels, got 30000 x 30000"):
        PreviewGenerator().generate(png_header(30_000, 30_000), at=0, progress=0)


@pytest.mark.filterwarnings("error")
def test_a_picture_beyond_our_bound_and_within_pillows_is_refused_once() -> None:
    with pytest.raises(ValueError, match=r"got 10000 x 10000: [\d,]+ bytes"):
        PreviewGenerator().generate(png_header(10_000, 10_000), at=0, progress=0)


def test_a_photograph_that_was_held_upright_is_shown_upright() -> None:
    image, exif = Image.new("RGB", (128, 96)), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data = BytesIO()
    image.save(data, "JPEG", exif=exif)
    preview = PreviewGenerator().generate(data.getvalue(), at=0, progress=0)
    assert (preview.facts.width, preview.facts.height) == (96, 128)


@pytest.mark.parametrize("dtype", [">f4", ">f8", "float16"])
def test_floats_of_any_order_and_size_are_drawn(dtype: str) -> None:
    values = np.linspace(0.0, 1.0, 64 * 64).reshape(64, 64)
    np.testing.assert_allclose(drawn(values.astype(dtype)), (values * 255).round(), atol=1)


def test_a_masked_array_shows_what_lies_below() -> None:
    values = np.full((64, 64, 3), 0.5, "float32")
    masked = np.ma.masked_array(values, mask=values > 0.4)
    assert drawn(masked).min() == 128


@pytest.mark.parametrize("side", [256, 512, 768, 1024, 2048])
@pytest.mark.parametrize("kind", ["array", "jpeg"])
def test_a_preview_is_whole_only_where_nothing_of_the_picture_is_missing(side: int, kind: str) -> None:
    picture = np.zeros((side, side, 3), "uint8")
    generator = PreviewGenerator()
    generator.generate(
        picture if kind == "array" else encoded(Image.fromarray(picture), "JPEG"), at=0, progress=0
    )
    assert generator.is_whole == (side == 256)


@pytest.mark.parametrize(
    ("shape", "family", "message"),
    [((4, 8, 8), "flux", "16 channels for latent='flux', got float32 of"), ((8, 8), "sd1", "4 channels")],
)
def test_latents_of_another_family_are_named(shape: tuple[int, ...], family: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(np.zeros(shape, "float32"), latent=family)
    with pytest.raises(ValueError, match="of 4 channels"):
        project(np.zeros((2, 16), "float32"), "sd1")


def test_a_lie_about_the_shape_is_found_on_the_preview_thread() -> None:
    class Liar:
        shape, dtype = (8, 8), "float32"

        def __getitem__(self, key: Any) -> Any:
            return np.zeros(3)

        __array__ = None

    with pytest.raises(ValueError, match="got float32 of shape"):
        drawn(Liar())


class TestNewest:
    """What is only noted is shown at the end where it is still there, unchanged."""

    @staticmethod
    def noted(picture: object) -> Any:
        from headway.worker.previews.newest import Newest

        return Newest(picture, None, None)

    @pytest.mark.parametrize(
        "picture",
        [np.zeros((9, 9, 3)), np.zeros(500), Image.new("L", (9, 9)), "text", Tensor(np.zeros((3, 9, 9)))],
        ids=["array", "sound", "image", "text", "tensor"],
    )
    def test_what_is_unchanged_is_still_there(self, picture: Any) -> None:
        assert self.noted(picture).picture() is picture

    @pytest.mark.parametrize("shape", [(9, 9, 3), (500,), (1024, 1024), (3, 64, 64), (1, 3, 1024, 64)])
    def test_an_array_that_was_written_over_is_not(self, shape: tuple[int, ...]) -> None:
        array = np.zeros(shape)
        newest = self.noted(array)
        array += 1
        assert newest.picture() is None

    def test_a_tensor_that_was_written_over_or_freed_is_not(self) -> None:
        tensor = Tensor(np.zeros((3, 9, 9)))
        newest = self.noted(tensor)
        tensor.add_(1)
        assert newest.picture() is None
        newest = self.noted(tensor)
        del tensor
        gc.collect()
        assert newest.picture() is None

    def test_a_tensor_without_a_version_is_not_trusted(self) -> None:
        tensor = Tensor(np.zeros((3, 9, 9)))
        del tensor._version
        assert self.noted(tensor).picture() is None

    def test_a_small_array_is_kept_and_a_large_one_is_not(self) -> None:
        small, large = np.zeros((64, 64)), np.zeros((3_000, 3_000))
        kept, noted, view = self.noted(small), self.noted(large), self.noted(large[:9])
        freed = weakref.ref(large)
        del small, large
        gc.collect()
        assert kept.picture().shape == (64, 64)
        assert freed() is None
        assert (noted.picture(), view.picture()) == (None, None)

    def test_what_behaves_as_nothing_known_is_let_go(self) -> None:
        class Odd:
            __slots__ = ("nbytes", "shape", "strides")

        odd = Odd()
        odd.nbytes, odd.shape, odd.strides = 10**9, (1, 2), (2, 1)
        assert self.noted(odd).picture() is None
