"""One training step or evaluation of the U-Net for each line on stdin, timed: PyTorch's side of ../train.mjs and ../forward.mjs.

Arguments: config.json as a string, batch, threads, "train" or "forward". Prints a JSON line about itself, then seconds per step.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from unet import UNet

config, batch, threads, mode = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
network = UNet(config)
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
