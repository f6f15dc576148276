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

SIGMAS = (5, 10, 15, 25, 30, 50, 55, 70, 75, 100)
CLASSICAL_SIGMAS = (15, 25, 50, 75, 100)
NETWORKS = {  # name: arguments of create_convunext_denoiser
    "[0, 55], bias-free": {"pretrained": "sigma_55"},
    "[0, 55], with bias": {"pretrained": "sigma_55", "use_bias": True},
    "[0, 10], bias-free": {"pretrained": "sigma_10"},
    "[0, 10], with bias": {"pretrained": "sigma_10", "use_bias": True},
}
TV_WEIGHTS = (0.6, 0.8, 1.0, 1.2)  # times sigma; the best for each image is taken
NOTE = (
    "Mean over the images of PSNR in dB and of SSIM. Noise is Gaussian, not clipped, and the same for every method. "
    "Outputs are not clipped. `best classical` takes, image by image, the best of the three methods."
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
        means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]} | best
        for name, value in means.items():
            rows.setdefault(name, {})[str(sigma)] = round(value, 3)
        print(sigma, {name: round(value, 2) for name, value in means.items()}, flush=True)
    return rows


def scores(model, images, sigma, seed):
    """Return mean PSNR and SSIM of a denoiser (or of doing nothing, for None) at one noise level."""
    found = []
    for i, image in enumerate(images):
        clean, given = (image / 255).astype("float32"), noisy(image, sigma, (seed, i))
        estimate = given if model is None else model.predict_on_batch(given[None])[0]
        found.append((psnr(clean, estimate), ssim(clean, estimate)))
    return [round(value, 4) for value in np.mean(found, axis=0).tolist()]


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
    parser.add_argument("--images", type=int, help="only the first so many of each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-classical", action="store_true", help="leave out the slow classical methods")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    sets = {name: dlt.data.bsd(args.data)[name][: args.images] for name in ("bsd68", "set12")}
    published = json.loads(
        (importlib.resources.files("dlt") / "assets" / "denoising_published.json").read_text(encoding="utf8")
    )
    result = {}
    for name, images in sets.items():
        models = {"noisy image": None}
        models |= {row: dlt.models.create_convunext_denoiser(**arguments) for row, arguments in NETWORKS.items()}
        both = {
            row: {str(sigma): scores(model, images, sigma, args.seed) for sigma in SIGMAS}
            for row, model in models.items()
        }
        rows = {row: {sigma: pair[0] for sigma, pair in values.items()} for row, values in both.items()}
        if not args.no_classical:
            rows |= classical_rows(images, CLASSICAL_SIGMAS, args.seed)
        similarity = {row: {sigma: pair[1] for sigma, pair in values.items()} for row, values in both.items()}
        result[name] = {"images": len(images), "psnr": rows, "ssim": similarity}
        print(f"\nPSNR in dB, {name}, {len(images)} images\n{table(rows | published[name], SIGMAS)}")
        print(f"\nSSIM\n{table(similarity, SIGMAS)}", flush=True)
    result["parameters"] = {row: dlt.measure.parameters(model).total for row, model in models.items() if model}
    if args.out:
        flags = " --no-classical" if args.no_classical else ""
        limit = f" --images {args.images}" if args.images else ""
        command = f"python -m benchmarks.denoise --data DIR_OR_ZIP{limit}{flags} --out {args.out.name}"
        result["provenance"] = provenance(command, args.seed, NOTE)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
