"""Move the book to another address: `make repository URL=https://github.com/you/your-book`.

The address stands in `_config.yml`; everything else that names it is rewritten to match.
"""

import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[1]


def main(url: str) -> None:
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        sys.exit(f"make repository: expected URL=https://github.com/OWNER/NAME. Received: {url!r}")
    old = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]["url"]
    owner, name = url.removeprefix("https://github.com/").split("/")
    old_owner, old_name = old.removeprefix("https://github.com/").split("/")
    words = {
        old: url,
        f"{old_owner}.github.io/{old_name}": f"{owner}.github.io/{name}",
        f"github/{old_owner}/{old_name}/": f"github/{owner}/{name}/",
    }
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in (ROOT / file for file in files.split("\0") if file):
        if path.suffix in (".png", ".npz", ".zip", ".h5", ".keras", ".safetensors") or not path.is_file():
            continue
        before = text = path.read_text(encoding="utf8")
        for word, replacement in words.items():
            text = text.replace(word, replacement)
        if text != before:
            path.write_text(text, encoding="utf8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
