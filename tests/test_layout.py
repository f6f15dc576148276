"""The rules of the house, checked on the files."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import pytest

import dlt
from tests.helpers import ROOT

SOURCES = sorted((ROOT / "dlt").rglob("*.py"))
SCRIPTS = ROOT / "dlt" / "assets" / "distributed"  # for readers to start, each on a backend of its own
ALLOWED = {  # imports point one way
    "layers": {"_check", "layers"},
    "convert": {"_check", "_download", "convert"},
    "models": {"_check", "layers", "models", "convert"},
    "measure": {"_check", "_precision", "measure", "plot", "show"},
    "data": {"_arrays", "_check", "_download", "data"},
    "training": {"_arrays", "_check", "_precision", "training", ""},
    "metrics": {"_arrays", "_check", "metrics"},
    "predict": {"_arrays", "_check", "data", "models", "predict"},
    "show": {"_check", "show"},
    "plot.py": {"_arrays"},
    "_arrays.py": {"_check"},
    "_check.py": set(),
    "_download.py": set(),
    "_precision.py": set(),
    "_registry.py": set(),
    "__init__.py": {"", "_registry"},
    "assets": {""},  # files to take; nothing here may name "assets", so that no part imports them
}


def tracked():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in names if name and (ROOT / name).exists()]


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_small_files_small_functions_one_way(path):
    text = path.read_text(encoding="utf8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            docstring = len((ast.get_docstring(node) or "").splitlines())
            assert node.end_lineno - node.lineno + 1 - docstring <= 48, f"{node.name} is too long"
    part = path.relative_to(ROOT / "dlt").parts[0]
    for name in imports(tree):
        if name == "dlt" or name.startswith("dlt."):
            target = name.removeprefix("dlt").removeprefix(".").partition(".")[0]
            assert target in ALLOWED[part], f"dlt/{part} imports {name}"
        assert name.partition(".")[0] not in ("tensorflow", "jax", "torch") or path.parent == SCRIPTS
        assert not name.startswith("matplotlib") or path.name == "plot.py"


def test_importing_dlt_costs_nothing_beyond_keras():
    code = "import keras, sys; before = set(sys.modules); import dlt; print(*sorted(set(sys.modules) - before))"
    extra = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert extra.split() == ["dlt", "dlt._registry"]


def test_everything_public_has_a_docstring_that_says_enough():
    for module in ("convert", "data", "layers", "measure", "metrics", "models", "predict", "show", "training"):
        package = importlib.import_module(f"dlt.{module}")
        for name in package.__all__:
            thing = getattr(package, name)
            if callable(thing):
                assert thing.__doc__, name
                assert len(thing.__doc__.splitlines()[0]) > 20, name


def public_functions():
    """Yield name and function for all that is public: functions, and of classes what they define themselves."""
    for part in sorted(dlt.__all__):
        module = importlib.import_module(f"dlt.{part}")
        own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
        for name in getattr(module, "__all__", own):
            thing = getattr(module, name)
            members = vars(thing) if inspect.isclass(thing) else {"": thing}
            for member, function in members.items():
                function = getattr(function, "fget", getattr(function, "__func__", function))
                if inspect.isfunction(function) and (member in ("__init__", "__call__") or member[:1] != "_"):
                    yield f"{part}.{name}.{member}", function


def test_everything_public_has_type_hints():
    """Of all arguments and of what is returned; what is passed on as *args or **kwargs may go without."""
    lacking = {}
    for name, function in public_functions():
        signature = inspect.signature(function)
        named = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        plain = [p.name for p in named if p.annotation is p.empty and p.name not in ("self", "cls")]
        if signature.return_annotation is signature.empty and not name.endswith("__init__"):
            plain.append("return")
        if plain:
            lacking[name] = plain
    assert not lacking
    assert (ROOT / "dlt" / "py.typed").exists()


def test_the_package_reaches_its_parts():
    assert {module.name for module in pkgutil.iter_modules(dlt.__path__) if not module.name.startswith("_")} >= set(
        dlt.__all__
    ) - {"assets"}
    assert dlt.measure.macs
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dlt.nothing


def test_no_path_of_a_machine_in_any_file():
    pattern = re.compile(r"(?<![\w.])/(?:root|home|work|tmp/|Users)/|\.pyenv")
    for name in tracked():
        if (
            name.endswith((".png", ".npz", ".zip", ".svg", ".h5", ".keras", ".safetensors"))
            or name == "tests/test_layout.py"
        ):
            continue
        assert not pattern.search((ROOT / name).read_text(encoding="utf8")), name


def test_nothing_large_is_committed():
    for name in tracked():
        assert (ROOT / name).stat().st_size < 5_000_000, name


def test_requirements_are_exact_and_bounds_are_lower():
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] not in "#-"]
    assert all(re.match(r"[\w.\[\]-]+==[\w.+]+( ;.*)?$", pin) for pin in pins)
    tomllib = importlib.import_module("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    assert all(">=" in requirement and "==" not in requirement for requirement in wanted)


def test_what_is_left_to_the_weekly_suite_is_in_it():
    weekly = (ROOT / ".github/workflows/weekly.yml").read_text(encoding="utf8").partition('DLT_WHOLE: "1"')[2].split()
    imported = re.compile(r"^from tests.helpers import .*\b(WHOLE|only_in_the_whole_suite)\b", flags=re.MULTILINE)
    paths = [path for path in (ROOT / "tests").rglob("test_*.py") if imported.search(path.read_text(encoding="utf8"))]
    left = [path.relative_to(ROOT) for path in paths]
    assert len(left) == 4
    for path in left:
        assert {str(path), str(path.parent)} & set(weekly), path
