"""What is wrong with a file that should hold weights."""

import pathlib
import re
import zipfile

MAGIC = {  # what files begin with
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"PK": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"version https://git-lfs": "a Git LFS pointer",
    b"GGUF": "a GGUF file",
    b"\x93NUMPY": "a NumPy file",
    b"\x80": "a pickle",
}
OWN = {"keras": "a zip archive", "h5": "an HDF5 file", "pth": "a zip archive"}
AGAIN = "Download or save it again."
FIXES = {
    "a web page": "The server has sent a page in place of the file: check the address, or download it in a browser.",
    "a Git LFS pointer": "Run `git lfs pull`, or download the file itself.",
    "an HDF5 file": "Call it .weights.h5 if Keras has saved it.",
    "a safetensors file": "Call it .safetensors.",
    "a GGUF file": "Take the unquantized weights.",
}


def diagnose(path: pathlib.Path, kind: str, error: Exception) -> tuple[str, str]:
    """Return what is wrong with a file, and what to do about it.

    Args:
        path: Path of the file.
        kind: What its name says that it is: "keras", "h5", "safetensors", "pth", "index".
        error: What its reader raised.
    """
    size = path.stat().st_size
    if size == 0:
        return "the file is empty", AGAIN
    found = beginning(path)
    if found not in (OWN.get(kind), None) and not (kind == "pth" and found == "a pickle"):
        unpack = "Unpack it and pass the file of weights inside."
        return f"it is {found}, not of this kind", FIXES.get(found, unpack if found.endswith("archive") else AGAIN)
    if kind == "pth":
        return diagnose_pth(path, error)
    if kind == "safetensors" and isinstance(error, AttributeError | KeyError):
        return (
            f"its numbers are of a type that NumPy has not ({error})",
            "Save it again in float32, float16 or bfloat16; scaled 8-bit numbers have to be multiplied by their scale.",
        )
    if isinstance(error, KeyError) and kind == "keras" and zipfile.is_zipfile(path):
        return f"it is an archive without weights ({error.args[0]})", "Save the model again with model.save."
    if found is None:
        return f"it is cut off, damaged, or something else ({error})", AGAIN
    return f"it is cut off or damaged ({error})", AGAIN


def beginning(path: pathlib.Path) -> str | None:
    """Return what the first bytes of a file say that it is, or None."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:200].lstrip()[:1] == b"<":
        return "a web page"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[8:10] in (b'{"', b"{ "):
        return None if path.name.endswith(".safetensors") else "a safetensors file"
    return next((title for magic, title in MAGIC.items() if head.startswith(magic)), None)


def diagnose_pth(path: pathlib.Path, error: Exception) -> tuple[str, str]:
    """Return what is wrong with a file that begins like a PyTorch checkpoint."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    unsafe = re.search(r"(?:Unsupported global: GLOBAL|Unsupported class) (\S+)", text)
    if unsafe:
        return (
            f"it holds more than tensors, and only running code could read that: {unsafe[1]}",
            "If you trust who made it, read it with `torch.load(path, weights_only=False)` and pass what it returns.",
        )
    if "TorchScript" in text:
        return "it is a TorchScript program", "Pass `torch.jit.load(path).state_dict()`."
    if beginning(path) == "a zip archive" and zipfile.is_zipfile(path):
        return f"PyTorch does not read it ({text[:200]})", "Save its state_dict again with torch.save."
    reason = text[:80].splitlines()[0] if text else "it ends too early"
    return f"it is cut off, damaged, or no PyTorch file ({reason})", AGAIN
