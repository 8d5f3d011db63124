"""The same training in PyTorch: optimizers, modes, and steps that do what descent's do.

As a program it is what `descent train --epochs 1` is: reads Fashion-MNIST's gzip files, trains, validates, saves.

    python tools/pytorch/training.py --data FOLDER --out FILE.pt [--network convnet] [--optimizer sgd]
                                     [--batch 1024] [--precision f32] [--threads N] [--compile] [--contiguous]
                                     [--device cuda]
    python tools/pytorch/training.py --steps N --size 224 --network resnet18 …     (random pictures; nothing saved)
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch  # noqa: E402

from pytorch import networks  # noqa: E402

# descent's optimizers with its defaults, those that PyTorch has. Its RMSprop has no fused form on a CPU. Captured
# as a CUDA graph, those that count steps must count them on the GPU (capturable).
OPTIMIZERS = {
    "sgd": lambda p, _: torch.optim.SGD(p, 0.4, fused=True),
    "momentum": lambda p, _: torch.optim.SGD(p, 1.5, momentum=0.9, dampening=0.1, fused=True),
    "heavy-ball": lambda p, _: torch.optim.SGD(p, 0.15, momentum=0.9, fused=True),
    "nesterov": lambda p, _: torch.optim.SGD(p, 0.15, momentum=0.9, nesterov=True, fused=True),
    "rmsprop": lambda p, gpu: torch.optim.RMSprop(p, 3e-3, alpha=0.99, eps=1e-5, foreach=True, capturable=gpu),
    "adam": lambda p, gpu: torch.optim.Adam(p, 6e-3, betas=(0.9, 0.99), eps=1e-5, fused=True, capturable=gpu),
    "adamw": lambda p, gpu: torch.optim.AdamW(p, 0.02, weight_decay=0.01, fused=True, capturable=gpu),
}


def prepare_cuda():
    """PyTorch at its fastest, but f32 products in f32, as descent computes them."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


class Training:
    """A network, its optimizer and pictures, in one of PyTorch's modes."""

    def __init__(self, network, optimizer, precision="f32", channels_last=True, compiled=False, device="cpu"):
        self.device = device
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.plain = networks.make(network).to(device=device, memory_format=self.format).train()
        self.optimizer = OPTIMIZERS[optimizer](self.plain.parameters(), device == "cuda")
        mode = "max-autotune" if device == "cuda" else None
        self.model = torch.compile(self.plain, mode=mode) if compiled else self.plain
        self.marks_steps = compiled and device == "cuda"
        self.short = precision == "bf16"

    def use(self, pictures, labels):
        """Normalised floats N×C×H×W, and class numbers."""
        self.x = pictures.to(self.device).contiguous(memory_format=self.format)
        self.y = labels.to(self.device)

    def forward(self, x):
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.short):
            return self.model(x)

    def step(self, indices):
        """One batch, gathered by its indices; returns loss and logits."""
        x, y = self.x.index_select(0, indices), self.y.index_select(0, indices)
        logits = self.forward(x).float()
        loss = torch.nn.functional.cross_entropy(logits, y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach(), logits.detach(), y

    def epoch(self, batch):
        """All pictures once, shuffled; returns mean loss and accuracy."""
        count = len(self.y)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        order = torch.randperm(count, device=self.device)
        for begin in range(0, count, batch):
            if self.marks_steps:
                torch.compiler.cudagraph_mark_step_begin()
            loss, logits, y = self.step(order[begin:begin + batch])
            loss_sum += loss.double() * len(y)
            correct += (logits.argmax(1) == y).sum()
        return loss_sum.item() / count, correct.item() / count

    def random_step(self, batch):
        """A step on pictures drawn at random, done when it returns."""
        if self.marks_steps:
            torch.compiler.cudagraph_mark_step_begin()
        self.step(torch.randperm(len(self.y), device=self.device)[:batch])
        if self.device == "cuda":
            torch.cuda.synchronize()

    @torch.no_grad()
    def validate(self, x, y, batch):
        self.plain.eval()
        loss_sum, correct = 0.0, 0
        x, y = x.to(self.device).contiguous(memory_format=self.format), y.to(self.device)
        for begin in range(0, len(y), batch):
            logits = self.forward(x[begin:begin + batch]).float()
            part = y[begin:begin + batch]
            loss_sum += torch.nn.functional.cross_entropy(logits, part, reduction="sum").item()
            correct += (logits.argmax(1) == part).sum().item()
        self.plain.train()
        return loss_sum / len(y), correct / len(y)


class CapturedTraining(Training):
    """Its whole step, gathering, update and sums included, captured by hand as a CUDA graph: one a batch size."""

    def __init__(self, network, optimizer, precision="f32"):
        super().__init__(network, optimizer, precision, device="cuda")
        self.graphs = {}
        self.loss_sum = torch.zeros((), dtype=torch.float64, device="cuda")
        self.correct = torch.zeros((), dtype=torch.int64, device="cuda")

    def forward(self, x):
        # Weights cast once and kept would lie in another graph's memory.
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.short, cache_enabled=False):
            return self.model(x)

    def work(self, indices):
        x, y = self.x.index_select(0, indices), self.y.index_select(0, indices)
        logits = self.forward(x).float()
        loss = torch.nn.functional.cross_entropy(logits, y)
        loss.backward()
        self.optimizer.step()
        self.loss_sum += loss.detach().double() * len(indices)
        self.correct += (logits.detach().argmax(1) == y).sum()

    def captured(self, size):
        """The graph, and where it reads its indices. Gradients that are None when it is captured are assigned by
        every replay, not added to."""
        if size not in self.graphs:
            indices = torch.arange(size, device="cuda")
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.optimizer.zero_grad(set_to_none=True)
                    self.work(indices)
            torch.cuda.current_stream().wait_stream(side)
            self.optimizer.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.work(indices)
            self.graphs[size] = graph, indices
        return self.graphs[size]

    def step(self, indices):
        graph, place = self.captured(len(indices))
        place.copy_(indices)
        graph.replay()

    def epoch(self, batch):
        count = len(self.y)
        for size in {min(batch, count), count % batch} - {0}:
            self.captured(size)
        self.loss_sum.zero_()
        self.correct.zero_()
        order = torch.randperm(count, device="cuda")
        for begin in range(0, count, batch):
            self.step(order[begin:begin + batch])
        return self.loss_sum.item() / count, self.correct.item() / count


def fashion_mnist(folder, part):
    """"train" or "t10k": normalised floats N×1×28×28, and labels."""
    from pytorch.golden import normalised, read_idx

    pictures = read_idx(folder / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz", 8)
    return normalised(pictures).float(), torch.from_numpy(labels.astype("int64"))


def random_pictures(network, size, count):
    channels, classes = (3, 1000) if network.startswith("resnet") and network != "resnet" else (1, 10)
    return torch.randn(count, channels, size, size), torch.randint(classes, (count,))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="convnet")
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="sgd")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--contiguous", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    networks.use_threads(options.threads)
    if options.device == "cuda":
        prepare_cuda()
    training = Training(options.network, options.optimizer, options.precision, not options.contiguous, options.compile,
                        options.device)
    if options.steps:
        training.use(*random_pictures(options.network, options.size, options.batch))
        for _ in range(options.steps):
            training.random_step(options.batch)
        return
    training.use(*fashion_mnist(options.data, "train"))
    loss, accuracy = training.epoch(options.batch)
    valid_loss, valid_accuracy = training.validate(*fashion_mnist(options.data, "t10k"), 2 * options.batch)
    torch.save(training.plain.state_dict(), options.out)
    print(f"train {loss:.3f} {accuracy:.3f}, valid {valid_loss:.3f} {valid_accuracy:.3f}")


if __name__ == "__main__":
    main()
