"""What the settings of `dlt.predict.nuclei` were chosen by: scores on validation images for each of them.

python -m benchmarks.nuclei_choice --data DIR_OR_ZIP --out dlt/assets/nuclei_choice_cpu.json
"""

import argparse
import itertools
import json
import pathlib
import sys

import keras

import dlt
from benchmarks._provenance import provenance
from benchmarks.nuclei_shipped import MIN_AREA
from dlt.predict.nuclei import CONFIDENCE, maps_of

CONFIDENCES = (0.0, 0.75, 0.8, 0.85, 0.88, 0.92)
STEPS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)  # how much deeper than its neck a part of a clump is
NOTE = (
    "The 80 validation images of DSB-2018 stage 1 (split by image, seed 0), each whole, with the weights of "
    "nuclei_unet.json. AP at IoU 0.5, of all nuclei at once. `confidence`: objects of a mean probability that is not "
    "above it are left out, the watershed's step is 0.2. `step`: of the watershed, nothing is left out. `mask alone`: "
    "watershed of the mask's own distances, nothing left out. `eight views`: the average of all flips and turns."
)


def average_precision(maps, labels, confidence, step, method="watershed"):
    """Return AP at IoU 0.5 of all nuclei at once, by a watershed of this step."""
    sys.modules["dlt.predict.objects"].RELATIVE = step
    found = [dlt.predict.objects(one, min_area=MIN_AREA, method=method, confidence=confidence) for one in maps]
    return round(dlt.metrics.average_precision(labels, found).pooled[0], 4)


def main():
    """Score every setting, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the nuclei; without it the archive is downloaded")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    part, model = dlt.data.nuclei(args.data)["validation"], dlt.models.create_nuclei_segmenter(pretrained="nuclei")
    maps = [maps_of(image, model) for image in part.images]
    eight = [maps_of(image, model, ensemble=True) for image in part.images]
    labels, chosen = part.labels, sys.modules["dlt.predict.objects"].RELATIVE
    result = {
        "confidence": {str(one): average_precision(maps, labels, one, chosen) for one in CONFIDENCES},
        "step": {str(step): average_precision(maps, labels, 0.0, step) for step in STEPS},
        "both": {
            f"{one}, {step}": average_precision(maps, labels, one, step)
            for one, step in itertools.product((0.8, 0.85, 0.88), STEPS[1:-1])
        },
        "mask alone": average_precision([one[..., :1] for one in maps], labels, 0.0, chosen),
        "connected": average_precision([one[..., :1] for one in maps], labels, 0.0, chosen, "connected"),
        "eight views": average_precision(eight, labels, CONFIDENCE, chosen),
    }
    command = f"python -m benchmarks.nuclei_choice --data DIR_OR_ZIP --out {args.out}"
    result["provenance"] = provenance(command, 0, NOTE)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(json.dumps({key: value for key, value in result.items() if key != "provenance"}, indent=1))


if __name__ == "__main__":
    keras.config.disable_interactive_logging()
    main()
