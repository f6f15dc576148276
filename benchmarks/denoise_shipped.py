"""How good `dlt.predict.denoise` is with the networks of the package, on the photographs of the benchmarks.

python -m benchmarks.denoise_shipped --grey ZIP --color ZIP --out dlt/assets/denoising_shipped_cpu.json

Without the files the archives are downloaded. Prints the tables beside those of classical methods on the same noise
(`benchmarks.denoise_classical`) and the published ones.
"""

import argparse
import functools
import json
import pathlib

import numpy as np

import dlt
from benchmarks._provenance import provenance
from benchmarks.denoise import noisy, psnr, ssim, table

SIGMAS = {"bsd68": (15, 25, 50, 100), "set12": (15, 25, 50), "cbsd68": (15, 25, 50)}
SOME = (25,)  # eight views take eight times the time
ALL = sorted(set().union(*SIGMAS.values()))
METHODS = {
    "one view": (dlt.predict.denoise, ALL),
    "8 views": (functools.partial(dlt.predict.denoise, ensemble=True), SOME),
    "noisy image": (lambda image: image, ALL),
}
NOTE = (
    "Mean over the images of PSNR in dB and of SSIM. Noise is Gaussian, not clipped, and the same for every method; "
    "outputs are not clipped. `equivariance_error` is the largest of four factors from 0.01 to 100."
)


def scores(method, images, sigma, seed):
    """Return the mean PSNR and SSIM of a method at one noise level."""
    found = []
    for i, image in enumerate(images):
        clean, given = (image / 255).astype("float32"), noisy(image, sigma, (seed, i))
        answer = method(given)
        found.append((psnr(clean, answer), ssim(clean, answer)))
    return np.mean(found, axis=0)


def measured(images, sigmas, seed):
    """Return for each measure: method -> sigma -> mean over the images."""
    result = {"images": len(images), "psnr": {}, "ssim": {}}
    for name, (method, able) in METHODS.items():
        found = {str(sigma): scores(method, images, sigma, seed) for sigma in sigmas if sigma in able}
        for column, measure in enumerate(("psnr", "ssim")):
            result[measure][name] = {sigma: round(float(means[column]), 4) for sigma, means in found.items()}
    return result


def network(channels, photo):
    """Return what there is to know about a network of the package."""
    model = dlt.models.create_denoiser(channels, pretrained=True)
    part = noisy(photo[100:164, 100:164], 25, 0)[None]
    audit = dlt.measure.homogeneity(model, part, (0.01, 0.1, 10.0, 100.0))
    return {
        "parameters": dlt.measure.parameters(model).total,
        "macs_per_pixel": dlt.measure.macs(model, (1024, 1024, channels)).total / 2**20,
        "equivariance_error": float(audit.equivariance_error),
    }


def main():
    """Measure, print the tables, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grey", help="folder or .zip of bias_free_denoising")
    parser.add_argument("--color", help="folder or .zip of BSDS500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    grey, color = dlt.data.bsd(args.grey), dlt.data.bsd(args.color, "BSDS500", color=True)
    photos = {"bsd68": grey["bsd68"], "set12": grey["set12"], "cbsd68": color["bsd68"]}
    published, classical = (dlt.show.stored(f"denoising_{name}") for name in ("published", "classical_cpu"))
    result = {}
    for name, images in photos.items():
        result[name] = measured(images, SIGMAS[name], args.seed) | network(images[0].shape[-1], images[0])
        rows = result[name]["psnr"] | classical.get(name, {"psnr": {}})["psnr"] | published[name]
        print(f"\nPSNR in dB, {name}\n{table(rows, SIGMAS[name])}", flush=True)
    if args.out:
        command = f"python -m benchmarks.denoise_shipped --grey ZIP --color ZIP --out {args.out.name}"
        result["provenance"] = provenance(command, args.seed, NOTE)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
