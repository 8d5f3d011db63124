"""A Python with PyTorch for the comparison tools.

Building, testing and running descent need none of this. A tool calls require_torch() first: if the
Python at hand has PyTorch, nothing happens; else the tool starts again in build/peers/venv, which is
made on the way (about 5 GB with the default Linux wheels; pip's own settings, such as an index with
smaller wheels, are respected).
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VENV = REPOSITORY / "build" / "peers" / "venv"
PACKAGES = {
    "torch": "torch==2.15.0",
    "torchvision": "torchvision==0.29.2",
    "safetensors": "safetensors==0.8.0",
    "numpy": "numpy==2.4.6",
    "PIL": "pillow==13.0.0",
}
# Beside these, what only a comparison of inference asks for.
INFERENCE_PACKAGES = {
    "onnx": "onnx==1.23.2",
    "onnxscript": "onnxscript==0.7.2",
    "onnxruntime": "onnxruntime==1.32.0",
    "openvino": "openvino==2026.4.1",
}


def missing(packages):
    return [name for name in packages if importlib.util.find_spec(name) is None]


def require_cuda():
    """Ends the program with one sentence if PyTorch has no GPU to work on."""
    import torch

    if not torch.backends.cuda.is_built():
        sys.exit(f"--device cuda: PyTorch {torch.__version__} is built without CUDA: name a Python with one that is by --python.")
    if not torch.cuda.is_available():
        sys.exit("--device cuda: PyTorch finds no CUDA device: a GPU or its driver is missing here.")


def require_torch(arguments=None, also=None, without=()):
    """Returns if PyTorch, its friends but for those of `without`, and the packages of `also` can be imported; else
    starts this program again where they can.

    `--python PATH` among the arguments chooses that Python; it is left in place for argparse to accept.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        return
    packages = {name: wanted for name, wanted in {**PACKAGES, **(also or {})}.items() if name not in without}
    chosen = None
    for index, argument in enumerate(arguments):
        if argument == "--python" and index + 1 < len(arguments):
            chosen = arguments[index + 1]
        elif argument.startswith("--python="):
            chosen = argument.split("=", 1)[1]
    if chosen is not None:
        chosen = Path(shutil.which(chosen) or chosen)  # a name of the search path will do
    else:
        if not missing(packages):
            return
        chosen = VENV / "bin" / "python"
        set_up_venv(packages)
    if os.environ.get("DESCENT_TOOL_RESTARTED") == str(chosen):
        lacking = missing(packages)
        if lacking:
            sys.exit(f"{chosen} lacks {', '.join(lacking)}: install them there, or leave --python out.")
        return
    if not chosen.exists():
        sys.exit(f"--python {chosen}: there is no such file.")
    os.environ["DESCENT_TOOL_RESTARTED"] = str(chosen)
    os.execv(chosen, [str(chosen), sys.argv[0], *arguments])


def set_up_venv(packages):
    """Makes build/peers/venv, or completes it; a second call does nothing."""
    python = VENV / "bin" / "python"
    stamp = VENV / "complete"
    present = set(stamp.read_text().split("\n")) if stamp.exists() else set()
    wanted = set(packages.values())
    if wanted <= present:
        return
    print(f"setting up {VENV} with {', '.join(sorted(wanted - present))} …", file=sys.stderr)
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
        if made.returncode != 0:
            sys.exit("python3 -m venv failed: install Debian's python3-venv, or give --python PATH.")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *sorted(wanted)], check=True,
                   stdout=sys.stderr)
    stamp.write_text("\n".join(sorted(wanted | present)))
