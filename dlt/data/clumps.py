import pathlib
import zipfile

from dlt._check import fail

ASSETS = pathlib.Path(__file__).parents[1] / "assets"
CLUMP_CLASSES = ("one", "two", "more")


def clumps(directory: str | pathlib.Path) -> pathlib.Path:
    """Write small pictures of single nuclei and of clumps as JPEG files, a folder per class, and return the folder.

    A segmentation that says "nucleus" or "background" for each pixel cannot tell nuclei that touch: they come out as
    one object. How many nuclei does the object hold? The pictures, 48 x 48 pixels, grey, come from 199 images of the
    training part and from the test part of `nuclei()`, at most seven from one image, and are CC0.
    `dlt/assets/clumps.json` says how they were cut.

    Args:
        directory: Where to put them; it is made if it is missing, and other files in it are kept.

    Returns:
        The directory as a `pathlib.Path`. In it are `train/one`, `train/two`, `train/more`, `test/one`, `test/two` and
        `test/more`, with files named `ID-TOP-LEFT-SIDE.jpg`: the first eight digits of the image's id, and which square
        of the image was cut out, in pixels.

    Raises:
        ValueError: If `directory` is a file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     len(list(clumps(directory).glob("train/*/*.jpg")))
    705
    """
    directory = pathlib.Path(directory)
    if directory.is_file():
        fail("The pictures need a folder.", "a new one or one that is there", f"the file {directory}", "Name another.")
    with zipfile.ZipFile(ASSETS / "clumps.zip") as archive:
        archive.extractall(directory)
    return directory
