"""The files around the package agree with each other, and the notebooks are fit to be read."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from nbformat import NotebookNode
from notebook_files import ROOT, WIDGET_VIEW, read, tidy, to_text
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from coconut_lab import explorers

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IN_FOLDERS = [
    *NOTEBOOKS,
    *sorted((ROOT / "solutions").glob("*.ipynb")),
    *sorted((ROOT / "exercises").glob("*.ipynb")),
]
OLDEST_PYTHON = PROJECT["requires-python"].removeprefix(">=") + ".0"
MOST_BYTES = 1_500_000
IGNORED = "nbval-ignore-output"
MOST_LINES = 15
MOST_IGNORED = 4  # cells of one notebook, and never more than a fifth of them

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def own_requirements() -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    return [r for r in map(Requirement, lines) if r.name != PROJECT["name"]]


def pins() -> dict[str, Version]:
    found: dict[str, Version] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, f"constraints.txt: {line!r} is not name==version, without a local part"
        name = canonicalize_name(match[1])
        assert name not in found, f"constraints.txt: {name} stands twice"
        found[name] = Version(match[2])
    return found


# --- pyproject.toml, constraints.txt, environment.yml ------------------------------------------


def test_every_dependency_is_pinned_within_its_range() -> None:
    pinned = pins()
    for requirement in own_requirements():
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"pyproject.toml asks for {name}, constraints.txt does not pin it"
        assert requirement.specifier.contains(pinned[name]), (
            f"constraints.txt pins {name} {pinned[name]}, pyproject.toml wants {requirement}"
        )
    assert pinned["torch"] == Version("2.13.0")


def test_what_is_installed_is_what_is_pinned() -> None:
    """Direct and indirect dependencies, in every extra, as far as they are needed here."""
    pinned = pins()
    wanted = own_requirements()
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        # Builds of torch for CUDA bring parts of theirs, whose versions torch itself fixes.
        if key in seen or name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        seen.add(key)
        assert name in pinned, f"constraints.txt does not pin {name}, which is needed"
        installed = Version(metadata.version(name))
        assert Version(installed.public) == pinned[name], (
            f"{name} {installed} is installed, constraints.txt pins {pinned[name]}"
        )
        pythons = SpecifierSet(metadata.metadata(name).get("Requires-Python") or "")
        assert pythons.contains(OLDEST_PYTHON), f"{name} {installed} needs Python {pythons}"
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            environments = [
                {**default_environment(), "extra": extra} for extra in {"", *requirement.extras}
            ]
            if needed.marker is None or any(map(needed.marker.evaluate, environments)):
                wanted.append(needed)


def test_environment_yml_gives_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))

    python = next(d for d in conda if d.startswith("python="))
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert allowed.contains(python.removeprefix("python="))
    assert sorted(conda) == ["pip", python], "a version from conda would escape constraints.txt"

    assert pip[0] == "-c constraints.txt", "the constraints must hold for every line after them"
    (package,) = pip[1:]
    match = re.fullmatch(r"-e \.\[([a-z,]+)\]", package)
    assert match, f"environment.yml must install this package, not {package!r}"
    extras = set(match[1].split(","))
    assert "lab" in extras
    assert extras <= EXTRAS.keys()


def test_what_the_package_imports_is_declared() -> None:
    """In `dependencies`, or in an extra where the import is inside a function."""
    always, sometimes = (
        {canonicalize_name(Requirement(line).name) for line in lines}
        for lines in (PROJECT["dependencies"], [line for part in EXTRAS.values() for line in part])
    )
    packages = metadata.packages_distributions()
    for path in [*(ROOT / "coconut_lab").rglob("*.py"), ROOT / "minimal_coconut.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for root in {name.partition(".")[0] for name in names}:
                if root in sys.stdlib_module_names | {"coconut_lab"}:
                    continue
                found = {canonicalize_name(name) for name in packages[root]}
                declared = always if node in tree.body else always | sometimes
                assert found & declared, f"{path.name} imports {root}, which nothing declares"


def test_makefile_installs_under_the_constraints() -> None:
    installs = [
        line
        for line in (ROOT / "Makefile").read_text().splitlines()
        if "pip install" in line and "-e '.[" in line and "-pins/" not in line
    ]
    assert installs
    for line in installs:
        assert "-c constraints.txt" in line


def test_readme_lists_every_notebook() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"notebooks/{path.name}" in readme


# --- notebooks ----------------------------------------------------------------------------------


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_notebook_ran_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(read(path))
    assert all(cell.source.strip() for cell in cells), f"{path.name} has an empty code cell"
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1)), f"run `make notebooks`: counts are {counts}"
    # Where a cell is compared, nbval itself finds an output that is missing. It does so only in
    # cells that ran, and not in cells whose output is not compared.
    silent = [c for c in cells if IGNORED in c.metadata.get("tags", []) and not c.outputs]
    assert not silent, f"{path.name}, cell {silent[0].id}: no output is kept"
    assert any(cell.outputs for cell in cells), f"{path.name} has no outputs: run `make notebooks`"


@each_notebook
def test_no_cell_is_too_long_to_be_read_at_once(path: Path) -> None:
    for cell in code_cells(read(path)):
        lines = cell.source.count("\n") + 1
        assert lines <= MOST_LINES, f"{path.name}, cell {cell.id}: {lines} lines; split it"


@each_notebook
def test_no_cell_hides_its_value_with_a_semicolon(path: Path) -> None:
    """IPython looks the semicolon up in its history, and nbval runs cells without a history."""
    for cell in code_cells(read(path)):
        assert not cell.source.rstrip().endswith(";"), (
            f"{path.name}, cell {cell.id}: assign the last value to _ instead"
        )


@each_notebook
def test_few_cells_are_not_compared_and_each_says_why(path: Path) -> None:
    cells = code_cells(read(path))
    tags = {tag for cell in cells for tag in cell.metadata.get("tags", [])}
    assert not tags & {"nbval-skip"}, f"{path.name}: every cell runs in the tests"
    for cell in cells:
        assert not re.search(r"#\s*(NBVAL|PYTEST)_", cell.source), "a tag, not a comment"
    ignored = [cell for cell in cells if IGNORED in cell.metadata.get("tags", [])]
    assert len(ignored) <= min(MOST_IGNORED, len(cells) // 5), (
        f"{path.name}: {len(ignored)} of {len(cells)} cells are not compared"
    )
    for cell in ignored:
        assert re.search(r"^# live: \S", cell.source, flags=re.MULTILINE), (
            f"{path.name}, cell {cell.id}: tagged {IGNORED} without a line '# live: why'"
        )


@each_notebook
def test_a_copy_that_is_not_trusted_shows_every_drawing(path: Path) -> None:
    """JupyterLab draws no SVG there, and no widget: a PNG is beside each, but for live runs."""
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            live = output.get("data", {}).get("text/plain", "").startswith("TrainingMonitor(")
            if kinds & {"image/svg+xml", WIDGET_VIEW} and not live:
                assert "image/png" in kinds, f"{path.name}, cell {cell.id}: run `make notebooks`"


@each_notebook
def test_kept_explorers_are_those_of_the_package(path: Path) -> None:
    """A notebook keeps the module and the style that draw its explorers without a kernel."""
    every = [getattr(explorers, name) for name in explorers.__all__]
    now = {one._esm: one._css for one in every if hasattr(one, "_esm")}
    kept = read(path).metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for one in kept.values():
        if "_esm" in one["state"]:
            found = one["state"]
            assert found["_css"] == now.get(found["_esm"]), f"{path.name}: run `make notebooks`"


@pytest.mark.parametrize("path", IN_FOLDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notebook_file_is_tidy_and_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= MOST_BYTES
    assert text == to_text(tidy(read(path))), (
        f"{path.name} carries stray metadata: run `make notebooks` or `make exercises`"
    )


# A path of two parts or more from the root of a disk: no address, no relative path, no tag.
ABSOLUTE = re.compile(r"(?:^|[\s\"'`(=\[])((?:/[\w.-]+){2,}|[A-Z]:\\+Users)", re.MULTILINE)


@pytest.mark.parametrize("path", IN_FOLDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notebook_names_no_absolute_path(path: Path) -> None:
    for cell in read(path).cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *output.get("traceback", [])]
            data = output.get("data", {})
            texts += [str(data[kind]) for kind in data if not kind.startswith("image/")]
        for text in texts:
            found = ABSOLUTE.search(text)
            assert not found, f"{path.name}, cell {cell.id}: a path of one machine: {found[1]}"


def test_absolute_paths_are_recognised() -> None:
    for text in ("/home/ann/x.py", "in /opt/a", 'open("/srv/x")', r"C:\Users\ann", "a\n/opt/a/b"):
        assert ABSOLUTE.search(text), text
    for text in ("https://arxiv.org/abs/2412.06769", "<g></g>/a/b", "../solutions/02", "1/2/3"):
        assert not ABSOLUTE.search(text), text
