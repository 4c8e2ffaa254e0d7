"""The arrows of the house: who may import whom, read from the source of every module.

    ops <- layers, losses, metrics, data <- training <- systems <- inference <- export, runner <- cli

Everybody may import `tfdeblur.errors` and `tfdeblur.compat`, and itself.
"""

import ast
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

_RUNNER = {"pretrained", "systems", "data", "training", "metrics", "inference", "ops"}
_BESIDE_RUNNER = _RUNNER | {"runner", "export", "tiles"}
ARROWS = {
    "errors": set(),
    "compat": set(),
    "native": set(),
    "ops": set(),
    "layers": {"ops"},
    "losses": {"ops"},
    "metrics": {"ops"},
    "data": {"native", "ops"},
    "training": {"losses", "metrics", "ops"},
    "systems": {"systems"},
    "pretrained": set(),
    "tiles": set(),
    "serving": {"ops"},
    "runtimes": {"native", "ops"},
    "inference": {
        "layers",
        "ops",
        "pretrained",
        "runtimes",
        "systems",
        "tiles",
        "training",
    },  # training: the format of its checkpoints
    # data: images to calibrate int8 by; training: what a checkpoint says of places
    "export": {"data", "inference", "ops", "pretrained", "runtimes", "serving", "systems", "training"},
    "runner": _RUNNER,
    "info": _BESIDE_RUNNER,
    "demo": _BESIDE_RUNNER,
    "benchmark": _BESIDE_RUNNER | {"info", "runtimes"},
    "report": _BESIDE_RUNNER,
    "comparison": _BESIDE_RUNNER | {"info", "report"},
    "study": {"data"},
    "inspection": _BESIDE_RUNNER,
    "synthesis": _BESIDE_RUNNER | {"report"},
    "many": _BESIDE_RUNNER,
    "torch_checkpoints": _BESIDE_RUNNER,
    "video": _BESIDE_RUNNER,
    "web": _BESIDE_RUNNER,
    "cli": {
        "cli",
        "layers",
        "losses",
        *_BESIDE_RUNNER,
        "info",
        "demo",
        "benchmark",
        "comparison",
        "inspection",
        "report",
        "study",
        "synthesis",
        "many",
        "torch_checkpoints",
        "video",
        "web",
        "datasets",
        "experiments",
    },
}
EVERYBODY_MAY = {"errors", "compat"}
ONE_SYSTEM = {"training", "losses", "layers", "ops"}  # one paper's folder, and itself
BASELINES = {"improved_deblurgan": "deblurgan", "structures_guided": "deblurgan", "egnet": "mprnet"}  # heir: whose

ONLY_COMPAT_IMPORTS = {"tensorflow", "tensorflow_addons", "keras", "tf_keras", "packaging", "pkg_resources"}
NOT_UNDER_THESE_NAMES = {"datasets", "experiments", "tests"}
# What `import tfdeblur` gives on demand: its use is an import, too.
LAZY = {
    "SYSTEMS": "systems",
    "build": "systems",
    "load": "inference",
    "Deblurrer": "inference",
    "DeblurError": "errors",
}


def imported(module, source, is_package=False):
    """(line, dotted name) of all that a module imports, inside functions and by importlib too.

    `from a import b` counts as a.b, which is the module b or something in the module a; `tfdeblur.b` in the text
    of a module that imports tfdeblur as well.
    """
    tree = ast.parse(source)
    package = module if is_package else module.rpartition(".")[0]
    found, roots = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append((node.lineno, alias.name))
                if alias.name.split(".")[0] == "tfdeblur" and (alias.name == "tfdeblur" or not alias.asname):
                    roots.add(alias.asname or "tfdeblur")
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                name = node.args[0]
                if isinstance(name, ast.JoinedStr) and name.values:  # an f-string: up to its first hole
                    name = name.values[0]
                if isinstance(name, ast.Constant):
                    found.append((node.lineno, str(name.value).rstrip(".")))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in roots:
            found.append((node.lineno, f"tfdeblur.{node.attr}"))
    return found


def reads_versions(source):
    """(line, text) of every place that asks for the version of Python or of a library."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
            if "importlib.metadata" in names or ("importlib" in names and "metadata" in names):
                found.append((node.lineno, "importlib.metadata"))
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if node.attr in ("version_info", "hexversion") or text in ("sys.version", "platform.python_version"):
                found.append((node.lineno, text))
            if node.attr == "__version__" and text != "tfdeblur.__version__":
                found.append((node.lineno, text))
    return found


def unit(name):
    """What a dotted name inside tfdeblur belongs to: "ops", "systems.madn", "runner", or None for the root itself."""
    parts = name.split(".")[1:]
    if not parts or parts[0].startswith("__"):
        return None
    if parts[0] in LAZY:
        return LAZY[parts[0]]
    is_system = parts[0] == "systems" and len(parts) > 1 and (ROOT / "tfdeblur" / "systems" / parts[1]).is_dir()
    # systems that are not there yet are known by name
    known = {*BASELINES, *BASELINES.values(), "madn", "two_way"}
    if is_system or (parts[0] == "systems" and len(parts) > 1 and parts[1] in known):
        return f"systems.{parts[1]}"
    return parts[0]


def may_import(importer, target):
    """Whether the unit `importer` may import the unit `target`."""
    if target is None or target == importer or target in EVERYBODY_MAY:
        return importer != "errors" or target in (None, "errors")
    if importer is None:  # tfdeblur/__init__.py
        return target in LAZY.values()
    if importer.startswith("systems."):
        baseline = BASELINES.get(importer.removeprefix("systems."))
        return target in ONE_SYSTEM or target == f"systems.{baseline}"
    return target.split(".")[0] in ARROWS[importer]


def violations(module, source, is_package=False):
    """Lines that say what a module does against the house; [] where it keeps it.

    `module` is its dotted name: tfdeblur.*, datasets.* or experiments.*.
    """
    found = []
    top = module.split(".")[0]
    importer = unit(module)
    for line, name in imported(module, source, is_package):
        first = name.split(".")[0]
        if first in NOT_UNDER_THESE_NAMES and not (first == top == "datasets" and name.startswith(package_of(module))):
            found.append(f"{module}:{line} imports {name}")
        elif top == "experiments":
            if first != "ml_collections":
                found.append(f"{module}:{line} imports {name}")
        elif top == "datasets":
            allowed = ("tensorflow_datasets", "tfdeblur.data.layouts", "tfdeblur.errors", "tfdeblur.compat")
            own = first == "datasets"
            if not (own or first in sys.stdlib_module_names or name.startswith(allowed)):
                found.append(f"{module}:{line} imports {name}")
        elif first == "tfdeblur":
            if not may_import(importer, unit(name)):
                found.append(f"{module}:{line} imports {name}")
        elif first in ONLY_COMPAT_IMPORTS and importer != "compat":
            found.append(f"{module}:{line} imports {name}")
    if importer != "compat":
        found += [f"{module}:{line} reads {text}" for line, text in reads_versions(source)]
    return found


def package_of(module):
    """A dataset's own folder: datasets.gopro of datasets.gopro.gopro."""
    return ".".join(module.split(".")[:2])


def modules():
    """(dotted name, path) of every module of the package, the builders and the configurations."""
    for folder in ("tfdeblur", "datasets", "experiments"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize("module, path", [pytest.param(name, path, id=name) for name, path in modules()])
def test_the_arrows_are_kept(module, path):
    found = violations(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
    assert found == []


def test_every_module_has_its_place():
    units = {unit(name) for name, _ in modules() if name.startswith("tfdeblur")}
    assert {None, "ops", "systems.madn", "runner", "cli"} <= units
    assert {name for name in units if name and not name.startswith("systems.")} <= ARROWS.keys()


# ----------------------------------------------------------------------------------------- the checker itself


@pytest.mark.parametrize(
    "module, source",
    [
        ("tfdeblur.ops.new", "from tfdeblur.losses.pixel import mean_squared_error"),
        ("tfdeblur.ops.new", "from tfdeblur import losses"),
        ("tfdeblur.ops.new", "import tfdeblur.losses.pixel as p"),
        ("tfdeblur.ops.new", "from ..losses import pixel"),
        ("tfdeblur.ops.new", "def f():\n    from tfdeblur.runner import train"),
        ("tfdeblur.ops.new", "import importlib\nimportlib.import_module('tfdeblur.runner')"),
        ("tfdeblur.ops.new", "from importlib import import_module\nimport_module(f'tfdeblur.systems.{1}')"),
        ("tfdeblur.ops.new", "import tfdeblur\ntfdeblur.load('model')"),
        ("tfdeblur.ops.new", "import tfdeblur as t\nt.build('madn')"),
        ("tfdeblur.ops.new", "import tfdeblur.ops\ntfdeblur.runner.train"),
        ("tfdeblur.ops.new", "from tfdeblur import build"),
        ("tfdeblur.layers.new", "from tfdeblur.losses import pixel"),
        ("tfdeblur.losses.new", "from tfdeblur.layers import vgg"),
        ("tfdeblur.metrics.new", "from tfdeblur.data import images"),
        ("tfdeblur.data.new", "from tfdeblur.metrics import psnr"),
        ("tfdeblur.training.new", "from tfdeblur.data.pipeline import batches"),
        ("tfdeblur.training.new", "from tfdeblur.systems import build"),
        ("tfdeblur.training.new", "from tfdeblur.inference import load"),
        ("tfdeblur.systems.madn.new", "from tfdeblur.systems.two_way import networks"),
        ("tfdeblur.systems.madn.new", "from tfdeblur.systems.deblurgan import networks"),
        ("tfdeblur.systems.madn.new", "from tfdeblur.systems import build"),
        ("tfdeblur.systems.madn.new", "from tfdeblur.data.images import read_image"),
        ("tfdeblur.systems.madn.new", "from tfdeblur.metrics import psnr"),
        ("tfdeblur.systems.two_way.new", "from ..madn import networks"),
        ("tfdeblur.inference", "from tfdeblur.data.images import read_image"),
        ("tfdeblur.inference", "from tfdeblur import export"),
        ("tfdeblur.export", "from tfdeblur import runner"),
        ("tfdeblur.runner", "from tfdeblur.cli import common"),
        ("tfdeblur.runner", "from tfdeblur import export"),
        ("tfdeblur.runner", "from tfdeblur.losses import pixel"),
        ("tfdeblur.demo", "from tfdeblur.cli import train"),
        ("tfdeblur.errors", "from tfdeblur.compat import tf"),
        ("tfdeblur.cli.new", "from tests import contracts"),
        ("tfdeblur.cli.new", "import datasets"),
        ("tfdeblur.cli.new", "from experiments.madn import gopro"),
        ("tfdeblur.ops.new", "import tensorflow as tf"),
        ("tfdeblur.ops.new", "import tensorflow_addons as tfa"),
        ("tfdeblur.layers.new", "def f():\n    import tensorflow_addons"),
        ("tfdeblur.layers.new", "from keras.layers import Conv2D"),
        ("tfdeblur.layers.new", "from tfdeblur.compat import tf\nif tf.__version__ < '2.16': pass"),
        ("tfdeblur.layers.new", "import sys\nif sys.version_info < (3, 12): pass"),
        ("tfdeblur.layers.new", "from importlib import metadata"),
        ("tfdeblur.layers.new", "import importlib.metadata"),
        ("experiments.madn.new", "import ml_collections\nfrom tfdeblur.systems import SYSTEMS"),
        ("experiments.madn.new", "import numpy"),
        ("experiments.madn.new", "from experiments.madn import gopro"),
        ("datasets.gopro.new", "from tfdeblur.data.images import read_image"),
        ("datasets.gopro.new", "import cv2"),
        ("datasets.gopro.new", "from datasets.kohler import kohler"),
    ],
)
def test_the_checker_sees_a_violation(module, source):
    (found,) = violations(module, source)
    assert found.startswith(f"{module}:{len(source.splitlines())} ")  # the last line is the bad one


@pytest.mark.parametrize(
    "module, source",
    [
        ("tfdeblur.ops.new", "from tfdeblur.compat import tf\nfrom tfdeblur.errors import DeblurError"),
        ("tfdeblur.ops.new", "from tfdeblur.ops.ranges import to_uint8\nfrom . import geometry"),
        ("tfdeblur.ops.new", "import numpy as np\nimport cv2"),
        ("tfdeblur.layers.new", "from tfdeblur.ops import geometry"),
        ("tfdeblur.training.new", "from tfdeblur.losses.pixel import mean_squared_error"),
        ("tfdeblur.systems.madn.new", "from tfdeblur.systems.madn.networks import Madn\nfrom . import objective"),
        ("tfdeblur.systems.egnet.new", "from tfdeblur.systems.mprnet.networks import Mprnet"),
        ("tfdeblur.systems.improved_deblurgan.new", "from tfdeblur.systems.deblurgan import networks"),
        ("tfdeblur.inference", "from tfdeblur.training import checkpoints\nfrom tfdeblur import systems"),
        ("tfdeblur.runner", "import tfdeblur\nprint(tfdeblur.__version__)"),
        ("tfdeblur.runner", "from tfdeblur import __version__"),
        ("tfdeblur.demo", "from tfdeblur import metrics, runner\nfrom tfdeblur.export import export_saved_model"),
        ("tfdeblur.cli.new", "import tfdeblur\ntfdeblur.load('model')\nfrom tfdeblur import benchmark"),
        ("tfdeblur.cli.new", "import importlib\nimportlib.import_module('tfdeblur.experiments.madn.gopro')"),
        ("tfdeblur.compat", "import sys\nimport tensorflow as tf\nimport tensorflow_addons\nsys.version_info"),
        ("experiments.madn.new", "import ml_collections\nfrom ml_collections import config_dict"),
        ("datasets.gopro.new", "import os\nimport tensorflow_datasets as tfds\nfrom tfdeblur.data import layouts"),
        ("datasets.gopro.new", "from tfdeblur.data.layouts import gopro_pairs\nfrom . import common"),
    ],
)
def test_the_checker_lets_the_rest_pass(module, source):
    assert violations(module, source) == []


def test_a_package_is_read_as_one():
    # In tfdeblur/systems/__init__.py one dot is tfdeblur.systems; in a module beside it, too.
    assert imported("tfdeblur.systems", "from . import madn", is_package=True) == [(1, "tfdeblur.systems.madn")]
    assert imported("tfdeblur.systems.x", "from . import madn") == [(1, "tfdeblur.systems.madn")]
    assert imported("tfdeblur.systems.madn.x", "from ... import ops") == [(1, "tfdeblur.ops")]


def test_the_lazy_names_are_those_of_the_package():
    import tfdeblur

    assert {name: module.removeprefix("tfdeblur.") for name, module in tfdeblur._LAZY.items()} == LAZY


# ----------------------------------------------------------------------------------------- at run time


@pytest.mark.parametrize(
    "statement",
    [
        "import tfdeblur; tfdeblur.SYSTEMS, tfdeblur.DeblurError, tfdeblur.__version__",
        "import tfdeblur.cli.main",
        "import tfdeblur.data.layouts, tfdeblur.data.sources, tfdeblur.data.photographs",
        "import tfdeblur.metrics",
        "import tfdeblur.study",
    ],
)
def test_importing_this_does_not_import_tensorflow(statement):
    program = f"""
        import sys
        {statement}
        heavy = {{"tensorflow", "keras", "tf_keras", "tensorflow_addons", "tensorflow_datasets"}}
        sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
