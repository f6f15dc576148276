"""Give chapters other numbers: `python -m tools.renumber 09=10 10=12 ...`, all in one call, then look at `git diff`.

A chapter's number stands in the names of its file and of its solutions, in their titles, and where texts speak of
"chapter 09"; covers and the table of contents follow from the file names. Random seeds stay as they are, so that
results do.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
TEXTS = ("*.ipynb", "*.md", "*.py", "*.yml", "*.bib", "*.json")
# "chapter 09", "chapters 09, 14 and 15", "Chapters 01 to 05"
SPOKEN = re.compile(r"\b([Cc]hapters? )(\d\d(?:(?:, | and |, and | to | or )\d\d\b)*)")


def renumber(text: str, numbers: dict[str, str], stems: dict[str, str]) -> str:
    """Return a text in which files, titles, covers and spoken numbers are the new ones.

    Args:
        text: String, the content of a file.
        numbers: Dict from old number to new, as in `{"09": "10"}`; what is not in it stays.
        stems: Dict from old file name to new, without extension.
    """
    text = re.sub(r"\b\d\d-[\w-]+", lambda found: stems.get(found[0], found[0]), text)
    text = SPOKEN.sub(lambda found: found[1] + re.sub(r"\d\d", lambda n: numbers.get(n[0], n[0]), found[2]), text)
    text = re.sub(r"(covers/)(\d\d)(\.png)", lambda f: f[1] + numbers.get(f[2], f[2]) + f[3], text)
    return re.sub(r"(# (?:Solutions )?)(\d\d)( · )", lambda f: f[1] + numbers.get(f[2], f[2]) + f[3], text)


def main(pairs: list[str]) -> None:
    """Rename the files and rewrite whatever names them."""
    numbers = dict(pair.split("=") for pair in pairs)
    listed = subprocess.run(
        ["git", "ls-files", *TEXTS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    chapters = [name for name in listed if re.match(r"book/(\d-[\w-]+|solutions)/\d\d-[\w-]+\.ipynb$", name)]
    stems = {}
    for stem in {pathlib.Path(name).stem for name in chapters}:
        stems[stem] = numbers.get(stem[:2], stem[:2]) + stem[2:]
    taken = sorted(new[:2] for new in stems.values())
    if len(set(taken)) != len(taken):
        raise ValueError(f"Two chapters would share a number. Expected different ones. Received: {' '.join(taken)}.")
    for name in listed:
        path = ROOT / name
        old = path.read_text(encoding="utf8")
        if (
            name != "tools/renumber.py"
            and not name.startswith("tests/tools/")
            and (new := renumber(old, numbers, stems)) != old
        ):
            path.write_text(new, encoding="utf8")
    for name in sorted(chapters, reverse=True):  # the last first: each new name is free by then, if numbers grow
        path = pathlib.Path(name)
        if stems[path.stem] != path.stem:
            subprocess.run(["git", "mv", name, str(path.with_stem(stems[path.stem]))], cwd=ROOT, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
