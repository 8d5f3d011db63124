"""Larger networks with weights that C++ makes again from counted random draws, so that only logits and
a digest of the gradients need to be kept.

All draws have seed 7 and Purpose::demo; `item` is the tensor's rank among its kind's names in byte order.
u is uniform in [0, 1), draw i being word i mod 4 of position i / 4. In double, rounded to float once:
  epoch 0, trained     rank ≥ 2: (2u − 1)·√(6 / fan_in);  rank 1: 0.2 + 0.4u.  torchvision's "…bn….bias" and
                       "…downsample.1.bias": 1.5 more; in every second channel of "…bn1.bias" 1.5 less.
                       That holds most ReLUs on one side of their kink: without it, a few activations near
                       0 put float gradients of a ResNet-50 off by up to 3 %, whoever computes them.
  epoch 1, statistics  running_var: 0.5 + u;  running_mean: u − 0.5
  epoch 2, input       4u − 2;  picture n has label (7·n + 3) mod classes
  epoch 3, digest      projection k of a gradient: the sum of its elements, the sign of each being minus
                       where bit k of its word (draw i) is set
"""

import numpy as np
import torch
from safetensors.torch import save_file

from . import counter_random, networks

SEED = 7
PROJECTIONS = 8
ZERO = 1e-9  # a gradient of this norm is rounding: of a shift that a batch normalisation takes away
CASES = {  # network: batch and input
    "convnet": (8, 1, 28, 28),
    "convnet-deep": (8, 1, 28, 28),
    "resnet": (16, 1, 28, 28),
    "resnet18": (2, 3, 224, 224),
    "resnet50": (2, 3, 224, 224),
}


def draws(shape, epoch, item):
    count = int(np.prod(shape))
    return counter_random.uniforms(count, SEED, counter_random.DEMO, epoch, item).reshape(tuple(shape))


def value_of(name, shape, epoch, item):
    u = draws(shape, epoch, item)
    if name.endswith("running_var"):
        u = 0.5 + u
    elif name.endswith("running_mean"):
        u = u - 0.5
    elif len(shape) == 1:
        u = 0.2 + 0.4 * u
        if name.endswith(".bias") and ("bn" in name or "downsample" in name):
            u += 1.5 * np.where((np.arange(len(u)) % 2 == 1) & ("bn1" in name), -1, 1)
    else:
        u = (2 * u - 1) * np.sqrt(6.0 / np.prod(shape[1:]))
    return torch.from_numpy(u.astype(np.float32))


def state(model):
    """The state dict that the rules above give, in float."""
    trained = sorted(name for name, _ in model.named_parameters())
    statistics = sorted(name for name, _ in model.named_buffers() if not name.endswith("num_batches_tracked"))
    values = {name: torch.zeros((), dtype=torch.int64) for name in model.state_dict()}
    for epoch, names in enumerate((trained, statistics)):
        for item, name in enumerate(names):
            values[name] = value_of(name, model.state_dict()[name].shape, epoch, item)
    return values


def project(gradient, item):
    words = counter_random.random_bits(np.arange((gradient.numel() + 3) // 4), SEED, counter_random.DEMO, 3, item)
    words = words.reshape(-1)[:gradient.numel()]
    flat = gradient.double().numpy().reshape(-1)
    return [float(np.sum(np.where(words >> np.uint32(k) & np.uint32(1), -flat, flat))) for k in range(PROJECTIONS)]


def make(folder):
    counter_random.self_check()
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in CASES.items():
        model = networks.make(name)
        values = state(model)
        model.load_state_dict(values)
        x = torch.from_numpy((4 * draws(shape, 2, 0) - 2).astype(np.float32))
        with torch.no_grad():
            rough_logits = model.eval()(x).double()
        classes = rough_logits.shape[1]
        y = torch.tensor([(7 * n + 3) % classes for n in range(shape[0])])
        _, rough = networks.gradients_of(model, x, y)
        model.load_state_dict(values)
        model.double()
        x = x.double()
        with torch.no_grad():
            logits = model.eval()(x)
        loss, exact = networks.gradients_of(model, x, y)
        content = {"logits": logits.float(), "loss": torch.tensor([loss], dtype=torch.float64)}
        worst = 0.0
        for item, tensor in enumerate(sorted(exact)):
            norm = exact[tensor].norm().item()
            error = (rough[tensor].double() - exact[tensor]).norm().item()
            content["gradient/" + tensor] = torch.tensor([norm, error, *project(exact[tensor], item)],
                                                         dtype=torch.float64)
            worst = max(worst, error / norm if norm > ZERO else 0.0)
        for tensor, value in model.state_dict().items():
            if "running" in tensor:
                content["after/" + tensor] = torch.tensor([value.norm().item(), value.sum().item()])
        print(f"{name:13} logits up to {logits.abs().max():.3g}, PyTorch f32: logits "
              f"{((rough_logits - logits).abs().max() / logits.abs().max()).item():.1e}, loss {loss:.4f}, "
              f"worst gradient {worst:.1e} of its norm", flush=True)
        file = folder / f"{name}.safetensors"
        save_file(content, str(file))
        file.chmod(0o644)
