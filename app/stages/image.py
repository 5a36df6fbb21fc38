"""`image`: what kind of image the body is, its size, and a thumbnail. `image=SIZE` for one of another size.

The law: nothing is decoded before its size is known to be bearable. Only formats that pages show are tried: some of
Pillow's others start programs, or (ICO) hold an image of another size than they say. In a thread: Pillow releases the
GIL while it decodes and scales.
"""

from __future__ import annotations

import base64
import importlib
import io
from typing import TypedDict

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from app.fetching.page import Page
from app.stages.base import stage

# Pillow's own way is to import its modules, all of them, when the first image is opened: not while pages are worked on.
_MODULES = {"JPEG": "Jpeg", "PNG": "Png", "GIF": "Gif", "WEBP": "WebP", "AVIF": "Avif", "BMP": "Bmp"}
for _module in (*_MODULES.values(), "Mpo"):
    importlib.import_module(f"PIL.{_module}ImagePlugin")

FORMATS = tuple(_MODULES)

# 200 MB when decoded, at four bytes each.
MOST_PIXELS = 50_000_000

THUMBNAIL_PIXELS = 128
_LARGEST_THUMBNAIL = 1024
_JPEG_QUALITY = 75


class Thumbnail(TypedDict):
    """format: "JPEG", or "PNG" for what is partly transparent. base64: the file."""

    format: str
    width: int
    height: int
    base64: str


class ImageFacts(TypedDict):
    """width, height: in pixels, as shown, that is after the camera's orientation. frames: 1 unless it is animated."""

    format: str
    width: int
    height: int
    mode: str
    frames: int
    thumbnail: Thumbnail


def _pixels(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LARGEST_THUMBNAIL or len(text) > 9:
        raise ValueError(f"the thumbnail's longer side is a number of pixels from 1 to {_LARGEST_THUMBNAIL}")
    return int(text)


@stage(runs_in="thread", timeout_s=30.0, argument=_pixels)
def image(page: Page, *, argument: int = THUMBNAIL_PIXELS) -> ImageFacts:
    """Format, width, height, mode and frames of the image that the body is, and a thumbnail of 128 pixels in base64.

    Raises ValueError for a body that is no image of a known format, is broken, or has more than MOST_PIXELS pixels.
    """
    try:
        with Image.open(io.BytesIO(page.body), formats=FORMATS) as opened:
            return _facts(opened, argument)
    except UnidentifiedImageError:
        raise ValueError(f"the body is no image of a known format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise
    except Exception as error:
        # Pillow's readers raise a dozen types on files that are not whole, or made to mislead them.
        raise ValueError(f"the image is broken: {type(error).__name__}: {error}") from error


def _facts(opened: Image.Image, longer_side: int) -> ImageFacts:
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"the image has {width} x {height} pixels, more than the {MOST_PIXELS:,} that are decoded")
    format_, mode, frames = opened.format or "", opened.mode, int(getattr(opened, "n_frames", 1))
    if format_ == "MPO":  # what many cameras write: a JPEG with others (a preview, a depth map) behind it
        format_, frames = "JPEG", 1
    if opened.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8):  # turned by a quarter
        width, height = height, width
    # Of a JPEG no more is decoded than the size needs.
    opened.thumbnail((longer_side, longer_side))
    return {
        "format": format_,
        "width": width,
        "height": height,
        "mode": mode,
        "frames": frames,
        "thumbnail": _thumbnail(ImageOps.exif_transpose(opened)),
    }


def _thumbnail(small: Image.Image) -> Thumbnail:
    is_clear = small.has_transparency_data
    small = small.convert("RGBA" if is_clear else "RGB")
    file = io.BytesIO()
    if is_clear:
        small.save(file, "PNG")
    else:
        small.save(file, "JPEG", quality=_JPEG_QUALITY)
    return {
        "format": "PNG" if is_clear else "JPEG",
        "width": small.width,
        "height": small.height,
        "base64": base64.b64encode(file.getvalue()).decode("ascii"),
    }
