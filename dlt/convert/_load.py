import dataclasses
import logging

from dlt._check import fail
from dlt.convert._read import read
from dlt.convert._tables import part_by_part, recognise, translate

logger = logging.getLogger("dlt.convert")

# How kernels are turned to Keras's axes: (height, width, in, out) for convolutions, (in, out) for dense layers.
FROM_TORCH = {4: ((2, 3, 1, 0), (2, 3, 0, 1)), 2: ((1, 0),)}  # convolution or depthwise; dense
FROM_KERAS = {4: ((0, 1, 2, 3), (0, 1, 3, 2))}  # the same; a grouped convolution that is a depthwise one
AXES = dict.fromkeys(("official", "timm", "Hugging Face", "ACC-UNet"), FROM_TORCH)
COUNTER = "num_batches_tracked"  # PyTorch's batch normalization counts, for an average that is not used here


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did; nothing of the source or of the model is left unmentioned.

    Attributes:
        source: String, whose names they were: "official", "timm", "Hugging Face", "ACC-UNet", "keras.applications" or
            "dlt".
        loaded: Dict, path of a weight of the model -> its name in the source.
        skipped: Dict, path of a weight of the model that kept its value -> why.
        unused: Dict, name of a weight of the source that went nowhere -> why.
    """

    source: str
    loaded: dict
    skipped: dict
    unused: dict

    def __repr__(self):
        lines = [f"{len(self.loaded)} weights loaded by their {self.source} names, {len(self.skipped)} skipped."]
        lines += [f"  kept as it was: {path} ({why})" for path, why in self.skipped.items()]
        lines += [f"  not used: {name} ({why})" for name, why in self.unused.items()]
        return "\n".join(lines)


def load_weights(model, source, skip=()):
    """Fill a model with weights from a file, a dict or another model, whoever named them.

    The names of the authors' checkpoints (ConvNeXt, ACC-UNet), timm, Hugging Face, keras.applications and this package
    are recognised, and kernels are turned to Keras's axes. Every weight of the source is used or reported, every weight
    of the model assigned or reported. The model changes only after everything has been found to fit.

    Args:
        model: A built Keras model.
        source: Path of a `.keras`, `.weights.h5`, `.safetensors` or `.pth` file; a dict of arrays; or a Keras model.
        skip: Names of layers, or beginnings of names, that may stay as they are where the source does not fit them:
            `("stem", "head")` to fine-tune.

    Returns:
        A `LoadReport`, which is also logged: as a warning where something was skipped.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the file is a `.pth` and PyTorch is not installed.
        ValueError: If the file cannot be read, its names are unknown, or a layer outside `skip` does not fit.

    >>> from dlt.models import create_convnext_v2
    >>> ten, twenty = (create_convnext_v2("atto", num_classes=n, input_shape=(32, 32, 3)) for n in (10, 20))
    >>> report = load_weights(twenty, ten, skip=("head",))
    >>> report.skipped["head/bias"]
    'the source has shape (10,), the model (20,)'
    """
    arrays = read(source)
    counters = [name for name in arrays if name.endswith(COUNTER)]
    arrays = {name: part_by_part(name, array) for name, array in arrays.items() if name not in counters}
    targets = {weight.path: weight for weight in model.weights}
    kind, names = match(arrays, model)
    values, problems = {}, {}
    for path in [*targets, *(path for path in names if path not in targets)]:
        if path not in targets:
            problems[path] = "the model has no such weight"
        elif path not in names:
            problems[path] = "the source has no such weight"
        else:
            array, shape = arrays[names[path]], tuple(targets[path].shape)
            values[path] = to_keras_axes(array, shape, kind)
            if values[path] is None:
                problems[path] = f"the source has shape {array.shape}, the model {shape}"
    broken = {layer_of(path): why for path, why in problems.items()}
    for path in values:  # half a layer is no layer: a kernel that does not fit takes its bias with it
        if layer_of(path) in broken:
            problems.setdefault(path, f"its layer does not fit: {broken[layer_of(path)]}")
    check_fit(model, source, skip, problems)
    for path in values.keys() - problems.keys():
        targets[path].assign(values[path])
    report = LoadReport(
        kind,
        {path: names[path] for path in values if path not in problems},
        {path: why for path, why in problems.items() if path in targets},
        {names[path]: why for path, why in problems.items() if path in names}
        | dict.fromkeys(counters, "a count of batches, which no layer needs"),
    )
    logger.log(logging.WARNING if problems else logging.INFO, "%s: %r", model.name, report)
    return report


def layer_of(path):
    """Return the path of the layer that a weight belongs to."""
    return path.rpartition("/")[0]


def match(arrays, model):
    """Return whose names these are, and `{our path: their name}`; a name without a path of ours stands for itself."""
    ours = own_paths(model)
    if sum(known(name, ours) is not None for name in arrays) * 2 >= len(arrays):
        kind, paths = "dlt", {name: known(name, ours) or name for name in arrays}
    else:
        kind, table = recognise(arrays)
        if table is None:
            fail(
                "The names in the source are of no known kind.",
                "names of this package, keras.applications, timm, Hugging Face or the official checkpoints",
                f"{len(arrays)} weights, the first {list(arrays)[:3]}",
                "Rename them, or pass a dict with the names in `[w.path for w in model.weights]`.",
            )
        paths = {name: translate(name, table) or name for name in arrays}
        paths = {name: ours.get(path, path) for name, path in paths.items()}
    names = {}
    for name, path in paths.items():
        names[name if path in names else path] = name  # a second weight for one place counts as unknown
    return kind, names


def own_paths(model):
    """Return `{address: path}` for every weight, by its path and as .h5 files have it, by its place in its layer."""
    paths = {weight.path: weight.path for weight in model.weights}
    for layer in model._flatten_layers(include_self=False):
        store = {}
        layer.save_own_variables(store)
        for index, weight in store.items():
            paths[f"{layer_of(weight.path)}/{index}"] = weight.path
    return paths


def known(name, ours):
    """Return our path of a name, also if the source had wrapped the model: `backbone/stem_conv/0` is `stem_conv/0`."""
    while name and name not in ours:
        name = name.partition("/")[2]
    return ours.get(name)


def to_keras_axes(array, shape, kind):
    """Return the array turned to `shape`, or None if it does not fit."""
    if len(shape) == 1 and array.size == shape[0]:
        return array.reshape(shape)  # GRN's (1, 1, 1, C)
    orders = AXES.get(kind, FROM_KERAS).get(array.ndim, (tuple(range(array.ndim)),))
    turned = (array.transpose(order) for order in orders)
    return next((candidate for candidate in turned if candidate.shape == shape), None)


def check_fit(model, source, skip, problems):
    """Raise if anything does not fit in a layer that may not be skipped."""
    serious = {path: why for path, why in problems.items() if not path.startswith(tuple(skip))}
    if serious:
        shown = "; ".join(f"{path}: {why}" for path, why in list(serious.items())[:5])
        origin = type(source).__name__ if not isinstance(source, str) else source
        fail(
            f"The weights do not fit {model.name}, which was left as it was.",
            "a source of the same architecture" + (f" (apart from {', '.join(skip)})" if skip else ""),
            f"{origin} with {len(serious)} weights that do not fit: {shown}{'; ...' if len(serious) > 5 else ''}",
            "Build the variant the weights are from, or name the layers to leave out in `skip=`.",
        )
