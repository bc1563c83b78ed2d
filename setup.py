"""Package mapping and extras: the top-level folders are the sub-packages of ``mostnet``."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
FOLDERS = ("contract", "engine", "video", "model", "calibration", "export", "training", "serve", "bench")
PACKAGE_DIR = {"mostnet": "api", **{f"mostnet.{name}": name for name in FOLDERS}}
SUB_PACKAGES = [f"mostnet.{name}.{sub}" for name in FOLDERS for sub in find_packages(str(ROOT / name))]

#: TensorRT for RTX has wheels only for x86-64, on Linux and Windows.
X86 = "platform_machine == 'x86_64' or platform_machine == 'AMD64'"
RTX = f"tensorrt-rtx>=1.4; ({X86}) and (sys_platform == 'linux' or sys_platform == 'win32')"

#: Packages that run plans of either flavour. ``rtx`` only builds plans, without pycuda, which pip has to compile.
CUDA = ["pycuda>=2024.1", "cuda-bindings>=12"]

EXTRAS = {
    "cpu": ["onnxruntime>=1.20"],
    "gpu": ["onnxruntime-gpu>=1.20"],
    "rtx": [RTX],
    "cuda": CUDA,
    "tensorrt": ["tensorrt>=8.6", *CUDA],
    "export": ["torch>=2.6", "onnx>=1.17", "onnxscript>=0.5"],
    "train": ["torch>=2.6", "matplotlib>=3.8", "pyyaml>=6"],
    "table1": ["torchvision>=0.21", "segmentation-models-pytorch>=0.5"],
    "ray": ["ray>=2.40"],
    "triton": ["tritonclient[grpc]>=2.50"],
    "triton-server": ["nvidia-pytriton>=0.7", "tritonclient[grpc]>=2.50"],
    "plot": ["matplotlib>=3.8"],
    "scale": ["simpy>=4.1", "matplotlib>=3.8"],
    "tensorboard": ["tensorboard>=2.18"],
    "docs": ["sphinx>=8.1", "myst-parser>=4", "furo>=2025.9"],
    "dev": [
        "scikit-image>=0.24",
        "torchmetrics>=1.6",
        "tensorboard>=2.18",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "ipykernel>=6.29",
        "ray>=2.40",
        "tritonclient[grpc]>=2.50",
        "simpy>=4.1",
        "pytest>=8",
        "pytest-timeout>=2.4",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "mypy>=1.13",
    ],
}

setup(
    name="mostnet",
    version=(ROOT / "api" / "VERSION").read_text(encoding="utf-8").strip(),
    description="MOST-NET+ for intra-oral video: enhancement, optical flow and tooth mask in real time",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*PACKAGE_DIR, *SUB_PACKAGES],
    package_dir=PACKAGE_DIR,
    package_data={
        "mostnet": ["VERSION", "py.typed", "weights/*"],
        "mostnet.video": ["demo.mp4"],
        "mostnet.training": ["recipes/*"],
    },
    install_requires=["numpy>=1.24", "opencv-python>=4.9", "av>=17.1", "rich>=13"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "mostnet = mostnet.__main__:main",
            "mostnet-export = mostnet.export.cli:main",
            "mostnet-archive = mostnet.serve.archive.cli:main",
            "mostnet-bench = mostnet.bench.cli:main",
            "mostnet-run = mostnet.video.cli:main",
            "mostnet-train = mostnet.training.cli:main",
            "mostnet-synth = mostnet.training.synth_cli:main",
            "mostnet-label = mostnet.training.labelling.cli:main",
            "mostnet-eval = mostnet.training.evaluation.cli:main",
        ]
    },
)
