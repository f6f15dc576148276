"""What eight and four bits after training do to size, answer and time of three networks, in Keras and ONNX Runtime.

python -m benchmarks.quantization --out dlt/assets/quantization_cpu.json --note "busy machine"

Two denoisers on a photograph with noise of 25 grey levels, and a ConvNeXt V2 atto with random weights on a batch of
eight 32 x 32 images. Milliseconds are CPU time of one thread, medians of runs in turn. The error is the largest
difference from the answer in float32, over the standard deviation of that answer.
"""

import argparse
import json
import pathlib
import tempfile
import time

import keras
import numpy as np
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import dlt
from benchmarks._provenance import provenance

NETWORKS = {
    "dense": lambda: dlt.models.create_denoiser(pretrained=True),
    "depthwise": lambda: dlt.models.create_convunext_denoiser(pretrained=True),
    "ConvNeXt V2 atto": lambda: dlt.models.create_convnext_v2("atto", num_classes=10, input_shape=(32, 32, 3)),
}


class Calibration(quantization.CalibrationDataReader):
    """What a static quantization learns its scales from: pieces of the photograph, or single images."""

    def __init__(self, name, images):
        pieces = images
        if len(images) == 1:
            pieces = [images[0, i : i + 64, j : j + 64] for i in (0, 64) for j in (0, 64)]
        self.feeds = iter([{name: piece[None]} for piece in pieces])

    def get_next(self):
        """Return the next input, or None."""
        return next(self.feeds, None)


def images_for(network):
    """Return what the network is run on."""
    rng = np.random.default_rng(0)
    if network.input_shape[1] is not None:
        return rng.normal(size=(8, *network.input_shape[1:])).astype("float32")
    clean = dlt.data.photos("camera")["camera"][None, 100:228, 200:328, :1] / 255
    return (clean + rng.normal(size=clean.shape) * 25 / 255).astype("float32")


def in_keras(make, images, folder):
    """Return runs and bytes of the network as it is, and quantized by Keras."""
    runs, sizes = {}, {}
    for mode in ("float32", "int8", "int4"):
        keras.utils.set_random_seed(0)
        network, path = make(), folder / f"{mode}.keras"
        if mode != "float32":
            network.quantize(mode)
        network.save(path)
        runs[f"Keras {mode}"] = lambda network=network: network.predict_on_batch(images)
        sizes[f"Keras {mode}"] = path.stat().st_size
    return runs, sizes


def in_onnx(make, images, folder):
    """Return runs and bytes of the exported network as it is, and quantized by ONNX Runtime."""
    keras.utils.set_random_seed(0)
    network, plain, ready = make(), folder / "plain.onnx", folder / "ready.onnx"
    network.predict_on_batch(images)
    network.export(plain, format="onnx", verbose=False)
    quant_pre_process(plain, ready, skip_symbolic_shape=True)
    ways = ("float32", "dynamic, MatMul", "dynamic, all", "static", "static, signed")
    paths = {way: plain if way == "float32" else folder / f"{way}.onnx" for way in ways}
    kinds = quantization.QuantType
    weights = {"weight_type": kinds.QInt8}
    quantization.quantize_dynamic(ready, paths["dynamic, MatMul"], ["MatMul"], **weights)
    quantization.quantize_dynamic(ready, paths["dynamic, all"], **weights)
    name = onnxruntime.InferenceSession(plain).get_inputs()[0].name
    for way, kind in {"static": kinds.QUInt8, "static, signed": kinds.QInt8}.items():
        options = weights | {"per_channel": True, "activation_type": kind}
        quantization.quantize_static(ready, paths[way], Calibration(name, images), **options)
    paths = {f"ONNX {way}": path for way, path in paths.items()}
    runs = {way: session(path, name, images) for way, path in paths.items()}
    return runs, {way: path.stat().st_size for way, path in paths.items()}


def session(path, name, images):
    """Return a function that runs a file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(path, options)
    return lambda: made.run(None, {name: images})[0]


def measured(make, repeats):
    """Return a row for every way: bytes, error, milliseconds."""
    images = images_for(make())
    with tempfile.TemporaryDirectory() as folder:
        runs, sizes = in_keras(make, images, pathlib.Path(folder))
        more_runs, more_sizes = in_onnx(make, images, pathlib.Path(folder))
        runs, sizes = runs | more_runs, sizes | more_sizes
        whole = runs["Keras float32"]()
        errors = {way: float(np.abs(run() - whole).max() / whole.std()) for way, run in runs.items()}
        times = dlt.measure.alternate(runs, repeats, warmup=1, clock=time.process_time)
    return {way: {"bytes": sizes[way], "error": errors[way], "ms": 1e3 * times[way].median} for way in runs}


def main():
    """Measure all networks in all ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--note", default="")
    args = parser.parse_args()
    dlt.training.start()
    result = {"provenance": provenance(f"python -m benchmarks.quantization --repeats {args.repeats}", 0, args.note)}
    result["provenance"]["versions"]["onnxruntime"] = onnxruntime.__version__
    tables = {name: measured(make, args.repeats) for name, make in NETWORKS.items()}
    result["rows"] = {f"{name}, {way}": row for name, table in tables.items() for way, row in table.items()}
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
