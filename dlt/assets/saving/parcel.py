"""A network that can be checked where it arrives: the file, a batch with its answers, fingerprints of all.

`ship(folder, name=model)` here, `python parcel.py folder...` there. To be copied; without networks of dlt, leave out
its import.
"""

import hashlib
import pathlib
import sys

import keras
import numpy as np

import dlt  # noqa: F401  whose layers the files name

ALLOWED = 1e-4  # largest difference, relative to the largest answer


def ship(folder, **networks):
    """Write each network, and a batch of images with its answers."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    for name, model in networks.items():
        shape = (2, 32, 48, model.input_shape[-1])
        x = np.random.default_rng(0).random(shape, dtype="float32")
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", x=x, y=model.predict(x, verbose=0))
    write_sums(folder)


def fingerprints(folder):
    """Return by name what changes with every bit of a file, for all files but the list itself."""
    files = [path for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_sums(folder):
    """Write the fingerprints of all files, as `sha256sum -c SHA256SUMS` reads them."""
    lines = [f"{digest}  {name}\n" for name, digest in fingerprints(folder).items()]
    (folder / "SHA256SUMS").write_text("".join(lines))


def check(folder):
    """Raise if a file has changed, come or gone; otherwise return the relative error of each network here."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sent = {name: digest for digest, name in (line.split("  ") for line in lines)}
    here = fingerprints(folder)
    for name in sorted(sent | here):
        if sent.get(name) != here.get(name):
            raise ValueError(f"{name} is not the file that was sent.")
    errors = {}
    for path in sorted(folder.glob("*.keras")):
        with np.load(path.with_suffix(".npz")) as sample:
            answer = keras.saving.load_model(path).predict(sample["x"], verbose=0)
            difference = np.abs(answer - sample["y"]).max()
            errors[path.stem] = float(difference / np.abs(sample["y"]).max())
    return errors


def main(*folders):
    """Print the errors of each parcel, and return how many of the parcels are wrong."""
    wrong = 0
    for folder in map(pathlib.Path, folders):
        found = check(folder)
        print(*(f"{folder.name} {name} {error:.2e}" for name, error in found.items()), sep="\n")
        wrong += not found or not all(error < ALLOWED for error in found.values())
    return wrong


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
