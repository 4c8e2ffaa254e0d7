"""Packaging of tfdeblur. What it needs is listed once, in requirements.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Read as text: importing the package would need its requirements while they are being installed.
VERSION = re.search(r'^__version__ = "(.+)"$', Path("tfdeblur/__init__.py").read_text(), re.MULTILINE)[1]
REQUIREMENTS = [line for line in Path("requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
# These folders install inside tfdeblur: as bare names they would clash in site-packages (`datasets` is
# Hugging Face's), and a wheel must find its configurations and dataset builders away from a checkout.
GUESTS = ("datasets", "experiments")


def guest_packages(folder):
    """Every folder below `folder` that holds Python files, as a package of tfdeblur."""
    return sorted({"tfdeblur." + ".".join(file.parent.parts) for file in Path(folder).rglob("*.py")})


setup(
    name="tfdeblur",
    version=VERSION,
    description="Image deblurring networks in TensorFlow, each as its paper describes it",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    install_requires=REQUIREMENTS,
    extras_require={
        "gpu": [
            'tensorflow[and-cuda]==2.15.1; python_version < "3.12"',  # 2.15.0's extra cannot be installed
            'tensorflow[and-cuda]>=2.18; python_version >= "3.12"',
        ],
        # It takes pillow < 13, as the constraints do; without the bound pip goes back to one that takes any.
        "web": ["gradio>=6.31,<7"],
        # What a network is written with, and what runs it then. On row 1, onnx 1.19 finds ml_dtypes too old; tf2onnx
        # before 1.16 and nncf before 3 ask for packages that are not these.
        "onnx": [
            "tf2onnx>=1.16",
            "onnxruntime",
            'onnx<1.19; python_version < "3.12"',
            'onnx; python_version >= "3.12"',
        ],
        "openvino": ["openvino", "nncf>=3"],
        # The command `tfds` imports both at once; our own `tfdeblur prepare` needs neither.
        "tfds": ["apache-beam", "mlcroissant"],
        # One version for both rows; it wants pillow < 13 and pyarrow < 26, on row 2 numpy < 2.5 and protobuf < 7, too.
        "beam": ["apache-beam>=2.77,<3"],
        # PyAV brings FFmpeg along; 17 is the last one for Python 3.10, 19 is for 3.12 and newer.
        "video": ["av>=17,<20"],
        # dill: tensorflow_datasets.testing imports it; av: the tests of [video] always run.
        "test": ["av>=17,<20", "dill", "packaging", "pytest", "pytest-xdist", "ruff"],
    },
    packages=find_packages(include=["tfdeblur", "tfdeblur.*"]) + sum(map(guest_packages, GUESTS), []),
    package_dir={f"tfdeblur.{folder}": folder for folder in GUESTS},
    # Beside the code: each system's and experiment's README, what describes a dataset to TFDS, the user study's page.
    package_data={
        "": ["*.md", "*.bib", "*.txt", "*.tsv", "*.html"],
        "tfdeblur.pretrained": ["*/*"],
    },
    entry_points={"console_scripts": ["tfdeblur = tfdeblur.cli.main:main"]},
)
