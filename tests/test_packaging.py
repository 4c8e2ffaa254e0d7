"""The install: one list of requirements, exact pins for it, no bare package names, and what `make` does."""

import os
import re
import runpy
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
ROW_OF = {"3.10": 1, "3.11": 1, "3.12": 2, "3.13": 2}


TESTS = "-m pytest -n 2 --dist loadscope"


@pytest.fixture
def arguments(monkeypatch):
    """What setup.py passes to setup()."""
    seen = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: seen.update(keywords))
    runpy.run_path("setup.py")
    return seen


def lines(path):
    """The lines of a requirements file that are not comments."""
    return [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]


def holding(requirements, python):
    """name -> Requirement, of those whose marker holds on this Python."""
    held = {}
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            assert name not in held, f"{name} is named twice on Python {python}"
            held[name] = requirement
    return held


# --- setup.py and requirements.txt


def test_setup_takes_its_requirements_from_the_one_list(arguments):
    assert arguments["install_requires"] == lines("requirements.txt")


def test_the_version_is_the_packages_own(arguments):
    assert f'__version__ = "{arguments["version"]}"' in (ROOT / "tfdeblur/__init__.py").read_text()


def test_guest_folders_install_inside_tfdeblur_only(arguments):
    packages = arguments["packages"]
    assert {name.split(".")[0] for name in packages} == {"tfdeblur"}
    assert "tfdeblur.experiments.madn" in packages
    assert arguments["package_dir"] == {
        "tfdeblur.datasets": "datasets",
        "tfdeblur.experiments": "experiments",
    }


def test_dataset_builders_can_be_imported_from_a_checkout(arguments):
    """An editable install finds tfdeblur.datasets by its __init__.py only; experiments are loaded by path."""
    if any((ROOT / "datasets").rglob("*.py")):
        assert "tfdeblur.datasets" in arguments["packages"]


def test_every_folder_of_code_is_packed(arguments):
    folders = {
        file.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for top in ("tfdeblur", "datasets", "experiments")
        for file in (ROOT / top).rglob("*.py")
    }
    packed = {re.sub(r"^tfdeblur\.(?=datasets|experiments)", "", name) for name in arguments["packages"]}
    assert folders == packed


@pytest.mark.parametrize("python, row", ROW_OF.items())
def test_the_row_of_each_python(arguments, python, row):
    names = set(holding(arguments["install_requires"], python))
    assert ("tensorflow-addons" in names, "tf-keras" in names) == ((True, False) if row == 1 else (False, True))


@pytest.mark.parametrize("python, row", ROW_OF.items())
def test_constraints_pin_every_direct_requirement(arguments, python, row):
    pins = holding(lines(f"constraints/row{row}.txt"), python)
    direct = arguments["install_requires"] + arguments["extras_require"]["test"] + ["pip", "setuptools"]
    for name, requirement in holding(direct, python).items():
        (pin,) = pins[name].specifier
        assert pin.operator == "==" and "*" not in pin.version, str(pins[name])
        assert requirement.specifier.contains(pin.version), f"{pins[name]} is not {requirement}"


@pytest.mark.parametrize("row", (1, 2))
def test_constraints_are_exact(row):
    for line in lines(f"constraints/row{row}.txt"):
        assert [pin.operator for pin in Requirement(line).specifier] == ["=="], line


# --- make, with a stand-in for Python: no test here installs anything

FAKE_PYTHON = """#!/bin/sh
# Answers for Python {minor}; `-m venv` makes a folder with this script as its python. $LOG takes the calls.
echo "$*" >> "$LOG"
case "$1 $2" in
    -c*) echo {minor} ;;
    "-m venv")
        for folder; do :; done
        case "$*" in *--clear*) rm -rf "$folder" ;; esac
        mkdir -p "$folder/bin"
        touch "$folder/pyvenv.cfg"
        cp "$0" "$folder/bin/python" ;;
    "-m pip") exit "${{PIP_EXIT:-0}}" ;;
esac
"""


class Checkout:
    """A copy of the files that `make` reads, and a way to call it there."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        for name in ("Makefile", "requirements.txt", "setup.py"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "constraints", folder / "constraints")

    def python(self, minor):
        path = self.folder / f"python{minor}"
        path.write_text(FAKE_PYTHON.format(minor=minor))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def make(self, *arguments, python, **environment):
        """The finished process and the calls of Python that it made, less the question for its version."""
        # This test may itself run under make, whose flags and variables are not to be inherited.
        kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VENV")}
        self.log.write_text("")
        done = subprocess.run(
            ["make", *arguments, f"PYTHON={python}"],
            cwd=self.folder,
            env={**kept, "LC_ALL": "C", "LOG": str(self.log), **environment},
            capture_output=True,
            text=True,
        )
        return done, [call for call in self.log.read_text().splitlines() if not call.startswith("-c")]


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return Checkout(tmp_path)


@pytest.mark.parametrize("goal", ("test", "demo", "lint"))
@pytest.mark.parametrize("minor", ("2.7", "3.9", "3.14"))
def test_make_refuses_another_python_in_one_line(checkout, minor, goal):
    python = checkout.python(minor)
    before = sorted(checkout.folder.iterdir())
    done, calls = checkout.make(goal, python=python)
    assert done.returncode != 0 and calls == [] and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"tfdeblur needs Python 3.10 to 3.13, PYTHON={python} is {minor}" in line
    assert set(checkout.folder.iterdir()) - {checkout.log} == set(before)


def test_make_refuses_a_python_that_is_not_there(checkout):
    done, _ = checkout.make("test", python="no-such-python")
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert "PYTHON=no-such-python does not run" in line


@pytest.mark.parametrize("minor, row", ROW_OF.items())
def test_make_installs_the_row_of_its_python_once(checkout, minor, row):
    python = checkout.python(minor)
    done, calls = checkout.make("test", python=python)
    assert done.returncode == 0, done.stderr
    assert calls[0] == "-m venv .venv"
    upgrade, install = (call for call in calls if call.startswith("-m pip"))
    assert "--upgrade pip" in upgrade and "--requirement requirements.txt" in install
    assert f"--constraint constraints/row{row}.txt" in upgrade
    assert f"--constraint constraints/row{row}.txt" in install
    assert calls[-1] == TESTS
    assert checkout.make("test", python=python)[1] == [TESTS]


@pytest.mark.parametrize("changed", ("requirements.txt", "setup.py", "constraints/row1.txt"))
def test_make_installs_again_when_its_lists_change(checkout, changed):
    python = checkout.python("3.11")
    checkout.make("test", python=python)
    stamp = checkout.folder / ".venv/installed-3.11"
    os.utime(checkout.folder / changed, (stamp.stat().st_mtime + 10,) * 2)
    _, calls = checkout.make("test", python=python)
    assert len([call for call in calls if call.startswith("-m pip")]) == 2
    assert not any(call.startswith("-m venv") for call in calls)


def test_an_interrupted_install_starts_afresh(checkout):
    python = checkout.python("3.11")
    done, calls = checkout.make("test", python=python, PIP_EXIT="1")
    assert done.returncode != 0 and TESTS not in calls
    done, calls = checkout.make("test", python=python)
    assert done.returncode == 0 and calls[0] == "-m venv --clear .venv"


def test_another_python_rebuilds_the_venv(checkout):
    checkout.make("test", python=checkout.python("3.11"))
    done, calls = checkout.make("test", python=checkout.python("3.12"))
    assert done.returncode == 0 and calls[0] == "-m venv --clear .venv"


def test_a_second_venv_leaves_the_first_alone(checkout):
    first, second = checkout.python("3.11"), checkout.python("3.12")
    checkout.make("test", python=first)
    _, calls = checkout.make("test", "VENV=.venv-row2", python=second)
    assert calls[0] == "-m venv .venv-row2"
    assert checkout.make("test", python=first)[1] == [TESTS]


def test_make_never_clears_a_folder_that_is_no_venv(checkout):
    _, calls = checkout.make("test", "VENV=.", python=checkout.python("3.11"))
    assert calls[0] == "-m venv ."
