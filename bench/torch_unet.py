"""One training step or evaluation of the U-Net for each line on stdin, timed: PyTorch's side of bench/train.mjs and forward.mjs.

Arguments: config.json as a string, batch, threads, "train" or "forward". Prints a JSON line about itself, then seconds per step.
"""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

config, batch, threads, mode = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
CHANNELS = config["block_out_channels"]
EMBEDDING = 4 * CHANNELS[0]
GROUPS, EPSILON = config["norm_num_groups"], config["norm_eps"]


def norm(channels):
    return nn.GroupNorm(GROUPS, channels, eps=EPSILON)


class Resnet(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.norm1, self.norm2 = norm(before), norm(after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.time = nn.Linear(EMBEDDING, after)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(embedding)[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).flatten(2).transpose(1, 2)).chunk(3, -1)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(c), -1)
        return x + self.out(weights @ v).transpose(1, 2).reshape(n, c, h, w)


class Level(nn.Module):
    def __init__(self, pairs, attention):
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(*pair) for pair in pairs)
        self.attentions = nn.ModuleList(Attention(after) if attention else nn.Identity() for _, after in pairs)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers, last = config["layers_per_block"], len(CHANNELS) - 1
        self.conv_in = nn.Conv2d(3, CHANNELS[0], 3, padding=1)
        self.time = nn.Sequential(nn.Linear(CHANNELS[0], EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        skips, channels = [CHANNELS[0]], CHANNELS[0]
        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(CHANNELS):
            pairs = [(channels if i == 0 else width, width) for i in range(layers)]
            self.down.append(Level(pairs, config["down_block_types"][level].startswith("Attn")))
            channels = width
            skips += [width] * layers
            if level < last:
                self.downsample.append(nn.Conv2d(width, width, 3, stride=2))
                skips.append(width)
        self.mid = nn.ModuleList([Resnet(channels, channels), Resnet(channels, channels)])
        self.mid_attention = Attention(channels)
        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(reversed(CHANNELS)):
            pairs = []
            for _ in range(layers + 1):
                pairs.append((channels + skips.pop(), width))
                channels = width
            self.up.append(Level(pairs, config["up_block_types"][i].startswith("Attn")))
            if i < last:
                self.upsample.append(nn.Conv2d(width, width, 3, padding=1))
        self.norm_out = norm(channels)
        self.conv_out = nn.Conv2d(channels, config["out_channels"], 3, padding=1)

    def forward(self, x, t):
        half = CHANNELS[0] // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / (half - config["freq_shift"]))
        angles = t[:, None].float() * frequencies
        embedding = F.silu(self.time(torch.cat([angles.sin(), angles.cos()], 1)))
        h = self.conv_in(x)
        skips = [h]
        for level, block in enumerate(self.down):
            for resnet, attention in zip(block.resnets, block.attentions):
                h = attention(resnet(h, embedding))
                skips.append(h)
            if level < len(self.downsample):
                h = self.downsample[level](F.pad(h, (0, 1, 0, 1)))
                skips.append(h)
        h = self.mid[1](self.mid_attention(self.mid[0](h, embedding)), embedding)
        for level, block in enumerate(self.up):
            for resnet, attention in zip(block.resnets, block.attentions):
                h = attention(resnet(torch.cat([h, skips.pop()], 1), embedding))
            if level < len(self.upsample):
                h = self.upsample[level](F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(h)))


network = UNet()
average = [p.detach().clone() for p in network.parameters()]
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
images = torch.rand(batch, 3, 32, 32) * 2 - 1


def train():
    t = torch.randint(0, 1000, (batch,))
    noise = torch.randn_like(images)
    a = abar[t][:, None, None, None]
    optimizer.zero_grad()
    F.mse_loss(network(a.sqrt() * images + (1 - a).sqrt() * noise, t), noise).backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1)
    optimizer.step()
    with torch.no_grad():
        for mean, p in zip(average, network.parameters()):
            mean.lerp_(p, 0.0005)


@torch.inference_mode()
def forward():
    network(images, torch.full((batch,), 500))


step = {"train": train, "forward": forward}[mode]
about = {"version": torch.__version__, "parameters": sum(p.numel() for p in network.parameters())}
print(json.dumps(about), flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    step()
    print(time.perf_counter() - start, flush=True)
