"""Score the package's segmenter of nuclei on images it has never seen, beside what needs no training.

python -m benchmarks.nuclei_shipped --data DIR_OR_ZIP --out dlt/assets/nuclei_shipped_cpu.json

With --part validation it is for choosing; the test images are for once. Every method gets the same images, as
`dlt.data.nuclei_view` prepares them: the network in colour, the threshold in grey.
"""

import argparse
import json
import pathlib

import keras
import numpy as np
import skimage.filters

import dlt
from benchmarks._provenance import provenance
from dlt.predict.nuclei import CONFIDENCE, maps_of

MIN_AREA = 20  # pixels, as in `dlt.predict.nuclei`
NOTE = (
    "80 images of DSB-2018 stage 1, split by image, seed 0, each scored whole (predicted in tiles above 512 pixels). "
    "Dice is the mean over images, objects are matched above an IoU. The U-Net's objects of a mean probability below "
    "0.85 are left out, but where it says so; 0.85 and the watershed's step of 0.2 were chosen on validation images. "
    "Fluorescence: grey images, nuclei bright. `each` has every image's AP at 0.5."
)
STARDIST = {  # on images of its own, fluorescence only; as printed in one version of its tutorial
    "found": 2210,
    "missed": 333,
    "invented": 103,
    "source": "output of examples/2D/2_training.ipynb, https://github.com/stardist/stardist",
}


def is_fluorescence(image):
    """Return whether an image is grey, with nuclei brighter than the background."""
    return bool((image == image[..., :1]).all()) and np.median(image) <= 127


def otsu(image):
    """Return a mask by a threshold between the two heaps of grey levels."""
    view = dlt.data.nuclei_view(image)
    return view > skimage.filters.threshold_otsu(view)


def answers(model, images):
    """Return, for each method, its mask and its numbered nuclei of every image."""
    maps = [maps_of(image, model) for image in images]
    eight = [maps_of(image, model, ensemble=True) for image in images]
    masks = [map[..., :1] for map in maps]
    thresholded = [otsu(image) for image in images]
    methods = {
        "U-Net, seeded watershed": (maps, "watershed", CONFIDENCE),
        "seeded, eight views": (eight, "watershed", CONFIDENCE),
        "seeded, none left out": (maps, "watershed", 0.0),
        "U-Net, watershed of its mask": (masks, "watershed", CONFIDENCE),
        "U-Net, connected components": (masks, "connected", CONFIDENCE),
        "Otsu, watershed": (thresholded, "watershed", 0.0),
        "Otsu, connected components": (thresholded, "connected", 0.0),
    }
    return {
        name: [
            (one[..., :1], dlt.predict.objects(one, min_area=MIN_AREA, method=method, confidence=confidence))
            for one in given
        ]
        for name, (given, method, confidence) in methods.items()
    }


def scores(pairs, labels):
    """Return what the answers to some images are worth, as a dict that JSON can hold."""
    found = [objects for _, objects in pairs]
    precision = dlt.metrics.average_precision(labels, found)
    dice = [
        float(dlt.metrics.dice_coefficient((truth > 0)[None], mask[None])[0])
        for (mask, _), truth in zip(pairs, labels, strict=True)
    ]
    each = [dlt.metrics.object_scores(*pair).average_precision for pair in zip(labels, found, strict=True)]
    half = precision.scores[0]
    return {
        "dice": round(float(np.mean(dice)), 4),
        "objects": {"found": half.found, "missed": half.missed, "invented": half.invented},
        "merges": sum(dlt.metrics.merges(*pair) for pair in zip(labels, found, strict=True)),
        "splits": sum(dlt.metrics.merges(*pair) for pair in zip(found, labels, strict=True)),
        "iou": precision.iou,
        "pooled": [round(value, 4) for value in precision.pooled],
        "per_image": [round(value, 4) for value in precision.per_image],
        "each": [round(value, 3) for value in each],
    }


def main():
    """Score as the command line says, print a table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the nuclei; without it the archive is downloaded")
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument("--weights", default="nuclei", help="those of the package, or a file")
    parser.add_argument("--out", type=pathlib.Path, help="where to write")
    args = parser.parse_args()
    part = dlt.data.nuclei(args.data)[args.part]
    model = dlt.models.create_nuclei_segmenter("unet", pretrained=args.weights, dtype="float32")
    kind = np.array([is_fluorescence(image) for image in part.images])
    kinds = {"all": kind | True, "fluorescence": kind, "tissue and others": ~kind}
    result = {"images": {name: int(chosen.sum()) for name, chosen in kinds.items()}, "methods": {}}
    for method, pairs in answers(model, part.images).items():
        result["methods"][method] = {
            name: scores([pairs[i] for i in np.flatnonzero(chosen)], [part.labels[i] for i in np.flatnonzero(chosen)])
            for name, chosen in kinds.items()
        }
        for name, row in result["methods"][method].items():
            print(f"{method:30} {name:18}", {key: row[key] for key in ("dice", "objects", "merges", "splits")}, end=" ")
            print(f"AP50 {row['pooled'][0]} {row['per_image'][0]}, mean {np.mean(row['per_image']):.4f}", flush=True)
    if args.out:
        command = f"python -m benchmarks.nuclei_shipped --data DIR_OR_ZIP --part {args.part} --out {args.out}"
        result |= {"stardist": STARDIST, "parameters": dlt.measure.parameters(model).total}
        result["provenance"] = provenance(command, 0, NOTE)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    keras.config.disable_interactive_logging()
    main()
