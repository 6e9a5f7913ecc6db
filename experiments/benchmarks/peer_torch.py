"""The tutorial's networks and procedure in PyTorch, for comparison. PyTorch is no dependency of this project."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Generator(nn.Module):
    """The tutorial's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(100, 25088)
        self.norm_7 = nn.BatchNorm2d(512, eps=1e-3, momentum=0.01)
        self.up_14 = nn.ConvTranspose2d(512, 256, 3, 2, 1, output_padding=1, bias=False)
        self.up_28 = nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False)
        self.norm_28 = nn.BatchNorm2d(128, eps=1e-3, momentum=0.01)
        self.image = nn.Conv2d(128, 1, 5, 1, 2, bias=False)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Generate images [B, 1, 28, 28]."""
        x = functional.relu(self.project(latents)).view(-1, 512, 7, 7)
        x = functional.leaky_relu(self.norm_7(x), SLOPE)
        x = functional.leaky_relu(self.up_14(x), SLOPE)
        x = functional.leaky_relu(self.norm_28(self.up_28(x)), SLOPE)
        return torch.tanh(self.image(x))


class Discriminator(nn.Module):
    """The tutorial's discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.down_14 = nn.Conv2d(1, 512, 5, 2, 2)
        self.down_7 = nn.Conv2d(512, 256, 3, 2, 1)
        self.mix_7 = nn.Conv2d(256, 128, 3, 1, 1)
        self.logit = nn.Linear(6272, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Judge images: logits [B]."""
        x = functional.leaky_relu(self.down_14(images), SLOPE)
        x = functional.dropout(x, 0.3, self.training)
        x = functional.leaky_relu(self.down_7(x), SLOPE)
        x = functional.leaky_relu(self.mix_7(x), SLOPE)
        return self.logit(x.flatten(1))[:, 0]


def make_runner(
    batch: int,
    num_steps: int,
    *,
    compiled: bool = False,
    graphs: bool = False,
    bfloat16: bool = False,
    channels_last: bool = False,
) -> tuple[Callable[[], None], tuple[int, int]]:
    """Give a function that takes `num_steps` steps, and both players' numbers of trainable weights.

    The networks are compiled where that or CUDA `graphs` are asked for; autocast chooses `bfloat16`.
    """
    torch.manual_seed(0)
    generator, discriminator = players = [
        net.to(
            DEVICE, memory_format=torch.channels_last if channels_last else torch.preserve_format
        )
        for net in (Generator(), Discriminator())
    ]
    sizes = tuple(sum(p.numel() for p in net.parameters()) for net in players)
    optimizers = [_adam(net) for net in players]
    data = _pixels()
    g, d = _compile(players, graphs) if compiled or graphs else players

    def loss_of(images: torch.Tensor, target: float) -> torch.Tensor:
        logits = d(images).float()
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def step() -> None:
        real = (data[torch.randint(len(data), (batch,), device=DEVICE)].float() - 127.5) / 127.5
        latents = torch.randn(batch, 100, device=DEVICE)
        generator.eval()
        with torch.no_grad():
            fake = g(latents)
        for images, target in ((real, 0.9), (fake, 0.1)):
            optimizers[1].zero_grad(set_to_none=True)
            loss_of(images, target).backward()
            optimizers[1].step()
        generator.train()
        discriminator.requires_grad_(False)
        optimizers[0].zero_grad(set_to_none=True)
        loss_of(g(latents), 0.9).backward()
        optimizers[0].step()
        discriminator.requires_grad_(True)

    def run() -> None:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat16):
            for _ in range(num_steps):
                step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return run, sizes


def _pixels() -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1, 28, 28), dtype=np.uint8)
    return torch.from_numpy(pixels).to(DEVICE)


def _compile(players: list[nn.Module], graphs: bool) -> list[nn.Module]:
    mode = "reduce-overhead" if graphs else "default"
    return [torch.compile(net, mode=mode) for net in players]


def _adam(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), 1e-4, betas=(0.3, 0.999), eps=1e-7)
