"""How well blind denoisers work on photographs they never saw, beside classical methods and published results.

python -m benchmarks.denoise --data DIR_OR_ZIP --out dlt/assets/denoising_cpu.json

The classical methods are scikit-image's, and are told the noise level; `pip install PyWavelets` for the wavelets.
"""

import argparse
import importlib.resources
import json
import pathlib

import keras
import numpy as np
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

import dlt
from benchmarks._provenance import provenance

SIGMAS = {"bsd68": (10, 15, 25, 30, 50, 70, 75, 100), "set12": (15, 25, 50)}
CLASSICAL_SIGMAS = (15, 25, 50, 100)
NETWORKS = {  # name: arguments of create_convunext_denoiser
    "[0, 55], bias-free": {"pretrained": "sigma_55"},
    "[0, 55], with bias": {"pretrained": "sigma_55", "use_bias": True},
    "[0, 10], bias-free": {"pretrained": "sigma_10"},
    "[0, 10], with bias": {"pretrained": "sigma_10", "use_bias": True},
}
TV_WEIGHTS = (0.6, 0.8, 1.0, 1.2)  # times sigma; the best for each image is taken
NOTE = (
    "Mean over the images of PSNR in dB and of SSIM. Noise is Gaussian, not clipped, and the same for every method. "
    "Outputs are not clipped. `classical` has the first images of BSD68 only, since these methods are slow; "
    "`best classical` takes, image by image, the best of the three."
)


def noisy(image, sigma, seed):
    """Return a uint8 image as float32 in [0, 1], with Gaussian noise of `sigma` grey levels."""
    noise = np.random.default_rng(seed).standard_normal(image.shape)
    return (image / 255 + sigma / 255 * noise).astype("float32")


def psnr(clean, estimate):
    """Return the peak signal-to-noise ratio of one image in [0, 1], in dB."""
    return float(keras.ops.psnr(clean.astype("float32"), estimate.astype("float32"), 1.0))


def ssim(clean, estimate):
    """Return the structural similarity of one image in [0, 1]."""
    return float(np.mean(keras.ops.convert_to_numpy(keras.ops.image.ssim(clean[None], estimate[None], max_val=1.0))))


def classical(image, clean, sigma):
    """Return the PSNR of each of scikit-image's methods, which are told the noise level."""
    level, flat = sigma / 255, image[..., 0].astype("float64")
    patches = {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "sigma": level}
    estimates = {
        "non-local means": [denoise_nl_means(flat, h=0.8 * level, **patches)],
        "wavelets": [denoise_wavelet(flat, sigma=level, method="BayesShrink", mode="soft", rescale_sigma=True)],
        "total variation": [denoise_tv_chambolle(flat, weight=weight * level) for weight in TV_WEIGHTS],
    }
    return {name: max(psnr(clean[..., 0], found) for found in several) for name, several in estimates.items()}


def classical_rows(images, sigmas, seed):
    """Return the mean PSNR of the classical methods and of the best of them, per sigma."""
    rows = {}
    for sigma in sigmas:
        scores = [
            classical(noisy(image, sigma, (seed, i)), (image / 255).astype("float32"), sigma)
            for i, image in enumerate(images)
        ]
        best = {"best classical": float(np.mean([max(score.values()) for score in scores]))}
        for name in scores[0]:
            best[name] = float(np.mean([score[name] for score in scores]))
        for name, value in best.items():
            rows.setdefault(name, {})[str(sigma)] = round(value, 4)
    return rows


def scores(model, images, sigma, seed):
    """Return PSNR and SSIM of each image for a denoiser (or for doing nothing, if None) at one noise level."""
    found = []
    for i, image in enumerate(images):
        clean, given = (image / 255).astype("float32"), noisy(image, sigma, (seed, i))
        estimate = given if model is None else model.predict_on_batch(given[None])[0]
        found.append((psnr(clean, estimate), ssim(clean, estimate)))
    return np.array(found)


def means(found, column, images=None):
    """Return the mean over images of PSNR (column 0) or SSIM (column 1): network -> sigma -> mean."""
    return {
        name: {str(sigma): round(float(values[:images, column].mean()), 4) for sigma, values in row.items()}
        for name, row in found.items()
    }


def table(rows, sigmas):
    """Return rows of PSNR as aligned text."""
    lines = [f"{'sigma':32s}" + "".join(f"{sigma:>8}" for sigma in sigmas)]
    for name, row in rows.items():
        cells = (f"{row[str(sigma)]:8.2f}" if str(sigma) in row else f"{'':8s}" for sigma in sigmas)
        lines.append(f"{name:32s}" + "".join(cells))
    return "\n".join(lines)


def main():
    """Measure, print the tables, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of bias_free_denoising; without it the archive is downloaded")
    parser.add_argument("--classical", type=int, default=20, help="how many images the slow methods get; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    photos = dlt.data.bsd(args.data)
    assets = importlib.resources.files("dlt") / "assets"
    published = json.loads((assets / "denoising_published.json").read_text(encoding="utf8"))
    models = {name: dlt.models.create_convunext_denoiser(**arguments) for name, arguments in NETWORKS.items()}
    result = {"parameters": {name: dlt.measure.parameters(model).total for name, model in models.items()}}
    models["noisy image"] = None
    for name, sigmas in SIGMAS.items():
        found = {
            row: {sigma: scores(model, photos[name], sigma, args.seed) for sigma in sigmas}
            for row, model in models.items()
        }
        result[name] = {"images": len(photos[name]), "psnr": means(found, 0), "ssim": means(found, 1)}
        print(f"\nPSNR in dB, {name}\n{table(result[name]['psnr'] | published[name], sigmas)}")
        print(f"\nSSIM, {name}\n{table(result[name]['ssim'], sigmas)}", flush=True)
        if name == "bsd68" and args.classical:
            rows = classical_rows(photos[name][: args.classical], CLASSICAL_SIGMAS, args.seed)
            rows |= means(found, 0, args.classical)
            result["classical"] = {"images": args.classical, "psnr": rows}
            print(f"\nPSNR in dB, the first {args.classical} images\n{table(rows, CLASSICAL_SIGMAS)}", flush=True)
    if args.out:
        command = f"python -m benchmarks.denoise --data DIR_OR_ZIP --classical {args.classical} --out {args.out.name}"
        result["provenance"] = provenance(command, args.seed, NOTE)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
