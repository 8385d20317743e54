#!/usr/bin/env python3
"""Writes pixels.npz: files of a drawn image, and the pixels that Pillow reads from them.

Needs Pillow and numpy. Run it in the folder of the golden file:

    python3 make.py

For each NAME below, NAME/file holds a file's bytes and NAME/pixels, [height, width, 3],
what Image.open and ImageOps.exif_transpose make of it in mode RGB.

    jpeg-WxH-S     JPEG of W x H pixels with the chroma subsampling S
    turned-N       JPEG whose EXIF orientation is N
    png-turned, webp-turned    the same of other formats, of orientation 6
    bmp, gif, tiff, webp, webp-lossless    other formats
    nearest/WxH    [H, W, 3]: the pixels of nearest/source, 64 x 48, scaled with the filter NEAREST
"""
import io

import numpy as np
from PIL import Image, ImageOps


def drawn(width, height):
    """Coloured waves, edges and noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    m = np.stack([127 + 120 * np.sin(x / 5 + y / 9), 127 + 120 * np.cos(x / 11 - y / 4), 255 * ((x // 6 + y // 5) % 2)], -1)
    m += np.random.default_rng(1).normal(0, 12, m.shape)
    m[height // 3:height // 2, width // 4:width // 2] = (250, 20, 30)
    return Image.fromarray(m.clip(0, 255).astype(np.uint8))


arrays = {}


def add(name, image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    arrays[name + "/file"] = np.frombuffer(out.getvalue(), np.uint8)
    out.seek(0)
    arrays[name + "/pixels"] = np.array(ImageOps.exif_transpose(Image.open(out)).convert("RGB"))


for width, height in [(64, 48), (33, 21), (17, 40), (6, 5), (5, 3), (4, 4), (3, 1), (1, 1)]:
    for s in ["4:4:4", "4:2:2", "4:2:0"]:
        add(f"jpeg-{width}x{height}-{s.replace(':', '')}", drawn(width, height), format="JPEG", quality=92, subsampling=s)
add("jpeg-progressive", drawn(33, 21), format="JPEG", quality=85, progressive=True)


def turned(n):
    exif = Image.Exif()
    exif[0x0112] = n
    return exif


for n in range(1, 9):
    add(f"turned-{n}", drawn(24, 16), format="JPEG", quality=95, subsampling="4:4:4", exif=turned(n))
add("png-turned", drawn(12, 8), format="PNG", exif=turned(6))
add("webp-turned", drawn(12, 8), format="WEBP", lossless=True, exif=turned(6))
picture = drawn(33, 21)
add("bmp", picture, format="BMP")
add("gif", picture.quantize(64), format="GIF")
add("tiff", picture, format="TIFF", compression="tiff_lzw")
add("webp", picture, format="WEBP", quality=90)
add("webp-lossless", picture, format="WEBP", lossless=True)
picture = drawn(64, 48)
arrays["nearest/source"] = np.array(picture)
for width, height in [(5, 3), (10, 9), (25, 15), (50, 45), (35, 21), (100, 75), (33, 47), (70, 250)]:
    arrays[f"nearest/{width}x{height}"] = np.array(picture.resize((width, height), Image.NEAREST))

np.savez_compressed("pixels.npz", **arrays)
