#!/usr/bin/env python3
"""Writes the names and shapes of PyTorch's state dicts that the built-in networks must match.

Needs torch and torchvision; the tests read only the text files beside this script.
"""
from pathlib import Path

import torch.nn as nn
import torchvision


def conv(inputs, outputs, kernel=3, stride=2, norm=True, act=True):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    if act:
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)


class ResBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.convs = nn.Sequential(
            conv(inputs, outputs, stride=1), conv(outputs, outputs, stride=stride, act=False)
        )
        self.idconv = conv(inputs, outputs, kernel=1, stride=1, norm=False, act=False)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(2, ceil_mode=True)
        self.act = nn.LeakyReLU(0.1)


def convnet():
    sizes = [1, 8, 16, 32, 64]
    blocks = [conv(a, b) for a, b in zip(sizes, sizes[1:])]
    return nn.Sequential(*blocks, conv(64, 10, norm=False, act=False), nn.Flatten())


def convnet_deep():
    sizes = [8, 16, 32, 64, 128]
    blocks = [conv(a, b) for a, b in zip(sizes, sizes[1:])]
    return nn.Sequential(conv(1, 8, stride=1), *blocks, conv(128, 10, act=False), nn.Flatten())


def resnet():
    sizes = [8, 16, 32, 64, 128, 256]
    blocks = [ResBlock(a, b, 2) for a, b in zip(sizes, sizes[1:])]
    return nn.Sequential(
        ResBlock(1, 8, 1), *blocks, nn.Flatten(), nn.Linear(256, 10, bias=False), nn.BatchNorm1d(10)
    )


def main():
    models = {
        "convnet": convnet(),
        "convnet-deep": convnet_deep(),
        "resnet": resnet(),
        "resnet18": torchvision.models.resnet18(),
        "resnet50": torchvision.models.resnet50(),
    }
    for name, model in models.items():
        rows = [f"{key} {'×'.join(map(str, value.shape)) or 'scalar'}" for key, value in model.state_dict().items()]
        (Path(__file__).parent / f"{name}.txt").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
