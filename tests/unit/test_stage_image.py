from __future__ import annotations

import base64
import contextlib
import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.errors import UnknownStage
from app.stages.image import FORMATS, MOST_PIXELS, ImageFacts, image
from app.stages.registry import resolve
from app.stages.testing import make_page


def _file(format_: str, size: tuple[int, int] = (300, 200), mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(file, format_, **options)
    return file.getvalue()


def _facts(body: bytes) -> ImageFacts:
    return image(make_page(body, headers={"Content-Type": "image/any"}))


def _thumbnail(facts: ImageFacts) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(facts["thumbnail"]["base64"])))


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_that_browsers_show(format_: str) -> None:
    facts = _facts(_file(format_, (200, 100)))
    assert (facts["format"], facts["width"], facts["height"], facts["frames"]) == (format_, 200, 100, 1)
    thumbnail = _thumbnail(facts)
    assert thumbnail.size == (128, 64) == (facts["thumbnail"]["width"], facts["thumbnail"]["height"])
    assert thumbnail.format == facts["thumbnail"]["format"]
    pixel = thumbnail.convert("L").getpixel((64, 60))
    assert isinstance(pixel, int)
    assert 220 < pixel < 255, "a gradient from black above to white below"


def test_the_formats_are_all_there() -> None:
    assert set(FORMATS) == {"JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP"}


def test_what_is_transparent_stays_so() -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(clear, "PNG")
    facts = _facts(clear.getvalue())
    assert (facts["mode"], facts["thumbnail"]["format"]) == ("RGBA", "PNG")
    assert _thumbnail(facts).getpixel((5, 5)) == (255, 0, 0, 0)
    assert (facts["thumbnail"]["width"], facts["thumbnail"]["height"]) == (10, 10), "never scaled up"


def test_an_animation_is_its_first_frame() -> None:
    file = io.BytesIO()
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "green", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    facts = _facts(file.getvalue())
    assert (facts["frames"], facts["width"]) == (3, 50)
    assert _thumbnail(facts).convert("RGB").getpixel((5, 5)) == (254, 0, 0)


def test_a_jpeg_with_a_preview_behind_it_is_a_jpeg() -> None:
    file = io.BytesIO()
    photo = Image.new("RGB", (64, 48), "red")
    photo.save(file, "MPO", save_all=True, append_images=[photo])
    facts = _facts(file.getvalue())
    assert (facts["format"], facts["frames"], facts["width"]) == ("JPEG", 1, 64)


def test_the_cameras_orientation_is_heeded() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = _facts(_file("JPEG", (400, 100), exif=exif))
    assert (facts["width"], facts["height"]) == (100, 400)
    assert _thumbnail(facts).size == (32, 128)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGB", "RGBA"])
def test_modes(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (20, 10)).save(file, "PNG")
    facts = _facts(file.getvalue())
    assert facts["mode"] == mode
    assert _thumbnail(facts).size == (20, 10)


def test_cmyk() -> None:
    assert _facts(_file("JPEG", mode="CMYK"))["mode"] == "CMYK"


def _png(width: int, height: int) -> bytes:
    """A PNG whose head announces that size, and that holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no image of a known format"),
        (b"<html>", "no image of a known format"),
        (_file("ICO"), "no image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "no image of a known format"),
        (_png(MOST_PIXELS, 2), "100000000|pixels, more than the 50,000,000"),
        (_png(MOST_PIXELS // 1000, 1001), "pixels, more than the 50,000,000"),
        (_png(50_000, 50_000), "decompression bomb"),
        (_png(100, 100), "the image is broken"),
        (_file("JPEG")[:-200], "the image is broken: OSError: .*truncated"),
        (_file("PNG")[:200], "the image is broken"),
    ],
)
def test_what_is_no_image_is_said(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _facts(body)


_WHOLE = {format_: _file(format_, (40, 30)) for format_ in FORMATS}


@given(st.sampled_from(FORMATS), st.data())
def test_any_damage_is_a_value_error(format_: str, data: st.DataObject) -> None:
    body = bytearray(_WHOLE[format_])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))]
    with contextlib.suppress(ValueError):
        assert _facts(bytes(body))["width"] > 0


def test_another_size_by_argument() -> None:
    (stage,) = resolve(["image=32"])
    facts = stage.value_of(make_page(_file("PNG")), {})
    assert (stage.runs_in, facts["thumbnail"]["width"]) == ("thread", 32)
    for text in ("0", "1025", "-1", "x", "", "1e3", "९", "9" * 30):
        with pytest.raises(UnknownStage, match="pixels from 1 to 1024"):
            resolve([f"image={text}"])
