"""Training pictures: reads them from folders, .zip files of pictures, or CIFAR-10's binary batches, and crops them."""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SUFFIXES = (".webp", ".png")
# Sizes of photographs as divisors of their sides, and the weight with which each is drawn.
SIZES = ((1, 2), (2, 1), (4, 1))


# CIFAR-10's test split, on which results are reported.
TEST_BATCH = "test_batch.bin"


def read_pictures(sources):
    """One uint8 [height, width, 3] each, sorted by name: the same for any order and grouping of the sources."""
    found, places = {}, {}
    for source in map(Path, sources):
        for place, name, data in entries(source):
            if found.setdefault(name, data) != data:
                raise SystemExit(f"--data: {places[name]} and {place} have the same name and other bytes. Rename one of them.")
            places.setdefault(name, place)
    if not found:
        raise SystemExit(f"--data: no pictures ({', '.join(SUFFIXES)}, .zip, .bin) in {', '.join(map(str, sources))}")
    names = sorted(found)
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(decode, [found[name] for name in names if not name.endswith(".bin")]))
    return pictures + [x for name in names if name.endswith(".bin") for x in cifar(found[name])]


def entries(source):
    """Place, name and bytes of each file of a source."""
    if not source.is_dir():
        if source.name == TEST_BATCH:
            raise SystemExit(f"--data: {source} is CIFAR-10's test split, on which results are reported. Leave it out.")
        yield from packed(source) if source.suffix == ".zip" else [(source, source.name, source.read_bytes())]
        return
    for file in sorted(f for f in source.iterdir() if f.suffix in SUFFIXES + (".zip", ".bin")):
        if file.name == TEST_BATCH:
            print(f"{file}: left out, results are reported on it", flush=True)
        else:
            yield from entries(file)


def packed(file):
    with zipfile.ZipFile(file) as pack:
        for name in pack.namelist():
            if name.endswith(SUFFIXES):
                yield f"{name} in {file}", name, pack.read(name)


def decode(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def cifar(data):
    """Reads records of a label and three planes of 32x32."""
    planes = np.frombuffer(data, np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1)


def smaller(picture, divisor):
    """Means of squares with sides of `divisor` pixels, rounded."""
    height, width = picture.shape[0] // divisor, picture.shape[1] // divisor
    squares = picture[: height * divisor, : width * divisor].reshape(height, divisor, width, divisor, 3)
    return squares.astype(np.float32).mean((1, 3)).round().astype(np.uint8)


class Crops:
    """Draws crops from one array that holds all pixels on the device."""

    def __init__(self, pictures, side, device, sizes=SIZES):
        pixels, places, chances, at = [], [], [], 0
        for picture in pictures:
            for divisor, chance in sizes:
                if min(picture.shape[:2]) // divisor < side:
                    continue
                sized = smaller(picture, divisor) if divisor > 1 else picture
                height, width = sized.shape[:2]
                pixels.append(sized.reshape(-1, 3))
                places.append((at, height, width))
                chances.append(chance)
                at += height * width
        if not places:
            raise SystemExit(f"--data: no picture is {side} pixels high and wide")
        self.pixels = torch.from_numpy(np.concatenate(pixels)).to(device)
        self.places, self.chances = np.array(places), np.array(chances) / sum(chances)

    def draw(self, n, side, rng):
        """n crops [n, 3, side, side] in -1..1, channels last in memory, half of them mirrored."""
        at, height, width = self.places[rng.choice(len(self.places), n, p=self.chances)].T
        top = (rng.random(n) * (height - side + 1)).astype(np.int64)
        left = (rng.random(n) * (width - side + 1)).astype(np.int64)
        columns = np.where(rng.random(n)[:, None] < 0.5, np.arange(side)[::-1], np.arange(side))
        rows = (at + top * width + left)[:, None] + np.arange(side) * width[:, None]
        index = torch.from_numpy(rows[:, :, None] + columns[:, None, :]).to(self.pixels.device)
        return self.pixels[index].permute(0, 3, 1, 2).float() / 127.5 - 1
