"""What `ddpm-codec train` does, in PyTorch and bfloat16: twice as fast on CPUs with AVX512-BF16, for long runs.

    python train.py --from models/photo --data photos --out run --hours 30 --cooldown 0.3
    python train.py --from models/photo --config four-levels.json --data photos --out run --hours 30   # another architecture
    python train.py --from models/photo --data photos --out run --hours 3 --band 4:60                  # weights for a band
    python train.py --from models/cifar10 --data data_batch_*.bin --out run --hours 10 --side 32 --batch 64 --band 1:1000

`--rest 0.1` leaves a tenth of the crops to the other timesteps, so that the network does not forget them.

Of a model with bands, a run begins with the weights for all other timesteps.

OUT gets the average of the weights (config.json, diffusion_pytorch_model.safetensors), checkpoint.pt, from which the same
command goes on (Ctrl-C stops in good order), and log.jsonl. Timesteps of a band are uniform in log snr, so that their loss is the band's rate. Needs
PyTorch 2, NumPy and Pillow.
"""

import argparse
import copy
import json
import math
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from fused import compile_fused
from model_files import CONFIG, WEIGHTS, read_model, write_safetensors
from muon import Muon
from pictures import SIZES, Crops, read_pictures

# 1000 steps with betas from 1e-4 to 0.02 (Ho et al. 2020, section 4). ABAR[t - 1] belongs to timestep t.
ABAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
SNR = ABAR / (1 - ABAR)
# A step from t to t - 1 costs half the squared error of eps for each e-fold of snr between them. L_0, which ends at no snr,
# costs as much as one e-fold would. (`ddpm-codec train` counts it as long as the step before it, 0.79.)
LOG_SNR = [SNR[0].log().item() + 1, *SNR.log().tolist()]
# Timesteps at which validation evaluates its chain.
VALIDATED = [350, 260, 215, 180, 150, 125, 104, 86, 71, 58, 47, 38, 30, 23, 17, 12, 8, 5, 3, 2, 1]
HELD_FIRST, HELD_EVERY = 7, 16
GRADIENT_CLIP = 1.0


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--from", dest="start", required=True, help="directory of the model to begin with")
    add("--config", help="config.json of another architecture, which begins with what fits of the model's weights")
    add("--data", nargs="+", required=True, help="directories, .zip files of pictures, CIFAR-10's .bin files")
    add("--out", required=True, type=Path)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="of training, all runs together")
    length.add_argument("--wall", type=float, help="seconds from now until the program has ended, for a machine lent by the minute")
    add("--batch", type=int, default=8)
    add("--side", type=int, default=96, help="of a crop")
    add("--late-side", type=int, help="of the crops in the last 30 %% of the run, fewer of them")
    add("--band", default="4:400", help="LEAST:MOST timestep")
    add("--rest", type=float, default=0, help="share of the crops whose timestep is outside the band")
    add("--weighting", type=float, default=0, help="weights the loss by snr^-W: 0 for the rate in bits, 0.5 for about the same share of the error at all timesteps")
    add("--lr", type=float, default=1e-3)
    add("--warmup", type=int, default=100, help="steps")
    add("--cooldown", type=float, default=0.3, help="share of the run in which the learning rate falls to 0")
    add("--ema", type=float, default=0.998)
    add("--threads", type=int, default=os.cpu_count())
    add("--float32", action="store_true", help="instead of bfloat16")
    add("--compile", action="store_true", help="pays on a GPU")
    add("--seed", type=int, default=1)
    o = parser.parse_args()
    least, most = o.band = tuple(map(int, o.band.split(":")))
    if not 1 <= least < most <= len(SNR):
        parser.error(f"--band: expected LEAST:MOST within 1:{len(SNR)}, got {least}:{most}")
    if not 0 <= o.rest < 1 or (o.rest and most - least + 1 == len(SNR)):
        parser.error(f"--rest: expected a share below 1, and a band that leaves timesteps to it, got {o.rest} and {least}:{most}")
    return o


def keep_freed_memory():
    """Starts the program again with glibc told to keep what is freed, and to ask for pages of 2 MiB.

    Otherwise, the kernel clears the memory of every large tensor anew, and small pages take 5 % of the time.
    """
    kept = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=2147483647:glibc.malloc.top_pad=268435456"
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "GLIBC_TUNABLES": kept})


def timestep_at(log_snr):
    """The first timestep of 1..1000 whose log snr is not above the given one."""
    return torch.searchsorted(-SNR.log().float(), -log_snr).clamp(0, 999) + 1


def log_snr_at(spread, band, rest):
    """Takes quantiles in [0, 1) to log snr: the first @rest of them outside the band, the others in it, uniform in both."""
    least, most = band
    bottom, low, high, top = (LOG_SNR[t] for t in (len(SNR), most, least - 1, 0))
    inside = low + (high - low) * (spread - rest) / (1 - rest)
    outside = bottom + (low - bottom + top - high) * spread / max(rest, 1e-9)
    return np.where(spread >= rest, inside, np.where(outside < low, outside, outside + high - low))


def weights_of(weighting, band):
    """Weights of the loss at t = 1..1000: snr^-weighting, with a mean of 1 over the band where it is uniform in log snr."""
    least, most = band
    low, high = LOG_SNR[most], LOG_SNR[least - 1]
    mean = (math.exp(-weighting * low) - math.exp(-weighting * high)) / (weighting * (high - low)) if weighting else 1
    return (SNR ** -weighting / mean).float()


class Stop:
    """Ctrl-C and SIGTERM, after which the step under way is finished and a checkpoint saved. A second Ctrl-C ends the program at once."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.ask)

    def ask(self, number, _frame):
        self.asked = True
        signal.signal(number, signal.SIG_DFL)


class Trainer:
    """A network, the average of its weights and its optimizer. On a CPU each thread works on its own part of the batch."""

    def __init__(self, model, o):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.parameters = list(self.model.parameters())
        self.optimizer = Muon(self.model.named_parameters())
        self.weights = weights_of(o.weighting, o.band).to(self.device)
        self.options, self.step, self.seen, self.seconds = o, 0, 0, 0.0
        self.parts = o.threads if self.device.type == "cpu" else 1
        torch.set_num_threads(1 if self.parts > 1 else o.threads)
        self.pool = ThreadPoolExecutor(self.parts)
        self.gradients_of = torch.compile(self.gradients) if o.compile else self.gradients

    def eps(self, model, xt, t):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=not self.options.float32):
            return model(xt.contiguous(memory_format=torch.channels_last), t - 1).float()

    def gradients(self, x, t, noise):
        """The simple loss (Ho et al. 2020, equation 14) with the weights of the timesteps, and its gradients."""
        abar = ABAR.float().to(self.device)[t - 1][:, None, None, None]
        errors = (self.eps(self.model, abar.sqrt() * x + (1 - abar).sqrt() * noise, t) - noise).square().mean((1, 2, 3))
        loss = (self.weights[t - 1] * errors).mean()
        return loss.detach(), torch.autograd.grad(loss, self.parameters)

    def learn(self, x, t, noise, rate):
        """Takes one step. Returns the loss."""
        parts = list(self.pool.map(self.gradients_of, *(v.chunk(self.parts) for v in (x, t, noise))))
        shares = [len(part) / len(x) for part in x.chunk(self.parts)]
        for i, p in enumerate(self.parameters):
            p.grad = sum(share * gradients[i] for share, (_, gradients) in zip(shares, parts))
        clip_gradients(self.parameters, self.step + 1, "Go on from the checkpoint with a lower --lr.")
        self.optimizer.step(rate, self.pool.map)
        self.step += 1
        self.seen += len(x)
        follow(self.average, self.parameters, self.step, self.options.ema)
        return sum(share * loss for share, (loss, _) in zip(shares, parts))

    @torch.no_grad()
    def validate(self, crops):
        """snr times the squared error of x̂0 by t, on an ideal chain. Half of it is the rate in nats per value for each e-fold of snr."""
        side, n = self.options.side, max(16, 24 * 96 * 96 // self.options.side**2)
        random = torch.Generator().manual_seed(0)
        x = crops.draw(n, side, np.random.default_rng(0))
        noise = lambda: torch.randn(x.shape, generator=random).to(self.device)
        y, snr, errors = torch.zeros_like(x), 0.0, {}
        for t in VALIDATED:
            # y is x plus noise of variance 1 / snr. Each step adds an observation of x with the additional snr.
            new = SNR[t - 1].item()
            y = (snr * y + (new - snr) * x + math.sqrt(new - snr) * noise()) / new
            snr = new
            xhat0 = torch.cat(list(self.pool.map(lambda part: self.xhat0(part, t), y.split(8))))
            errors[t] = F.mse_loss(xhat0, x).item() * snr
        return errors

    @torch.no_grad()
    def xhat0(self, y, t):
        """x̂0 of the averaged weights, from y = x_t / sqrt(abar)."""
        abar = ABAR[t - 1].item()
        eps = self.eps(self.average, math.sqrt(abar) * y, torch.full((len(y),), t, device=self.device))
        return (y - math.sqrt((1 - abar) / abar) * eps).clamp(-1, 1)

    def save(self, directory, config):
        state = {"model": self.model.state_dict(), "ema": self.average.state_dict(), "optimizer": self.optimizer.state()}
        torch.save({**state, "step": self.step, "seen": self.seen, "spent": self.seconds}, directory / "checkpoint.tmp")
        os.replace(directory / "checkpoint.tmp", directory / "checkpoint.pt")
        write_safetensors(directory / WEIGHTS, self.average.state_dict())
        (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    def resume(self, directory):
        if not (directory / "checkpoint.pt").exists():
            return
        state = torch.load(directory / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["ema"])
        self.optimizer.load(state["optimizer"])
        self.step, self.seen, self.seconds = state["step"], state["seen"], state["spent"]
        print(f"goes on after step {self.step}, {self.seconds / 3600:.2f} h", flush=True)


def rate_at(step, share, lr, warmup, cooldown):
    """The learning rate: rises over the warm-up, falls over the cool-down as 1 - sqrt (Hägele et al. 2024)."""
    down = 1 if share < 1 - cooldown else 1 - math.sqrt((share - 1 + cooldown) / cooldown)
    return lr * min(1, (step + 1) / max(warmup, 1)) * down


def clip_gradients(parameters, step, advice):
    """Limits the norm of all gradients together. Ends the program, with the advice, where it is not finite."""
    if not torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_CLIP).isfinite():
        raise SystemExit(f"The gradients of step {step} are not finite. {advice}")


@torch.no_grad()
def follow(average, parameters, step, ema):
    """Updates the moving average of the weights, which soon forgets the start. @step: 1 for the first"""
    torch._foreach_lerp_(list(average.parameters()), list(parameters), 1 - min(ema, (1 + step) / (10 + step)))


def held_out(pictures):
    """The training pictures, and those for validation: one in HELD_EVERY, from HELD_FIRST on."""
    rest = [picture for i, picture in enumerate(pictures) if i % HELD_EVERY != HELD_FIRST]
    return rest, pictures[HELD_FIRST::HELD_EVERY]


def batch_of(crops, step, share, o, device):
    """The batch of a step, which depends on the seed alone: crops, their timesteps spread by log_snr_at, and noise."""
    rng = np.random.default_rng([o.seed, step])
    side = o.late_side if o.late_side and share >= 0.7 else o.side
    n = max(1, round(o.batch * o.side**2 / side**2))
    x = crops.draw(n, side, rng)
    spread = (rng.permutation(n) + rng.random()) / n
    t = timestep_at(torch.from_numpy(log_snr_at(spread, o.band, o.rest)).float()).to(device)
    random = torch.Generator(device).manual_seed(o.seed * 1000003 + step)
    return x, t, torch.randn(x.shape, generator=random, device=device)


def train(o, began):
    o.out.mkdir(parents=True, exist_ok=True)
    model, config = read_model(o.start, o.config)
    if not (o.float32 or torch.cuda.is_available()):
        try:
            compile_fused()
        except Exception as error:
            print(f"goes on without the compiled function, a third slower: {error}", flush=True)
    trainer = Trainer(model, o)
    pictures = read_pictures(o.data)
    rest, held = held_out(pictures)
    sizes = SIZES if o.side >= 64 else SIZES[:1]
    crops = Crops(rest, max(o.side, o.late_side or 0), trainer.device, sizes)
    unseen = Crops(held or rest, o.side, trainer.device, sizes)
    size = sum(p.numel() for p in trainer.parameters)
    print(f"{len(rest)} pictures, {len(held)} held out, {size} parameters, {trainer.device}", flush=True)
    trainer.resume(o.out)

    def log(**more):
        about = {"step": trainer.step, "seen": trainer.seen, "hours": round(trainer.seconds / 3600, 4)}
        with open(o.out / "log.jsonl", "a") as file:
            file.write(json.dumps({**about, **more}) + "\n")

    on_gpu = trainer.device.type == "cuda"
    log(band=o.band, rest=o.rest, weighting=o.weighting, side=o.side, batch=o.batch)
    if trainer.step == 0:
        log(validation=trainer.validate(unseen))
    # Leaves time for the last save and validation.
    left = o.wall - (time.time() - began) - (25 if on_gpu else 60) if o.wall else None
    end = o.hours * 3600 if o.hours else trainer.seconds + max(0, left)
    saved = validated = told = time.time()
    told_seen, mean = trainer.seen, None
    stop = Stop()
    while trainer.seconds < end and not stop.asked:
        started, share = time.time(), trainer.seconds / end
        rate = rate_at(trainer.step, share, o.lr, o.warmup, o.cooldown)
        loss = trainer.learn(*batch_of(crops, trainer.step, share, o, trainer.device), rate)
        mean = loss if mean is None else mean.lerp(loss, 0.02)
        if trainer.step % (200 if on_gpu else 20) == 0:
            value = mean.item()
            log(loss=round(value, 5), lr=rate)
            speed = (trainer.seen - told_seen) / (time.time() - told)
            print(f"{trainer.step} loss {value:.5f} lr {rate:.1e} {speed:.1f} crops/s {trainer.seconds:.0f} s", flush=True)
            told, told_seen = time.time(), trainer.seen
        trainer.seconds += time.time() - started
        if time.time() - saved > (90 if on_gpu else 300):
            trainer.save(o.out, config)
            saved = time.time()
        if not on_gpu and time.time() - validated > 1800:
            log(validation=trainer.validate(unseen))
            validated = time.time()
    trainer.save(o.out, config)
    if stop.asked:
        raise SystemExit(f"stopped after step {trainer.step}; the same command goes on from there")
    errors = trainer.validate(unseen)
    log(validation=errors)
    print("validation", json.dumps({t: round(error, 5) for t, error in errors.items()}), flush=True)


if __name__ == "__main__":
    keep_freed_memory()
    train(options(), time.time())
