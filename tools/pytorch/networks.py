"""The built-in networks as PyTorch modules, with the same names, and how they are trained."""

import torch
from torch import nn

MEAN, STD = 0.28, 0.35  # of Fashion-MNIST, rounded as the course rounds them


class GeneralRelu(nn.Module):
    """leaky(x) − sub"""

    def __init__(self, leak=0.1, sub=0.4):
        super().__init__()
        self.leak, self.sub = leak, sub

    def forward(self, x):
        return nn.functional.leaky_relu(x, self.leak).sub_(self.sub)


def conv(inputs, outputs, kernel=3, stride=2, norm=True, act=True):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    if act:
        layers.append(GeneralRelu())
    return nn.Sequential(*layers)


def convnet():
    """The course's network: five convolutions with stride 2."""
    widths = [1, 8, 16, 32, 64]
    blocks = [conv(a, b) for a, b in zip(widths, widths[1:])]
    return nn.Sequential(*blocks, conv(64, 10, norm=False, act=False), nn.Flatten())


def convnet_deep():
    """The course's deeper network: the first convolution keeps the size, the last has a batch norm."""
    widths = [8, 16, 32, 64, 128]
    blocks = [conv(1, 8, stride=1), *[conv(a, b) for a, b in zip(widths, widths[1:])]]
    return nn.Sequential(*blocks, conv(128, 10, act=False), nn.Flatten())


class ResBlock(nn.Module):
    """The course's residual block: the second convolution has the stride, the skip path pools first."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.convs = nn.Sequential(conv(inputs, outputs, stride=1), conv(outputs, outputs, stride=stride, act=False))
        if inputs != outputs:
            self.idconv = conv(inputs, outputs, kernel=1, stride=1, norm=False, act=False)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(2, ceil_mode=True)
        self.act = GeneralRelu()

    def forward(self, x):
        skip = self.pool(x)
        if hasattr(self, "idconv"):
            skip = self.idconv(skip)
        return self.act(self.convs(x) + skip)


def resnet():
    """The course's residual network for 28×28 pictures."""
    widths = [8, 16, 32, 64, 128, 256]
    blocks = [ResBlock(1, 8, 1), *[ResBlock(a, b, 2) for a, b in zip(widths, widths[1:])]]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(256, 10, bias=False), nn.BatchNorm1d(10))


def make(name):
    """A built-in network by name, with PyTorch's initial weights."""
    if name.startswith("resnet") and name != "resnet":
        import torchvision

        return getattr(torchvision.models, name)(weights=None)
    makers = {
        "convnet": convnet,
        "convnet-deep": convnet_deep,
        "resnet": resnet,
    }
    return makers[name]()


def save(model, file):
    """Writes the state dict as safetensors, as anyone who uses PyTorch would."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, str(file))


def gradients_of(model, x, y):
    """Loss and gradients of the mean cross-entropy, batch statistics in use, in double for printing."""
    model.train()
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss.item(), {name: p.grad.detach().clone() for name, p in model.named_parameters()}


def use_threads(count):
    if count:
        torch.set_num_threads(count)
