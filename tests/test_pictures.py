"""Kind of picture by way of reading it: training and `predict` see the same, or both refuse."""

from __future__ import annotations

import functools
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

import kd_keras
from kd_keras import pictures
from kd_keras.jobs import read_picture

HEIGHT, WIDTH = 10, 16


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


def picture(mode="RGB", turned=False):
    """A smooth one, so that JPEG keeps to it, with every degree of transparency."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype="uint8")
    size = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
    smooth = PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC)
    return smooth if mode == "RGBA" else smooth.convert("RGB").convert(mode)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, colours, depth, key=None):
    """Write a PNG of any kind: colours 0 grey, 2 RGB, 4 grey and alpha, 6 RGB and alpha."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    values = np.random.default_rng(1).integers(0, 2**depth, (HEIGHT, WIDTH * channels))
    rows = b""
    for row in values:
        bits = "".join(format(value, f"0{depth}b") for value in row)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colours, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if key:
        parts.insert(1, (b"tRNS", b"".join(struct.pack(">H", v) for v in values[0, :channels])))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def saved(mode="RGB", turned=False, **options):
    return lambda path: picture(mode, turned).save(path, **options)


def oriented(code, **options):
    exif = PIL.Image.Exif()
    exif[0x0112] = code
    return saved(turned=code in (5, 6, 7, 8), exif=exif, **options)


def palette(path, **options):
    picture().quantize(16).save(path, **options)


KINDS = {
    **{f"{mode}.png": saved(mode) for mode in ("RGB", "L", "1", "LA", "RGBA")},
    **{f"{mode}.jpg": saved(mode, quality=90) for mode in ("RGB", "L", "CMYK")},
    "coarse.jpg": saved(quality=30, subsampling=2),
    "progressive.jpg": saved(progressive=True),
    **{f"turned_{code}.jpg": oriented(code) for code in (*range(1, 9), 9)},
    **{f"turned_{code}.png": oriented(code) for code in (3, 6)},
    "palette.png": palette,
    "palette_and_alpha.png": functools.partial(palette, transparency=bytes(range(0, 256, 16))),
    "palette_and_hole.png": functools.partial(palette, transparency=3),
    "grey_and_hole.png": functools.partial(png, colours=0, depth=8, key=True),
    "rgb_and_hole.png": functools.partial(png, colours=2, depth=8, key=True),
    **{
        f"depth_{colours}_{depth}.png": functools.partial(png, colours=colours, depth=depth)
        for colours, depths in {0: (1, 2, 4, 16), 2: (16,), 4: (8, 16), 6: (16,)}.items()
        for depth in depths
    },
    "animated.png": saved(save_all=True, append_images=[PIL.Image.new("RGB", (WIDTH, HEIGHT))]),
    "telephone.jpg": saved(format="MPO", save_all=True, append_images=[picture("L").rotate(180)]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class for each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, write in KINDS.items():
        for split in ("train", "validation", "test"):
            (folder / split / name).mkdir(parents=True)
            write(folder / split / name / name)
    return folder


def seen(folder, **options):
    splits = kd_keras.data.load(folder, **options)
    return {
        splits.info.class_names[label]: image
        for x, y in splits.test.as_numpy_iterator()
        for image, label in zip(x, y, strict=True)
    }


def test_training_and_predict_see_the_same_pixels_of_every_kind(folder):
    trained = seen(folder)
    assert set(trained) == set(KINDS)
    for name, image in trained.items():
        predicted = read_picture(folder / "test" / name / name, (HEIGHT, WIDTH, 3))
        np.testing.assert_array_equal(image, predicted, err_msg=name)


def test_they_do_when_the_size_changes_too(folder):
    for size in ((7, 5), (31, 40)):
        for name, image in seen(folder, image_size=size).items():
            predicted = read_picture(folder / "test" / name / name, (*size, 3))
            apart = np.abs(image.astype(int) - predicted)
            assert apart.max() <= 1, name


def test_they_see_what_is_right(folder):
    trained = seen(folder)
    rgb = np.asarray(picture())
    np.testing.assert_array_equal(trained["turned_9.jpg"], trained["turned_1.jpg"])
    turned = np.asarray(picture(turned=True))
    np.testing.assert_array_equal(trained["turned_3.png"], rgb[::-1, ::-1])
    np.testing.assert_array_equal(trained["turned_6.png"], np.rot90(turned, -1))
    np.testing.assert_array_equal(trained["animated.png"], rgb)
    rgba = np.asarray(picture("RGBA")).astype(float)
    on_black = np.round(rgba[..., :3] * rgba[..., 3:] / 255)
    np.testing.assert_array_equal(trained["RGBA.png"], on_black)


@pytest.mark.parametrize(("colours", "depth"), [(0, 2), (0, 4), (0, 16), (2, 16)])
def test_a_transparent_colour_that_pillow_does_not_know_is_refused_by_both(
    folder, tmp_path, colours, depth
):
    images = tmp_path / "images"
    for split in ("train", "test"):
        (images / split / "a").mkdir(parents=True)
        png(images / split / "a" / "key.png", colours, depth, key=True)
    said = rf"it is a PNG of {depth} bits a channel with a transparent colour. Convert it to 8 bits"
    with pytest.raises(ValueError, match=rf"key\.png': {said}"):
        kd_keras.data.load(images)
    with pytest.raises(ValueError, match=rf"{said}.*key\.png"):
        read_picture(images / "test" / "a" / "key.png", (8, 8, 3))


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP"])
def test_the_other_formats_are_read_by_their_content(tmp_path, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    picture().quantize(16).convert("RGB").save(tmp_path / "x.png", kind, **options)
    found = read_picture(tmp_path / "x.png", (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(found, picture().quantize(16).convert("RGB"))


def test_transparent_and_animated_gif_and_webp_are_their_first_frame_on_black(tmp_path):
    frames = [PIL.Image.new("RGBA", (4, 4), colour) for colour in ("#ff000080", "#00ff00ff")]
    frames[0].putpixel((0, 0), (255, 255, 255, 0))
    for name, expected in (("x.webp", [128, 0, 0]), ("x.gif", [255, 0, 0])):
        options = {"lossless": True} if name == "x.webp" else {"disposal": 2}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        pixels = read_picture(tmp_path / name, (4, 4, 3))
        assert pixels[0, 0].tolist() == [0, 0, 0]
        assert pixels[1, 1].tolist() == expected


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def test_a_format_that_starts_a_program_is_not_opened(tmp_path, monkeypatch):
    def started(*_, **__):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", started)
    (tmp_path / "photo.jpg").write_bytes(EPS)
    with pytest.raises(ValueError, match="must be a picture, such as PNG or JPEG"):
        read_picture(tmp_path / "photo.jpg", (8, 8, 3))


def test_only_the_listed_formats_are_tried(tmp_path):
    for kind in ("PPM", "TGA", "ICO", "PDF", "SGI", "PCX", "DIB", "JPEG2000", "TIFF"):
        try:
            picture().save(tmp_path / "x.png", kind)
        except (KeyError, OSError):
            continue  # not in this build of Pillow
        with pytest.raises(ValueError, match=r"must be a picture|it is TIFF. Convert it to PNG"):
            read_picture(tmp_path / "x.png", (8, 8, 3))


@pytest.mark.parametrize("side", [12_000, 40_000])
@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_refused_in_words_before_it_is_unpacked(
    tmp_path, side, monkeypatch
):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    monkeypatch.setattr("PIL.Image.Image.load", None)
    with pytest.raises(ValueError, match="more than 128,000,000 pixels. Make it smaller. Received"):
        read_picture(path, (8, 8, 3))


@pytest.mark.filterwarnings("error")
def test_a_large_photo_is_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)
    picture().save(tmp_path / "photo.png")
    assert WIDTH * HEIGHT > 100
    assert read_picture(tmp_path / "photo.png", (4, 4, 3)).shape == (4, 4, 3)


def test_only_exif_turns_a_picture(tmp_path):
    """Browsers do not look elsewhere."""
    picture().save(tmp_path / "x.jpg", xmp=b'<rdf tiff:Orientation="6"/>')
    assert b'tiff:Orientation="6"' in (tmp_path / "x.jpg").read_bytes()
    assert pictures.open_picture(tmp_path / "x.jpg").orientation == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_hide_whole_pixels(tmp_path):
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        picture().save(tmp_path / "x.jpg", exif=exif)
        assert pictures.open_picture(tmp_path / "x.jpg").orientation == 1
