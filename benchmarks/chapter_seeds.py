"""Run the code of a chapter again with other seeds, and write down what its tables say each time.

python -m benchmarks.chapter_seeds book/3-convunext/13-unet.ipynb --tables scores --until 'scores = ' --out OUT.json

The chapter's own seed is replaced wherever it makes random numbers, and nothing else is changed, but for what
`--set steps=200` changes of the quick profile; the list of seeds that some profiles have is another one for each run.
An assertion that fails is not an error here: that is one of the things to find out. The rest of its cell is left out
then, as in the notebook.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import time

import keras
import matplotlib

import dlt
from benchmarks._provenance import provenance

SEED = r"(seed=|\"seed\": |set_random_seed\(|default_rng\()%d\b"
MAGIC = re.compile(r"^(\s*)%.*$", flags=re.MULTILINE)


def code_cells(path):
    """Return the code of a notebook, and the seed that its first cell sets."""
    cells = [cell for cell in json.loads(path.read_text(encoding="utf8"))["cells"] if cell["cell_type"] == "code"]
    sources = [MAGIC.sub(r"\1pass", "".join(cell["source"])) for cell in cells]
    return sources, int(re.search(r"start\(seed=(\d+)\)", sources[0])[1])


def run(sources, old, new, tables, until):
    """Return the tables as they are after the first cell with some text, and the assertions that have failed."""
    if not any(until in source for source in sources):
        raise ValueError(f"No cell has the text that was named. Expected a part of its code. Received: {until!r}.")
    names, failed = {}, []
    for source in sources:
        source = re.sub(SEED % old, rf"\g<1>{new}", source)
        try:
            exec(source, names)
        except AssertionError as error:
            line = error.__traceback__.tb_next.tb_lineno
            failed.append(source.splitlines()[line - 1].strip())
        if until in source:
            break
    return {name: plain(names[name]) for name in tables}, failed


def plain(value):
    """Return tables of NumPy's numbers as dicts, lists and floats that JSON can hold."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if hasattr(value, "__len__") else round(float(value), 4)


def moved(profile, seed):
    """Return a profile whose list of seeds, if it has one, no other run shares: (1, 2) is (301, 302) for seed 3."""
    seeds = {"seeds": tuple(100 * seed + one for one in profile["seeds"])} if "seeds" in profile else {}
    return profile | seeds


def main():
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", type=pathlib.Path)
    parser.add_argument("--tables", required=True, nargs="+", help="names of numbers, or of lists or dicts of them")
    parser.add_argument("--until", required=True, help="a part of the cell that makes them; later ones are left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=NUMBER", help="what differs from the quick profile"
    )
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    matplotlib.use("Agg")
    os.environ["DLT_PROFILE"] = "quick"
    changes = {name: int(value) for name, value in (each.split("=") for each in args.set)}
    choose = dlt.training.choose_profile
    sources, old = code_cells(args.chapter)
    runs = []
    for seed in args.seeds:
        keras.backend.clear_session()
        start = time.process_time()
        dlt.training.choose_profile = lambda quick, full, seed=seed: choose(moved(quick, seed) | changes, full)
        tables, failed = run(sources, old, seed, args.tables, args.until)
        seconds = round(time.process_time() - start)
        runs.append({"seed": seed, **tables, "assertions that fail": failed, "CPU seconds": seconds})
        print(runs[-1], flush=True)
    options = ["--tables", *args.tables, "--until", args.until, *(["--set", *args.set] if args.set else [])]
    options += ["--seeds", *map(str, args.seeds), "--out", str(args.out)]
    command = f"python -m benchmarks.chapter_seeds {args.chapter} {shlex.join(options)}"
    profile = "Its quick profile" + ("".join(f", {name} {value}" for name, value in changes.items()))
    note = (
        f"The chapter's own code, up to the tables, with these seeds in place of its own, {old}; where its profile "
        f"has a list of seeds, these are raised by a hundred times the seed. {profile}."
    )
    result = {"provenance": provenance(command, args.seeds, note), "settings": changes, "runs": runs}
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
