"""The same networks and the same step as a plain PyTorch loop: a peer for `step.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

_STAGES = 3
_EPSILON = 1e-5  # of batch normalisation, as in kd_keras.models


class Block(nn.Module):
    """Two 3x3 convolutions, and a 1x1 convolution beside them where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.inner = nn.Sequential(
            *conv_bn(channels_in, channels, 3, stride), nn.ReLU(), *conv_bn(channels, channels, 3)
        )
        self.shortcut = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(*conv_bn(channels_in, channels, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.inner(x) + self.shortcut(x))


def conv_bn(channels_in: int, channels: int, size: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(channels, eps=_EPSILON)]


def resnet(depth: int, width: int = 16, num_classes: int = 10) -> nn.Module:
    """Return what `kd_keras.models.resnet` builds, from images scaled to -1..1."""
    layers = [*conv_bn(3, width, 3), nn.ReLU()]
    channels_in = width
    for stage in range(_STAGES):
        channels = width * 2**stage
        for block in range((depth - 2) // (2 * _STAGES)):
            layers.append(Block(channels_in, channels, 2 if stage and not block else 1))
            channels_in = channels
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels_in, num_classes)]
    return nn.Sequential(*layers, *pooled).to(memory_format=torch.channels_last)


def parameters(network: nn.Module) -> int:
    """Return the number of weights that are trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def step(
    teacher: nn.Module,
    student: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    temperature: float,
) -> Callable[[], float]:
    """Return one step of distillation with what the Distiller logs: loss, accuracy, agreement."""
    teacher.eval()
    student.train()
    # A view of (batch, height, width, channels) is what PyTorch calls channels_last.
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    classes = torch.from_numpy(labels)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01)
    logged = torch.zeros(3)

    def run() -> float:
        nonlocal logged
        x = pixels.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)
        optimizer.zero_grad(set_to_none=True)
        with torch.inference_mode():
            taught = teacher(x)
        # Out of inference mode, so that autograd may keep it.
        taught = taught.clone()
        logits = student(x)
        divergence = functional.kl_div(
            functional.log_softmax(logits / temperature, dim=-1),
            functional.log_softmax(taught / temperature, dim=-1),
            reduction="batchmean",
            log_target=True,
        )
        loss = 0.5 * functional.cross_entropy(logits, classes)
        loss = loss + 0.5 * temperature**2 * divergence
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            answers = logits.argmax(-1)
            right = (answers == classes).float().mean()
            agrees = (answers == taught.argmax(-1)).float().mean()
            logged = logged + torch.stack([loss.detach(), right, agrees])
        return loss.item()

    return run
