"""PyTorch's C++ front end as a side of tools/compare_pytorch: front_end.cpp built with g++ against the libraries of
PyTorch's Python package, under build/peers."""

import subprocess
import sys
from pathlib import Path

import torch

import comparing
from pytorch.environment import REPOSITORY

SOURCE = Path(__file__).with_suffix(".cpp")


def build():
    """The program; built anew if its source or PyTorch is another than last time."""
    package = Path(torch.__file__).parent
    program = REPOSITORY / "build" / "peers" / f"front_end-{torch.__version__}"
    if program.exists() and program.stat().st_mtime > SOURCE.stat().st_mtime:
        return program
    print(f"building {program} …", file=sys.stderr)
    program.parent.mkdir(parents=True, exist_ok=True)
    include = package / "include"
    made = subprocess.run(
        ["g++", "-std=c++20", "-O2", "-DNDEBUG", f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
         "-isystem", include, "-isystem", include / "torch" / "csrc" / "api" / "include", SOURCE, "-o", program,
         f"-L{package / 'lib'}", f"-Wl,-rpath,{package / 'lib'}", "-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu", "-lc10"],
        check=False)
    if made.returncode != 0:
        sys.exit("--front-end: this PyTorch's C++ front end does not build here.")
    return program


class FrontEnd:
    """Epochs in a process of its own, as descent's are."""

    def __init__(self, folder, optimizer, precision, layout, batch, threads):
        self.folder = folder
        self.words = ["--optimizer", optimizer, "--precision", precision, "--layout", layout, "--batch", batch,
                      "--threads", threads]
        self.program = build()

    @staticmethod
    def keep(folder, pictures, labels):
        """Writes what the program reads: normalised floats, and a byte a label."""
        pictures.contiguous().numpy().tofile(folder / "pictures")
        labels.to(torch.uint8).numpy().tofile(folder / "labels")

    def epochs(self, count):
        """Seconds of so many epochs."""
        done = comparing.run([self.program, self.folder / "pictures", self.folder / "labels", *self.words, "--epochs", count])
        return [float(line.split()[0]) for line in done.stdout.splitlines()]
