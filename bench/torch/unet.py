"""The U-Net of this project in PyTorch, with the parameter names of diffusers' UNet2DModel."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from fused import norm_silu

# Values that a config.json must have to describe this network.
EXPECTED = {"act_fn": "silu", "attention_head_dim": None, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1}


def group_norm(config, channels):
    return nn.GroupNorm(config["norm_num_groups"], channels, eps=config["norm_eps"])


class Resnet(nn.Module):
    def __init__(self, config, before, after):
        super().__init__()
        self.norm1 = group_norm(config, before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.time_emb_proj = nn.Linear(4 * config["block_out_channels"][0], after)
        self.norm2 = group_norm(config, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(before, after, 1) if before != after else None

    def forward(self, x, embedding):
        h = self.conv1(norm_silu(self.norm1, x))
        h = self.conv2(norm_silu(self.norm2, h, self.time_emb_proj(embedding)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    """Attention with one head over all pixels. The matrices are applied as 1x1 convolutions, which keeps the memory layout."""

    def __init__(self, config, channels):
        super().__init__()
        self.group_norm = group_norm(config, channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        n, channels, height, width = x.shape
        h = self.group_norm(x)
        q, k, v = (pointwise(h, part).flatten(2) for part in (self.to_q, self.to_k, self.to_v))
        weights = torch.softmax(q.mT @ k / math.sqrt(channels), -1)
        return x + pointwise((v @ weights.mT).reshape(n, channels, height, width), self.to_out[0])


def pointwise(x, linear):
    return F.conv2d(x, linear.weight[:, :, None, None], linear.bias)


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Block(nn.Module):
    """The layers of one level, on the way down or up. `pairs` holds the channels before and after each."""

    def __init__(self, config, kind, pairs, downsampler=False, upsampler=False):
        super().__init__()
        channels = pairs[-1][1]
        self.resnets = nn.ModuleList(Resnet(config, *pair) for pair in pairs)
        self.attentions = nn.ModuleList(Attention(config, channels) for _ in pairs) if "Attn" in kind else None
        self.downsamplers = nn.ModuleList([Downsample(channels)]) if downsampler else None
        self.upsamplers = nn.ModuleList([Upsample(channels)]) if upsampler else None

    def layer(self, i, h, embedding):
        h = self.resnets[i](h, embedding)
        return h if self.attentions is None else self.attentions[i](h)


class Middle(nn.Module):
    def __init__(self, config, channels):
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(config, channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(config, channels)])

    def forward(self, h, embedding):
        return self.resnets[1](self.attentions[0](self.resnets[0](h, embedding)), embedding)


class TimeEmbedding(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.linear_1 = nn.Linear(channels, 4 * channels)
        self.linear_2 = nn.Linear(4 * channels, 4 * channels)
        half = channels // 2
        self.register_buffer("frequencies", torch.exp(-math.log(10000) * torch.arange(half) / (half - 1)), persistent=False)

    def forward(self, t):
        angles = t[:, None].float() * self.frequencies
        return self.linear_2(F.silu(self.linear_1(torch.cat([angles.sin(), angles.cos()], 1))))


class UNet(nn.Module):
    """eps = unet(x_t, t): x_t [n, 3, height, width] with sides that every level can halve, t [n] from 0 (as diffusers counts)."""

    def __init__(self, config):
        super().__init__()
        for key, value in EXPECTED.items():
            if config.get(key, value) != value:
                raise SystemExit(f"config.json: {key} is {config[key]}; these programs know {value}")
        widths, layers = config["block_out_channels"], config["layers_per_block"]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0])
        self.down_blocks = nn.ModuleList()
        channels, skips = widths[0], [widths[0]]
        for level, (width, kind) in enumerate(zip(widths, config["down_block_types"])):
            pairs = [(channels if i == 0 else width, width) for i in range(layers)]
            self.down_blocks.append(Block(config, kind, pairs, downsampler=level < last))
            skips += [width] * (layers + (level < last))
            channels = width
        self.mid_block = Middle(config, channels)
        self.up_blocks = nn.ModuleList()
        for level, (width, kind) in enumerate(zip(reversed(widths), config["up_block_types"])):
            pairs = [((channels if i == 0 else width) + skips.pop(), width) for i in range(layers + 1)]
            self.up_blocks.append(Block(config, kind, pairs, upsampler=level < last))
            channels = width
        self.conv_norm_out = group_norm(config, channels)
        self.conv_out = nn.Conv2d(channels, config["out_channels"], 3, padding=1)

    def features(self, x, t):
        """The input of the last convolution, [n, block_out_channels[0], height, width]. The update starts from this."""
        embedding = F.silu(self.time_embedding(t))
        h = self.conv_in(x)
        skips = [h]
        for block in self.down_blocks:
            for i in range(len(block.resnets)):
                h = block.layer(i, h, embedding)
                skips.append(h)
            if block.downsamplers is not None:
                h = block.downsamplers[0](h)
                skips.append(h)
        h = self.mid_block(h, embedding)
        for block in self.up_blocks:
            for i in range(len(block.resnets)):
                h = block.layer(i, torch.cat([h, skips.pop()], 1), embedding)
            if block.upsamplers is not None:
                h = block.upsamplers[0](h)
        return norm_silu(self.conv_norm_out, h)

    def forward(self, x, t):
        return self.conv_out(self.features(x, t))
