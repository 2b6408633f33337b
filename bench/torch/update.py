"""What `ddpm-codec train --update` does, in PyTorch and bfloat16.

    python update.py --model models/photo --data photos --out update.safetensors --hours 0.5

OUT is the file that lies beside the model's weights. Weights of bands lie there, too (band-4-60.safetensors), and are used.
docs/TRAINING.md says what is trained; needs what train.py needs. The hours are those of one core.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from model_files import read_networks, write_safetensors
from pictures import SIZES, Crops, read_pictures
from train import ABAR, SNR, clip_gradients, follow, held_out, rate_at, timestep_at

KEPT, WIDTH, BLOCKS, HIDDEN, OBSERVED = 16, 64, 3, 64, 9
OUTPUT_SCALE = 0.15
BATCH, SIDE, DRAWS = 4, 96, 3
LEAST, MOST = 5, 600
LOG_RATIOS = (0.08, math.log(4))
RATE, WARMUP, COOLDOWN, EMA = 2e-3, 100, 0.5, 0.998
LEAST_ERROR = (0.1 / 127.5) ** 2
VALIDATED, RATIOS = [400, 240, 110, 45, 14], [1.2, 1.5, 2, 3]


class Levels(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(2, HIDDEN), nn.Linear(HIDDEN, 4 * WIDTH)

    def forward(self, levels):
        return self.linear_2(F.silu(self.linear_1(levels)))[:, :, None, None].chunk(4, 1)


def gather(x):
    """Four pixels to a place: [N, C, H, W] -> [N, 4 C, H / 2, W / 2], channels in order of row, column, channel."""
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def scatter(x):
    """The inverse of gather."""
    n, c, h, w = x.shape
    return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)


class Update(nn.Module):
    """The network of src/model/update.ts, with its names."""

    def __init__(self, features):
        super().__init__()
        conv = lambda before, after, size=3, **how: nn.Conv2d(before, after, size, padding=size // 2, **how)
        self.keep = conv(features, KEPT)
        self.conv_in = conv(4 * OBSERVED, WIDTH, bias=False)
        self.conv_kept = conv(4 * KEPT, WIDTH, 1, bias=False)
        for i in range(BLOCKS):
            self.add_module(f"conv_{i + 1}", conv(WIDTH, WIDTH))
        self.conv_out = conv(WIDTH, 12)
        self.levels = Levels()
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, kept, asked, later):
        """Current x̂0. @kept: self.keep of the evaluation's features @asked: its x̂0, y and snr @later: current y and snr."""
        (xhat0, y, before), (now, after) = asked, later
        wide = lambda v: v[:, None, None, None]
        u = (wide(after) * now - wide(before) * y) / wide(after - before)
        deviations = [(u - xhat0) * wide((after - before).sqrt()), (y - xhat0) * wide(before.sqrt())]
        observed, known = (
            gather(v).contiguous(memory_format=torch.channels_last) for v in (torch.cat([xhat0, *deviations], 1), kept)
        )
        levels = torch.stack([before.log() / 3 - 1, (after / before).log() * 2 - 1], 1)
        scale_1, shift_1, scale_2, shift_2 = self.levels(levels)
        h = F.silu((self.conv_in(observed) + self.conv_kept(known)) * (1 + scale_1) + shift_1)
        h = h + F.silu(self.conv_1(h) * (1 + scale_2) + shift_2)
        for i in range(1, BLOCKS):
            h = h + F.silu(getattr(self, f"conv_{i + 1}")(h))
        return xhat0 + scatter(self.conv_out(h)) * wide(OUTPUT_SCALE / after.sqrt())


@torch.no_grad()
def evaluate(networks, y, t):
    """x̂0 and last features of the large network, of that for each t. @y: x_t / sqrt(abar)"""
    abar = ABAR.float()[t - 1][:, None, None, None]
    xt = (abar.sqrt() * y).contiguous(memory_format=torch.channels_last)
    asked = torch.tensor([next(i for i, (least, most, _) in enumerate(networks) if least <= one <= most) for one in t.tolist()])
    eps, features = torch.empty_like(xt), None
    for i in asked.unique().tolist():
        network, these = networks[i][2], asked == i
        with torch.autocast("cpu", torch.bfloat16):
            last = network.features(xt[these], t[these] - 1)
            eps[these] = network.conv_out(last).float()
        if features is None:
            features = torch.empty(len(y), *last.shape[1:]).to(memory_format=torch.channels_last)
        features[these] = last.float()
    return ((xt - (1 - abar).sqrt() * eps) / abar.sqrt()).clamp(-1, 1), features


def observe(x, y, before, after):
    """The later y: the earlier one combined with what has been observed of x since."""
    wide = lambda v: v[:, None, None, None]
    fresh = x + torch.randn_like(x) / wide((after - before).sqrt())
    return (wide(before) * y + wide(after - before) * fresh) / wide(after)


def noisy(x, t):
    snr = SNR.float()[t - 1]
    return x + torch.randn_like(x) / snr.sqrt()[:, None, None, None], snr


def squared_errors(a, b):
    return ((a - b) ** 2).mean((1, 2, 3))


def loss_of(update, networks, x, t):
    y, before = noisy(x, t)
    xhat0, features = evaluate(networks, y, t)
    errors = squared_errors(xhat0, x).clamp_min(LEAST_ERROR)
    weights = (before / errors).sqrt()
    weights = weights / (weights * errors).mean()
    kept, losses = update.keep(features), []
    for _ in range(DRAWS):
        after = before * torch.empty(len(x)).uniform_(*LOG_RATIOS).exp()
        now = observe(x, y, before, after)
        losses.append((squared_errors(update(kept, (xhat0, y, before), (now, after)), x) * weights).mean())
    return sum(losses) / DRAWS


@torch.no_grad()
def shares(update, networks, x):
    """By t and ratio: the share of the large network's gain in squared error from a new evaluation that the update achieves."""
    torch.manual_seed(5)
    found = {}
    for t in VALIDATED:
        asked = torch.full((len(x),), t)
        y, before = noisy(x, asked)
        xhat0, features = evaluate(networks, y, asked)
        error, kept, found[t] = F.mse_loss(xhat0, x), update.keep(features), []
        for ratio in RATIOS:
            after = before * ratio
            now = observe(x, y, before, after)
            anew, _ = evaluate(networks, now, timestep_at(after.log()))
            gained = error - F.mse_loss(anew, x)
            found[t].append(round(((error - F.mse_loss(update(kept, (xhat0, y, before), (now, after)), x)) / gained).item(), 3))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--hours", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=3)
    o = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(o.seed)
    networks, config = read_networks(o.model)
    for _, _, network in networks:
        network.requires_grad_(False).to(memory_format=torch.channels_last)
    update = Update(config["block_out_channels"][0]).to(memory_format=torch.channels_last)
    average = copy.deepcopy(update)
    optimizer = torch.optim.Adam(update.parameters(), betas=(0.9, 0.99))
    rest, held = held_out(read_pictures(o.data))
    crops = Crops(rest, SIDE, "cpu", SIZES)
    unseen = Crops(held or rest, SIDE, "cpu", SIZES).draw(24, SIDE, np.random.default_rng(5))
    low, high = SNR[MOST - 1].log().item(), SNR[LEAST - 2].log().item()
    began, step, mean = time.process_time(), 0, None
    while (share := (time.process_time() - began) / (o.hours * 3600)) < 1:
        x = crops.draw(BATCH, SIDE, np.random.default_rng([o.seed, step]))
        t = timestep_at(low + (high - low) * (torch.arange(BATCH) + torch.rand(1)) / BATCH)
        optimizer.param_groups[0]["lr"] = rate_at(step, share, RATE, WARMUP, COOLDOWN)
        loss = loss_of(update, networks, x, t)
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(update.parameters(), step + 1, "Check the model's weights, or try another --seed.")
        optimizer.step()
        step += 1
        follow(average, update.parameters(), step, EMA)
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        if step % 200 == 0:
            print(f"{step} loss {mean:.4f} {time.process_time() - began:.0f} s", flush=True)
    write_safetensors(o.out, average.state_dict())
    print(f"{step} steps, shares by t at ratios {RATIOS}:", json.dumps(shares(average, networks, unseen)), flush=True)


if __name__ == "__main__":
    main()
