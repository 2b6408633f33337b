"""Reference values for the tests, from a U-Net in PyTorch that shares nothing with the one in src/model.

    python3 bench/reference_unet.py options fixtures/reference/options    # the networks of test/model/unet-options.test.ts
    python3 bench/reference_unet.py pickles fixtures/import               # the files of test/model/import/*.test.ts
    python3 bench/reference_unet.py paper DIR                             # random weights in the paper's configuration, 143 MB

Needs PyTorch (1.13 and 2.x were tried) and NumPy. Written from the description of diffusers' UNet2DModel.
"""

import json
import math
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DEFAULTS = dict(
    _class_name="UNet2DModel", act_fn="silu", attention_head_dim=None, block_out_channels=[4, 8], center_input_sample=False,
    down_block_types=["DownBlock2D", "AttnDownBlock2D"], downsample_padding=0, flip_sin_to_cos=False, freq_shift=1,
    in_channels=3, layers_per_block=1, mid_block_scale_factor=1, norm_eps=1e-6, norm_num_groups=2, out_channels=3,
    resnet_time_scale_shift="default", sample_size=8, time_embedding_type="positional",
    up_block_types=["AttnUpBlock2D", "UpBlock2D"])

PAPER = {**DEFAULTS, "block_out_channels": [128, 256, 256, 256], "layers_per_block": 2, "norm_num_groups": 32,
         "sample_size": 32, "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
         "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]}

OPTIONS = {
    # Everything Dhariwal & Nichol 2021 have: time scales and shifts, heads, a learned variance.
    "scale-shift": dict(resnet_time_scale_shift="scale_shift", attention_head_dim=2, out_channels=6),
    # diffusers' own defaults.
    "modern": dict(downsample_padding=1, flip_sin_to_cos=True, freq_shift=0, attention_head_dim=4, norm_eps=1e-5),
    # Three levels of different widths, attention at the top one, two layers.
    "deep": dict(block_out_channels=[4, 6, 8], layers_per_block=2, attention_head_dim=2, downsample_padding=1,
                 down_block_types=["AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
                 up_block_types=["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]),
}

OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


class Network:
    """Runs with the weights in `p`; where a weight is missing, draws it first, so that its shape is told once."""

    def __init__(self, config, p=None, seed=0):
        self.c, self.p, self.draw = config, OrderedDict() if p is None else p, p is None
        self.random = torch.Generator().manual_seed(seed)

    def parameter(self, name, shape, mean=0.0, scale=None):
        if self.draw and name not in self.p:
            scale = 1 / math.sqrt(np.prod(shape[1:])) if scale is None else scale
            # Numbers that half precision holds exactly.
            self.p[name] = (mean + scale * torch.randn(shape, generator=self.random)).half().float()
        return self.p[name]

    def affine(self, name, shape):
        return self.parameter(name + ".weight", shape), self.parameter(name + ".bias", shape[:1], scale=0.1)

    def conv(self, x, name, out, size=3, **how):
        w, b = self.affine(name, (out, x.shape[1], size, size))
        return F.conv2d(x, w, b, **({"padding": size // 2} if not how else how))

    def linear(self, x, name, out):
        w, b = self.affine(name, (out, x.shape[-1]))
        return x @ w.T + b

    def norm(self, x, name):
        channels = x.shape[1]
        w = self.parameter(name + ".weight", (channels,), mean=1.0, scale=0.2)
        b = self.parameter(name + ".bias", (channels,), scale=0.2)
        g = x.reshape(x.shape[0], self.c["norm_num_groups"], -1)
        g = (g - g.mean(-1, keepdim=True)) / torch.sqrt(g.var(-1, unbiased=False, keepdim=True) + self.c["norm_eps"])
        return g.reshape(x.shape) * w[:, None, None] + b[:, None, None]

    def resnet(self, x, embedding, name, out):
        h = self.conv(F.silu(self.norm(x, name + ".norm1")), name + ".conv1", out)
        shifted = self.c["resnet_time_scale_shift"] == "scale_shift"
        time = self.linear(F.silu(embedding), name + ".time_emb_proj", 2 * out if shifted else out)[:, :, None, None]
        if shifted:
            h = self.norm(h, name + ".norm2") * (1 + time[:, :out]) + time[:, out:]
        else:
            h = self.norm(h + time, name + ".norm2")
        h = self.conv(F.silu(h), name + ".conv2", out)
        return h + (x if x.shape[1] == out else self.conv(x, name + ".conv_shortcut", out, 1))

    def attention(self, x, name, normalized=True):
        n, channels, height, width = x.shape
        h = (self.norm(x, name + ".group_norm") if normalized else x).reshape(n, channels, -1).transpose(1, 2)
        q, k, v = (self.linear(h, f"{name}.{part}", channels) for part in ("to_q", "to_k", "to_v"))
        size = self.c["attention_head_dim"] or channels
        heads = []
        for first in range(0, channels, size):
            own = slice(first, first + size)
            scores = q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(size)
            heads.append(torch.softmax(scores, -1) @ v[..., own])
        out = self.linear(torch.cat(heads, -1), name + ".to_out.0", channels)
        return x + out.transpose(1, 2).reshape(x.shape)

    def downsample(self, x, name):
        if self.c["downsample_padding"] == 1:
            return self.conv(x, name, x.shape[1], stride=2, padding=1)
        return self.conv(F.pad(x, (0, 1, 0, 1)), name, x.shape[1], stride=2)

    def __call__(self, x, t):
        c = self.c
        widths, layers = c["block_out_channels"], c["layers_per_block"]
        half = widths[0] // 2
        angles = t[:, None].float() * torch.exp(-math.log(10000) * torch.arange(half) / (half - c["freq_shift"]))
        waves = [angles.cos(), angles.sin()] if c["flip_sin_to_cos"] else [angles.sin(), angles.cos()]
        e = self.linear(torch.cat(waves, 1), "time_embedding.linear_1", 4 * widths[0])
        e = self.linear(F.silu(e), "time_embedding.linear_2", 4 * widths[0])
        h = self.conv(x, "conv_in", widths[0])
        skips = [h]
        for i, (width, kind) in enumerate(zip(widths, c["down_block_types"])):
            for j in range(layers):
                h = self.resnet(h, e, f"down_blocks.{i}.resnets.{j}", width)
                if kind.startswith("Attn"):
                    h = self.attention(h, f"down_blocks.{i}.attentions.{j}")
                skips.append(h)
            if i < len(widths) - 1:
                h = self.downsample(h, f"down_blocks.{i}.downsamplers.0.conv")
                skips.append(h)
        h = self.resnet(h, e, "mid_block.resnets.0", widths[-1])
        h = self.attention(h, "mid_block.attentions.0", c["resnet_time_scale_shift"] == "default")
        h = self.resnet(h, e, "mid_block.resnets.1", widths[-1])
        for i, (width, kind) in enumerate(zip(reversed(widths), c["up_block_types"])):
            for j in range(layers + 1):
                h = self.resnet(torch.cat([h, skips.pop()], 1), e, f"up_blocks.{i}.resnets.{j}", width)
                if kind.startswith("Attn"):
                    h = self.attention(h, f"up_blocks.{i}.attentions.{j}")
            if i < len(widths) - 1:
                h = h.repeat_interleave(2, 2).repeat_interleave(2, 3)
                h = self.conv(h, f"up_blocks.{i}.upsamplers.0.conv", width)
        return self.conv(F.silu(self.norm(h, "conv_norm_out")), "conv_out", c["out_channels"])


def evaluate(config, seed, timesteps, size):
    random = torch.Generator().manual_seed(seed + 1)
    sample = torch.randn(len(timesteps), 3, size, size, generator=random)
    network = Network(config, seed=seed)
    with torch.no_grad():
        output = network(sample, torch.tensor(timesteps))
    return network.p, dict(sample=sample, timestep=torch.tensor(timesteps).float(), output=output)


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().numpy().tobytes()
        dtype = {torch.float32: "F32", torch.float16: "F16"}[tensor.dtype]
        header[name] = dict(dtype=dtype, shape=list(tensor.shape), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


def old_names(weights):
    renamed = OrderedDict()
    for name, tensor in weights.items():
        for new, old in OLD_NAMES.items():
            name = name.replace(f"attentions.0.{new}", f"attentions.0.{old}").replace(f"attentions.1.{new}", f"attentions.1.{old}")
        renamed[name] = tensor
    return renamed


def options(directory):
    for seed, (name, changes) in enumerate(OPTIONS.items()):
        config = {**DEFAULTS, **changes}
        weights, io = evaluate(config, seed, [0, 737], 8)
        tensors = {f"unet.{key}": value.half() for key, value in weights.items()}
        write_safetensors(directory / f"{name}.safetensors", {**tensors, **io}, dict(config=json.dumps(config)))


def pickles(directory):
    """The same weights in the forms that PyTorch saves: what import makes of them must be the same."""
    one_level = dict(block_out_channels=[4], down_block_types=["AttnDownBlock2D"], up_block_types=["UpBlock2D"])
    config = {**DEFAULTS, **one_level}
    weights, _ = evaluate(config, 7, [0], 8)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_safetensors(directory / "diffusion_pytorch_model.safetensors", {k: v.half() for k, v in weights.items()}, dict(format="pt"))
    half = OrderedDict((name, tensor.half()) for name, tensor in old_names(weights).items())
    half._metadata = OrderedDict(version=1)
    torch.save(half, directory / "state-dict.bin")
    torch.save(half, directory / "legacy.pt", _use_new_zipfile_serialization=False)
    # Views: every second value of a storage, transposed matrices, and one storage for all of it; parameters; bfloat16's
    # relative in a training checkpoint with the average beside the weights.
    storage = torch.cat([t.half().flatten() for t in weights.values()])
    views, at = OrderedDict(), 0
    for name, tensor in weights.items():
        view = storage[at:at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
        if tensor.dim() == 2:
            view = view.T.contiguous().T
        elif name.startswith("conv_in.weight"):
            view = torch.stack([view, torch.zeros_like(view)], -1).flatten()[::2].view(tensor.shape)
        views["module." + name] = torch.nn.Parameter(view, requires_grad=False)
    other = OrderedDict(("module." + name, torch.zeros(1).half().expand(t.shape)) for name, t in weights.items())
    torch.save({"model": other, "ema": views, "step": 1000, "lr": 2e-4, "args": ["a", None, True]}, directory / "checkpoint.pth")


def paper(directory):
    torch.set_num_threads(2)
    weights, io = evaluate(PAPER, 0, [0, 250, 500, 999], 32)
    named = old_names(weights)
    # Lists of names and numbers, as PyTorch has it: what half precision cannot hold, too.
    named = OrderedDict((name, (t * 1.0001).float()) for name, t in named.items())
    with torch.no_grad():
        io["output"] = Network(PAPER, OrderedDict((n, w * 1.0001) for n, w in weights.items()))(io["sample"], io["timestep"])
    for part in ("safetensors", "pickle"):
        (directory / part).mkdir(parents=True, exist_ok=True)
        (directory / part / "config.json").write_text(json.dumps(PAPER, indent=2) + "\n")
    write_safetensors(directory / "safetensors" / "diffusion_pytorch_model.safetensors", named, dict(format="pt"))
    torch.save(named, directory / "pickle" / "diffusion_pytorch_model.bin")
    write_safetensors(directory / "io.safetensors", io, {})


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    dict(options=options, pickles=pickles, paper=paper)[sys.argv[1]](target)
