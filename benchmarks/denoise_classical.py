"""What classical methods, which are told the noise level, make of the photographs of the benchmarks.

python -m benchmarks.denoise_classical --grey ZIP --color ZIP --out dlt/assets/denoising_classical_cpu.json

Same photographs and same noise as `benchmarks.denoise_shipped`, whose tables have these rows too. `pip install
PyWavelets` for the wavelets. What the file already holds is not repeated.
"""

import argparse
import json
import pathlib

import numpy as np
from skimage.restoration import denoise_nl_means, denoise_wavelet

import dlt
from benchmarks._provenance import provenance
from benchmarks._runs import write_json
from benchmarks.denoise import noisy, psnr, table

SIGMAS = (15, 25, 50)
NOTE = (
    "Mean over the images of PSNR in dB. Noise is Gaussian, not clipped, and that of `denoise_shipped`. scikit-image's "
    "methods. Non-local means: patches of 5 pixels, 6 to each side, h = 0.8 sigma. Wavelets: BayesShrink, soft, each "
    "channel alone. Nothing was tuned on these photographs. BM3D is not here: the licence of its package is not free."
)


def non_local_means(image, sigma):
    """Return the average of patches that look alike."""
    how = {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
    answer = denoise_nl_means(image, h=0.8 * sigma / 255, sigma=sigma / 255, **how)
    return answer.reshape(image.shape)  # of one channel, it leaves the axis out


def wavelets(image, sigma):
    """Return the image of shrunken wavelet coefficients."""
    how = {"method": "BayesShrink", "mode": "soft", "rescale_sigma": True, "channel_axis": -1}
    return denoise_wavelet(image, sigma=sigma / 255, **how)


METHODS = {"non-local means, told sigma": non_local_means, "wavelets, told sigma": wavelets}


def scores(method, images, sigma, seed):
    """Return the mean PSNR of a method at one noise level."""
    found = []
    for i, image in enumerate(images):
        given = noisy(image, sigma, (seed, i)).astype("float64")
        found.append(psnr((image / 255).astype("float32"), method(given, sigma)))
    return round(float(np.mean(found)), 4)


def main():
    """Measure, print the tables, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grey", help="folder or .zip of bias_free_denoising")
    parser.add_argument("--color", help="folder or .zip of BSDS500; without it colour is left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    grey = dlt.data.bsd(args.grey)
    photos = {"bsd68": grey["bsd68"], "set12": grey["set12"]}
    if args.color:
        photos["cbsd68"] = dlt.data.bsd(args.color, "BSDS500", color=True)["bsd68"]
    result = json.loads(args.out.read_text(encoding="utf8")) if args.out.exists() else {}
    given = "--grey ZIP --color ZIP" if args.color else "--grey ZIP"
    for name in (one for one in photos if one not in result):
        rows = {
            kind: {str(sigma): scores(method, photos[name], sigma, args.seed) for sigma in SIGMAS}
            for kind, method in METHODS.items()
        }
        print(f"\nPSNR in dB, {name}\n{table(rows, SIGMAS)}", flush=True)
        result[name] = {"images": len(photos[name]), "psnr": rows}
        command = f"python -m benchmarks.denoise_classical {given} --out {args.out.name}"
        result["provenance"] = provenance(command, args.seed, NOTE)
        write_json(args.out, result)


if __name__ == "__main__":
    main()
