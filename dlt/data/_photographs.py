import io

from PIL import Image

from dlt._check import fail
from dlt.data._download import check_hash, read_bytes


def read_photographs(root, folder, suffix, count, digest):
    """Return the photographs of one folder of an archive, after checking that they are the published ones.

    Args:
        root: Folder, or root of an opened .zip file.
        folder: String, the folder below it, its parts joined by "/".
        suffix: String, how the names of the files end, for example ".png".
        count: Whole number of files.
        digest: String, SHA-256 of the files' bytes in the order of their names.

    Returns:
        Dict of `PIL.Image.Image` by name without suffix, in the order of the names.

    Raises:
        ValueError: If files are missing or are not the published ones.
    """
    path = root
    for name in folder.split("/"):
        path = path / name
    files = sorted((file for file in path.iterdir() if file.name.endswith(suffix)), key=str) if path.is_dir() else []
    if len(files) != count:
        fail(
            f"Images are missing: {folder}.",
            f"{count} {suffix} files in {folder}",
            f"{len(files)} in {root}",
            "Point to the whole archive, or to the folder that it unpacks to.",
        )
    contents = [read_bytes(file) for file in files]
    check_hash(folder, contents, digest)
    return {
        file.name.removesuffix(suffix): Image.open(io.BytesIO(content))
        for file, content in zip(files, contents, strict=True)
    }
