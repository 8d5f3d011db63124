"""Golden runs: the optimizers' rules written out plainly, and 20 steps of each on the seed network."""

import csv
import gzip
import struct
from dataclasses import dataclass, replace

import numpy as np
import torch

from . import networks

PICTURES, BATCH, STEPS = 85, 8, 20  # the last batch of each pass is partial: 5
KINK_MARGIN = 1.2e-5  # of activations about 1: well above what float sums in any order are off


@dataclass(frozen=True)
class Run:
    optimizer: str
    rate: float
    decay: str = "none"  # none, decoupled, l2
    weight_decay: float = 0.0

    @property
    def name(self):
        return self.optimizer if self.decay == "none" else f"{self.optimizer}-{self.decay}"


# Gentle rates (at the course's own, float and double part by 1 % within ten steps), and decays strong
# enough that leaving them out shows far beyond any tolerance.
RUNS = [Run(name, rate, *decay)
        for name, rate, weight_decay in [
            ("sgd", 0.01, 0.5),
            ("momentum", 0.02, 0.25),
            ("heavy-ball", 0.002, 2.5),
            ("nesterov", 0.002, 2.5),
            ("rmsprop", 1e-5, 100.0),
            ("adam", 1e-4, 50.0),
            ("adam-inside", 1e-4, 50.0),
            ("adam2", 1e-4, 50.0),
            ("adamw", 1e-4, 50.0),
        ]
        for decay in [("none", 0.0), ("decoupled", weight_decay)]]
RUNS += [Run("sgd", 0.01, "l2", 0.5), Run("nesterov", 0.002, "l2", 0.5), Run("adam", 1e-4, "l2", 0.05)]


class Rule:
    """One parameter's optimizer state and update. `t` counts from 1."""

    def __init__(self, name):
        self.name, self.a, self.b = name, None, None

    def step(self, g, rate, t):
        """What is subtracted from the parameter."""
        if self.a is None:
            self.a, self.b = torch.zeros_like(g), torch.zeros_like(g)
            if self.name == "rmsprop":
                self.a = g * g
        if self.name == "sgd":
            return rate * g
        if self.name == "momentum":
            self.a = 0.9 * self.a + (1 - 0.9) * g
            return rate * self.a
        if self.name == "heavy-ball":
            self.a = 0.9 * self.a + g
            return rate * self.a
        if self.name == "nesterov":
            self.a = 0.9 * self.a + g
            return rate * (g + 0.9 * self.a)
        if self.name == "rmsprop":
            self.a = 0.99 * self.a + (1 - 0.99) * g * g
            return rate * g / (self.a.sqrt() + 1e-5)
        beta2, eps = {"adam": (0.99, 1e-5), "adam-inside": (0.99, 1e-5), "adam2": (0.9, 1e-8),
                      "adamw": (0.999, 1e-8)}[self.name]
        self.a = 0.9 * self.a + (1 - 0.9) * g
        self.b = beta2 * self.b + (1 - beta2) * (g.abs() if self.name == "adam2" else g * g)
        mean, size = self.a / (1 - 0.9**t), self.b / (1 - beta2**t)
        if self.name == "adam-inside":
            return rate * mean / (size + eps).sqrt()
        return rate * mean / ((size if self.name == "adam2" else size.sqrt()) + eps)


def batches(x, y):
    """The same pictures in the same order, over and over; the last batch of a pass is partial."""
    starts = list(range(0, PICTURES, BATCH))
    for step in range(STEPS):
        start = starts[step % len(starts)]
        yield x[start:start + BATCH], y[start:start + BATCH]


def train(run, start, x, y, dtype):
    """Losses and the state dict after STEPS updates."""
    _, losses, state = train_watched(run, start, x, y, dtype)
    return losses, state


def train_watched(run, start, x, y, dtype=torch.float64):
    model = networks.convnet()
    model.load_state_dict(start)
    model.to(dtype).train()
    watch = KinkWatch(model)
    rules = {name: Rule(run.optimizer) for name, _ in model.named_parameters()}
    losses = []
    for t, (xs, ys) in enumerate(batches(x.to(dtype), y), start=1):
        model.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(xs), ys)
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for name, p in model.named_parameters():
                g = p.grad
                if run.decay == "l2":
                    g = g + run.weight_decay * p
                if run.decay == "decoupled":
                    p *= 1 - run.rate * run.weight_decay
                p -= rules[name].step(g, run.rate, t)
    return watch, losses, {name: value.detach().clone() for name, value in model.state_dict().items()}


class KinkWatch:
    """How close any input of a GeneralRelu came to 0, where float could fall on the other side: such a
    flip changes the gradient by more than all rounding together, and no tolerance could be tight."""

    def __init__(self, model):
        self.closest = float("inf")
        for module in model.modules():
            if isinstance(module, networks.GeneralRelu):
                module.register_forward_pre_hook(self.look)

    def look(self, _module, inputs):
        self.closest = min(self.closest, inputs[0].detach().abs().min().item())


def away_from_kinks(run, start, x, y):
    """The run at a rate near the given one at which every activation keeps clear of its kink."""
    for attempt in range(1000):
        candidate = replace(run, rate=float(f"{run.rate * (1 + attempt / 2000):.4g}"))
        watch, losses, state = train_watched(candidate, start, x, y)
        if watch.closest > KINK_MARGIN:
            return candidate, losses, state, watch.closest
    raise SystemExit(f"{run.name}: every rate tried brings an activation to its kink: try another rate.")


def check_against_torch_optim(runs, start, x, y):
    """Worst difference of a loss from torch.optim's, over the rules that PyTorch has too."""
    runs = {run.name: run for run in runs}
    rate = {name: run.rate for name, run in runs.items()}
    decay = {name: run.weight_decay for name, run in runs.items()}
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    makers = {
        "sgd": lambda p, n: sgd(p, rate[n]),
        "sgd-l2": lambda p, n: sgd(p, rate[n], weight_decay=decay[n]),
        "heavy-ball": lambda p, n: sgd(p, rate[n], momentum=0.9),
        "momentum": lambda p, n: sgd(p, rate[n] * 0.1, momentum=0.9),
        "nesterov": lambda p, n: sgd(p, rate[n], momentum=0.9, nesterov=True),
        "nesterov-l2": lambda p, n: sgd(p, rate[n], momentum=0.9, nesterov=True, weight_decay=decay[n]),
        "adam": lambda p, n: adam(p, rate[n], betas=(0.9, 0.99), eps=1e-5),
        "adam-l2": lambda p, n: adam(p, rate[n], betas=(0.9, 0.99), eps=1e-5, weight_decay=decay[n]),
        "adamw": lambda p, n: torch.optim.AdamW(p, rate[n], weight_decay=0),
        "adamw-decoupled": lambda p, n: torch.optim.AdamW(p, rate[n], weight_decay=decay[n]),
    }
    worst = 0.0
    for name, make in makers.items():
        mine, _ = train(runs[name], start, x, y, torch.float64)
        model = networks.convnet()
        model.load_state_dict(start)
        model.double().train()
        optimizer = make(model.parameters(), name)
        for expected, (xs, ys) in zip(mine, batches(x.double(), y)):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(xs), ys)
            loss.backward()
            optimizer.step()
            worst = max(worst, abs(loss.item() - expected) / expected)
    return worst


def read_idx(file, header):
    with gzip.open(file) as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=header)


def normalised(pictures):
    """As f32 programs see them, every operation rounded to float: x = (u8/255 − mean)/std."""
    x = (pictures.astype(np.float32) / np.float32(255) - np.float32(networks.MEAN)) / np.float32(networks.STD)
    return torch.from_numpy(x).double().reshape(-1, 1, 28, 28)


def write_idx(folder, pictures, labels):
    """A small data set in IDX form, so that tests never depend on the real one."""
    for name, header, values in [
            ("train-images-idx3-ubyte.gz", struct.pack(">iiii", 0x803, len(labels), 28, 28), pictures),
            ("train-labels-idx1-ubyte.gz", struct.pack(">ii", 0x801, len(labels)), labels)]:
        with open(folder / name, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9, mtime=0,
                                                             filename="") as stream:
            stream.write(header + values.tobytes())


def relative(a, b):
    """‖a − b‖ / ‖b‖"""
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def make(folder, data):
    """Writes the golden files of the seed network into `folder`; returns nothing, prints what it checked."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = read_idx(data / "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:PICTURES]
    labels = read_idx(data / "train-labels-idx1-ubyte.gz", 8)[:PICTURES]
    write_idx(folder, pictures, labels)
    x, y = normalised(pictures), torch.from_numpy(labels.astype(np.int64))

    torch.set_num_threads(1)  # small work: more threads only wait for each other
    start = start_away_from_kinks(x[:BATCH])
    single = networks.convnet()
    single.load_state_dict(start)
    networks.save(single, folder / "start.safetensors")
    write_gradients(folder, single, x[:BATCH], y[:BATCH])
    write_runs(folder, start, x, y)
    for file in folder.iterdir():
        file.chmod(0o644)


def start_away_from_kinks(x):
    """Initial weights with which no activation of the first batch lies near its kink."""
    for seed in range(42, 142):
        torch.manual_seed(seed)
        model = networks.convnet()
        start = {name: value.clone() for name, value in model.state_dict().items()}
        watch = KinkWatch(model.double().train())
        model(x)
        if watch.closest > 5 * KINK_MARGIN:
            print(f"initial weights of seed {seed}: no activation closer to 0 than {watch.closest:.1e}")
            return start
    raise SystemExit("no seed keeps the first batch away from kinks")


def write_gradients(folder, model, x, y):
    _, rough = networks.gradients_of(model, x.float(), y)
    _, exact = networks.gradients_of(model.double(), x, y)
    from safetensors.torch import save_file  # late: reading IDX files needs none of it

    save_file({name: g.float() for name, g in exact.items()}, str(folder / "gradients.safetensors"))
    with open(folder / "gradients.csv", "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["tensor", "norm", "float_error"])
        for name, g in exact.items():
            writer.writerow([name, f"{g.norm().item():.9e}", f"{(rough[name].double() - g).norm().item():.3e}"])


def write_runs(folder, start, x, y):
    noise = {f"{block}.0.bias" for block in range(4)} | {f"{block}.1.running_mean" for block in range(4)}
    found, changes, rows = [], {}, []
    print(f"{'run':24}{'rate':>10}{'loss 0':>9}{'loss 19':>9}{'kink':>9}{'worst loss':>12}{'worst tensor':>14} of PyTorch f32")
    for wanted in RUNS:
        run, losses, state, closest = away_from_kinks(wanted, start, x, y)
        losses32, state32 = train(run, start, x, y, torch.float32)
        worst_loss = max(abs(a - b) / b for a, b in zip(losses32, losses))
        worst_tensor = max((relative(state32[name], state[name]), name) for name in state
                           if name not in noise and state[name].dtype == torch.float64)
        print(f"{run.name:24}{run.rate:10g}{losses[0]:9.4f}{losses[-1]:9.4f}{closest:9.1e}{worst_loss:12.1e}"
              f"{worst_tensor[0]:14.1e} {worst_tensor[1]}", flush=True)
        if worst_loss > 1e-5:
            raise SystemExit(f"{run.name}: PyTorch's own f32 run is {worst_loss:.1e} away: choose a gentler rate.")
        found.append(run)
        rows.append([run.name, run.optimizer, run.rate, run.decay, run.weight_decay,
                     *[f"{loss:.12g}" for loss in losses]])
        for name, value in state.items():
            if "running" in name:
                changes[f"{run.name}/{name}"] = value.float()
            elif value.dtype == torch.float64:
                change = value - start[name].double()
                changes[f"{run.name}/{name}"] = change.half() if change.dim() > 1 else change.float()
    print(f"worst loss difference from torch.optim: {check_against_torch_optim(found, start, x, y):.1e}")
    from safetensors.torch import save_file

    save_file(changes, str(folder / "runs.safetensors"))
    with open(folder / "runs.csv", "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["run", "optimizer", "learning_rate", "decay", "weight_decay",
                         *[f"loss{step}" for step in range(STEPS)]])
        writer.writerows(rows)
