import dataclasses
import logging
from collections import defaultdict
from typing import Any

import keras

from dlt._check import fail
from dlt.convert._keras import addresses, end_low_rank_updates, quantized_layers, weights_by_path
from dlt.convert._match import Match, find, part
from dlt.convert._plan import plan_for
from dlt.convert._read import read

logger = logging.getLogger("dlt.convert")

STATES = {  # how names end that are no weights
    "num_batches_tracked": "a count, which no layer needs",
    "n_averaged": "a count, which no layer needs",
    "seed_generator_state": "a random state, no weight",
}
SHOWN = 8  # weights with the same reason that a report lists one by one


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did; nothing of the source or of the model is left unmentioned.

    Attributes:
        source: String, whose names they were: "official", "timm", "Hugging Face", "ACC-UNet", "keras.applications" or
            "dlt".
        loaded: Dict, path of a weight of the model -> its name in the source.
        skipped: Dict, path of a weight of the model that kept its value -> why.
        unused: Dict, name of a weight of the source that went nowhere -> why.
        notes: Tuple of strings: what stood in front of the names, and other copies of the network in the source.
    """

    source: str
    loaded: dict[str, str]
    skipped: dict[str, str]
    unused: dict[str, str]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"{len(self.loaded)} weights loaded by their {self.source} names, {len(self.skipped)} skipped."]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  kept as it was: {line}" for line in by_reason(self.skipped)]
        lines += [f"  not used: {line}" for line in by_reason(self.unused)]
        return "\n".join(lines)


def by_reason(weights: dict[str, str]) -> list[str]:
    """Return a line for each weight, or for each reason that many of them share."""
    groups = defaultdict(list)
    for name, why in weights.items():
        groups[why].append(name)
    return [
        line
        for why, names in groups.items()
        for line in (
            [f"{name} ({why})" for name in names]
            if len(names) <= SHOWN
            else [f"{names[0]}, {names[1]} and {len(names) - 2} more ({why})"]
        )
    ]


def load_weights(model: keras.Model, source: Any, skip: Any = (), key: str | None = None) -> LoadReport:
    """Fill a model with weights from a file, a dict or another model, whoever named them.

    The names of the authors' checkpoints (ConvNeXt, ACC-UNet; FCMAE's sparse ones too), timm, Hugging Face,
    keras.applications and this package are recognised, and kernels are turned to Keras's axes. The network may lie
    anywhere in the source: in a training checkpoint, behind prefixes such as `module.` or `backbone.`, inside a larger
    network. Every weight of the source is used or reported, every weight of the model assigned or reported. The model
    changes only after everything has been found to fit.

    Args:
        model: A built Keras model.
        source: Path of a `.keras`, `.weights.h5`, `.safetensors` or `.pth` file (`.pt`, `.pth.tar`, `.ckpt` and `.bin`
            are PyTorch's too); a dict of arrays, or of such dicts; a Keras model, or a PyTorch one.
        skip: A name of a layer, or several, or beginnings of names, that may stay as they are where the source does
            not fit them: `("stem", "head")` to fine-tune.
        key: What the names of the wanted copy begin with, where a source has several: `"state_dict_ema"`. None takes
            the first that is no average.

    Returns:
        A `LoadReport`, which is also logged: as a warning where something was skipped, or another copy is there.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the file is a `.pth` and PyTorch is not installed.
        ValueError: If the file cannot be read, its names are unknown, or a layer outside `skip` does not fit.

    >>> from dlt.models import create_convnext_v2
    >>> ten, twenty = (create_convnext_v2("atto", num_classes=n, input_shape=(32, 32, 3)) for n in (10, 20))
    >>> report = load_weights(twenty, ten, skip="head")
    >>> report.skipped["head/bias"]
    'the source has shape (10,), the model (20,)'
    """
    skip = names_to_skip(skip)
    everything = read(source)
    states = {name: why for name in everything for ending, why in STATES.items() if name.endswith(ending)}
    arrays = {name: array for name, array in part(everything, key).items() if name not in states}
    targets = weights_by_path(model)
    ours = addresses(model)
    match = find(arrays, ours, {path: tuple(weight.shape) for path, weight in targets.items()}, skip)
    check_quantized(model, arrays, match)
    plan = plan_for(match, arrays, set(ours.values()), targets)
    check_fit(model, source, skip, plan.problems)
    for path, value in plan.values.items():
        targets[path].assign(value)
    elsewhere = {name: f"outside {key!r}" for name in everything if name not in arrays and name not in states}
    report = LoadReport(
        match.kind,
        {path: plan.names[path] for path in plan.values},
        {path: why for path, why in plan.problems.items() if path in targets},
        {plan.names[path]: why for path, why in plan.problems.items() if path in plan.names}
        | plan.unused
        | states
        | elsewhere,
        notes(match, end_low_rank_updates(model, set(plan.values))),
    )
    logger.log(logging.WARNING if plan.problems or match.copies else logging.INFO, "%s: %r", model.name, report)
    return report


def names_to_skip(skip: Any) -> tuple[str, ...]:
    """Return `skip` as a tuple of strings."""
    names = (skip,) if isinstance(skip, str) else tuple(skip)
    if not all(isinstance(name, str) and name for name in names):
        fail(
            "Invalid `skip`.",
            "a name of a layer, or several",
            f"skip={skip!r}",
            'Pass for example skip=("stem", "head").',
        )
    return names


def check_quantized(model: keras.Model, arrays: dict[str, Any], match: Match) -> None:
    """Raise if either the model's kernels are 8-bit integers, or the source's, and not both."""
    modes = quantized_layers(model)
    for path, name in match.names.items():
        small = str(arrays[name].dtype).removeprefix("torch.") in ("int8", "uint8")
        if path in modes and not small:
            fail(
                f"{model.name} is quantized, and the source is not.",
                "a model as it was before `quantize`",
                f"{path} in {modes[path]}",
                "Load the weights first, then call `model.quantize`.",
            )
        if small and path not in modes:
            fail(
                f"The source is quantized, and {model.name} is not.",
                "weights in floating point",
                f"{name} in {arrays[name].dtype}",
                "Take the weights as they were before they were quantized, or quantize the model the same way first.",
            )


def notes(match: Match, ended: list[str]) -> tuple[str, ...]:
    """Return the sentences of a report on where the network was found and what was done beside loading."""
    lines = []
    if match.prefix:
        lines.append(f"found under {match.prefix!r} in the source")
    lines += [
        f"the source has another copy under {copy!r}: choose it with key={copy.rstrip('./')!r}" for copy in match.copies
    ]
    if ended:
        lines.append(f"low-rank updates (LoRA) start from zero again: {', '.join(ended)}")
    return tuple(lines)


def telling(problems: dict[str, str]) -> list[str]:
    """Return the paths, one of each kind of problem first."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for path, why in problems.items():
        kinds[why.partition(" shape")[0].partition(":")[0]].append(path)
    first = [paths[0] for paths in kinds.values()]
    return first + [path for path in problems if path not in first]


def check_fit(model: keras.Model, source: Any, skip: tuple[str, ...], problems: dict[str, str]) -> None:
    """Raise if anything does not fit in a layer that may not be skipped."""
    serious = {path: why for path, why in problems.items() if not path.startswith(skip)}
    if serious:
        shown = "; ".join(f"{path}: {serious[path]}" for path in telling(serious)[:5])
        origin = type(source).__name__ if not isinstance(source, str) else source
        fail(
            f"The weights do not fit {model.name}, which was left as it was.",
            "a source of the same architecture" + (f" (apart from {', '.join(skip)})" if skip else ""),
            f"{origin} with {len(serious)} weights that do not fit: {shown}{'; ...' if len(serious) > 5 else ''}",
            "Build the variant the weights are from, or name the layers to leave out in `skip=`.",
        )
