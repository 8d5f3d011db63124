#!/usr/bin/env python3
"""Makes the reference results under tests/data/ with PyTorch in double precision.

    tools/make_reference.py [--data FOLDER] [--only golden|torchvision] [--python PATH]

Run by hand, when the reference itself changes; its outputs are committed and the tests need no Python.
Without PyTorch at hand it sets up its own under build/peers/venv (see tools/pytorch/environment.py).

tests/data/golden/       20 steps of every optimizer on the seed network, with and without weight decay:
  train-*-ubyte.gz       the first 85 pictures of Fashion-MNIST and their labels, in IDX form
  start.safetensors      the initial weights, as PyTorch saves them
  gradients.safetensors  every gradient at step 0; gradients.csv: norms and the error of PyTorch's own f32
  runs.csv               each run's settings and its 20 losses
  runs.safetensors       each run's end: "<run>/<tensor>", the change since the start (of weights in half
                         precision, good to 0.05 % of the change), running statistics whole
tests/data/torchvision/  logits and gradients of larger networks from weights made of counted random draws
                         (see tools/pytorch/fixed_state.py)

It refuses learning rates at which PyTorch's own f32 run leaves its f64 run by more than 1e-5.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pytorch.environment import REPOSITORY, require_torch  # noqa: E402

if __name__ == "__main__":
    require_torch()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"),
                        help="folder of Fashion-MNIST's gzip IDX files")
    parser.add_argument("--only", choices=["golden", "torchvision"], help="make only these")
    parser.add_argument("--python", type=Path, help="a Python that has PyTorch")
    options = parser.parse_args()

    if options.only != "torchvision":
        from pytorch import golden

        golden.make(REPOSITORY / "tests" / "data" / "golden", options.data)
    if options.only != "golden":
        from pytorch import fixed_state

        fixed_state.make(REPOSITORY / "tests" / "data" / "torchvision")
