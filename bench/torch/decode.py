"""A decoder of `.ddc` files in Python and PyTorch, written from docs/FORMAT.md alone. The sections cited here are its sections.

    python3 bench/torch/decode.py FILE.ddc -o OUT.png [--model DIR] [--bytes N] [--device cpu] [--threads 1]
    python3 bench/torch/decode.py --check fixtures/golden        every .ddc there against the .rgb beside it

It needs torch and numpy. It does not decode tolerantly (section 11), does not read metadata (section 10) and knows realism 0 alone.
"""
import argparse
import hashlib
import json
import math
import struct
import sys
import time
import zlib
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

MASK = 0xFFFFFFFF
MODELS = Path(__file__).resolve().parents[2] / 'models'


class Refused(Exception):
    """The file breaks a rule of the format, or is damaged."""


class Uncertain(Exception):
    """The file ends before this symbol is certain (section 8)."""


# ---------------------------------------------------------------------------------------------------- numbers and checks

def crc(bits, size, polynomial, value):
    """A CRC that is not reflected, of bits, the most significant first (sections 1 and 2)."""
    for bit in bits:
        value = (value << 1 ^ (polynomial if (value >> size - 1 ^ bit) & 1 else 0)) & (1 << size) - 1
    return value


def bits_of(data):
    return np.unpackbits(np.frombuffer(data, np.uint8)).tolist()


def crc16(bits):
    """CRC-16/IBM-3740 (section 2)."""
    return crc(bits, 16, 0x1021, 0xFFFF)


def crc32c(data):
    """CRC-32C (section 8)."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    value = MASK
    for byte in data:
        value = table[(value ^ byte) & 255] ^ value >> 8
    return value ^ MASK


class Reader:
    """Bytes in order. EOFError at the end of the file."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, n):
        if self.at + n > len(self.data):
            raise EOFError
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), 'big')

    def leb(self, limit, what):
        """Unsigned LEB128 in its shortest form, below the limit (section 1)."""
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte == 0 and shift > 7 or value >= limit or shift > 35:
                raise Refused(f'{what} is out of range or not in its shortest form')
            if byte < 128:
                return value


ROOTS = [math.sqrt(2)]
while len(ROOTS) < 8:
    ROOTS.append(math.sqrt(ROOTS[-1]))


def power(x):
    """2^(x / 256) for an integer x (section 6)."""
    x = max(-64 * 256, min(64 * 256, x))
    result = 1.0
    for bit in range(7, -1, -1):
        if x & 1 << bit:
            result *= ROOTS[7 - bit]
    return math.ldexp(result, x >> 8)


# --------------------------------------------------------------------------------------------------------- random numbers

class Stream:
    """Tyche-i, seeded with a string (section 3)."""

    def __init__(self, name):
        self.state = 0, 0, 0x9E3779B9, 1367130551
        for k in range(len(name) + 20):
            a, b, c, d = self.state
            self.state = a, b ^ (ord(name[k]) if k < len(name) else 0), c, d
            self.numbers(1)

    def numbers(self, n):
        """The next n numbers, unsigned."""
        a, b, c, d = self.state
        out = [0] * n
        for k in range(n):
            b = (b << 25 & MASK | b >> 7) ^ c
            c = c - d & MASK
            d = (d << 24 & MASK | d >> 8) ^ a
            a = a - b & MASK
            b = (b << 20 & MASK | b >> 12) ^ c
            c = c - d & MASK
            d = d << 16 & MASK ^ c >> 16 ^ a
            a = a - b & MASK
            out[k] = a
        self.state = a, b, c, d
        return np.array(out, np.uint32)

    def signs(self, n):
        """n signs, 32 of each number, the least significant bit first: 1 or -1."""
        words = self.numbers((n + 31) // 32).astype('<u4')
        return 1 - 2 * np.unpackbits(words.view(np.uint8), bitorder='little')[:n].astype(np.int64)

    def permutation(self, n):
        """`order` of section 5."""
        j = np.arange(n - 1, 0, -1)
        targets = np.floor(self.numbers(n - 1) / 2.0 ** 32 * (j + 1)).astype(np.int64).tolist()
        order = list(range(n))
        for j, k in zip(range(n - 1, 0, -1), targets):
            order[j], order[k] = order[k], order[j]
        return np.array(order)


# ----------------------------------------------------------------------------------------------------------------- header

def read_header(data):
    """All fields of the header, with the refusals that need no model (section 1)."""
    if len(data) < 2 or data[0] != 0xDD or data[1] != 0xC7:
        raise Refused('not a .ddc file of version 7')
    r, h = Reader(data, 2), SimpleNamespace(seed=0, count=None, features=0, stop=None, mean=None, held=[])
    try:
        flags = r.number(1)
        h.nu, h.tail = (flags & 15) + 4, bool(flags & 128)
        if h.nu > 16:
            raise Refused('nu is above 16')
        h.id, plan = r.take(3).hex(), r.number(2)
        h.first, h.second, h.load, h.pace = (plan >> 9) - 64, (plan >> 5 & 15) - 8, plan >> 3 & 1, plan & 7
        h.width = h.height = r.leb(1 << 24, 'the width') + 1
        if not plan & 16:
            h.height = r.leb(1 << 24, 'the height') + 1
            if h.height == h.width:
                raise Refused("a square's height is stated")
        if flags & 32:
            h.seed = r.leb(1 << 32, 'the seed')
            if h.seed == 0:
                raise Refused('a seed of 0 is stated')
        if flags & 64:
            h.count = r.leb(1 << 14, 'the step count')
        if flags & 16:
            h.features = r.number(1)
            if h.features == 0:
                raise Refused('features that are 0 are stated')
        if h.features & 4:
            h.stop = r.leb(1 << 14, 'the stop')
        if h.features & 8:
            mean = r.number(2)
            h.mean = mean >> 11, mean >> 5 & 63, mean & 31
        if h.features & 16:
            number, last = r.leb(1 << 14, 'the number of held steps'), 0
            if number == 0:
                raise Refused('no held steps where their number is stated')
            for _ in range(number):
                last += r.leb(1 << 14, 'a held step') + 1
                h.held.append(last)
        h.detail = h.features >> 6 ^ 2
        if crc(bits_of(data[:r.at]), 8, 0x2F, 0xFF) ^ 0xFF != r.number(1):
            raise Refused("the header's CRC is wrong")
    except EOFError:
        raise Refused('the file ends within its header') from None
    h.dimensions, h.end = 3 * h.width * h.height, r.at
    if h.width * h.height > 1 << 26:
        raise Refused('the picture has more than 2^26 pixels')
    return h


# ------------------------------------------------------------------------------------------------------------------ model

def ecmascript(value):
    """JSON as JSON.stringify writes it, with the keys of objects sorted (section 7)."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode('utf-16-be'))
        return '{' + ','.join(ecmascript(key) + ':' + ecmascript(value[key]) for key in keys) + '}'
    if isinstance(value, list):
        return '[' + ','.join(map(ecmascript, value)) + ']'
    if not isinstance(value, float):
        return json.dumps(value, ensure_ascii=False)
    text = repr(value).removesuffix('.0')
    if 'e' not in text:
        return text
    mantissa, exponent = text.split('e')
    return format(Decimal(text), 'f') if -7 < int(exponent) < 21 else f'{mantissa}e{int(exponent):+d}'


def architecture(c):
    """`config` of the id's text, from config.json (section 7)."""
    down, up = c.get('down_block_types'), c.get('up_block_types')
    channels = c.get('block_out_channels', [224, 448, 672, 896])
    many = len(channels) - 1
    config = {
        'inChannels': c.get('in_channels', 3), 'outChannels': c.get('out_channels', 3),
        'blockOutChannels': channels, 'layersPerBlock': c.get('layers_per_block', 2),
        'downAttention': [x.startswith('Attn') for x in down] if down else [False] + [True] * many,
        'upAttention': [x.startswith('Attn') for x in up] if up else [True] * many + [False],
        'attentionHeadDim': c.get('attention_head_dim', 8),
        'normNumGroups': c.get('norm_num_groups', 32), 'normEps': c.get('norm_eps', 0.00001),
        'freqShift': c.get('freq_shift', 0), 'flipSinToCos': c.get('flip_sin_to_cos', True),
        'downsamplePadding': c.get('downsample_padding', 1), 'centerInputSample': c.get('center_input_sample', False)}
    if c.get('patch_size', 1) != 1:
        config['patchSize'] = c['patch_size']
    if c.get('resnet_time_scale_shift') == 'scale_shift':
        config['timeScaleShift'] = True
    return config


def read_safetensors(path, device):
    """All tensors of a file, in single precision. Old names of attention layers become the new ones (section 7)."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], 'little')
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != '__metadata__':
            start, end = entry['data_offsets']
            kind = {'F16': '<f2', 'F32': '<f4'}[entry['dtype']]
            values = np.frombuffer(data[8 + size + start:8 + size + end], kind).astype(np.float32).reshape(entry['shape'])
            for old, new in ('query', 'to_q'), ('key', 'to_k'), ('value', 'to_v'), ('proj_attn', 'to_out.0'):
                name = name.replace(f'.{old}.', f'.{new}.') if '.attentions.' in name else name
            tensors[name] = torch.from_numpy(values).to(device)
    return tensors


CODEC_KEYS = 'schedule tiling profile pyramid symmetry residuals bands parameterization'.split()


def model_id(folder):
    """The hash of a model's directory, in hexadecimal (section 7)."""
    codec = json.loads((folder / 'codec.json').read_text('utf-8'))
    text = {key: codec[key] for key in CODEC_KEYS if key in codec}
    text['config'] = architecture(json.loads((folder / 'config.json').read_text('utf-8')))
    digest = hashlib.sha256(ecmascript(text).encode())
    for name in 'diffusion_pytorch_model.safetensors', 'update.safetensors':
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def betas(schedule):
    """beta_t, t = 1..T (section 7, Noise)."""
    T, kind = schedule['timesteps'], schedule['betaSchedule']
    start, end = schedule.get('betaStart'), schedule.get('betaEnd')

    def cosine(x):
        q, total = x * x, 1.0
        for n in range(24, 0, -2):
            total = 1 - (total * q) / (n * (n - 1))
        return total

    def f(i):
        c = cosine((((i / T + 0.008) / 1.008) * 3.141592653589793) / 2)
        return c * c

    if kind == 'linear':
        return [start + ((end - start) * (t - 1)) / (T - 1) for t in range(1, T + 1)]
    if kind == 'scaled_linear':
        a, b = math.sqrt(start), math.sqrt(end)
        return [r * r for r in (a + ((b - a) * (t - 1)) / (T - 1) for t in range(1, T + 1))]
    return [min(1 - f(t) / f(t - 1), 0.999) for t in range(1, T + 1)]


class Model:
    """A model's directory, ready for use (section 7)."""

    def __init__(self, folder, device='cpu'):
        self.device = device
        codec = self.codec = json.loads((folder / 'codec.json').read_text('utf-8'))
        self.config = architecture(json.loads((folder / 'config.json').read_text('utf-8')))
        self.weights = read_safetensors(folder / 'diffusion_pytorch_model.safetensors', device)
        self.bands = []
        for band in codec.get('bands', []):
            path = folder / f"band-{band['least']}-{band['most']}.safetensors"
            if hashlib.sha256(path.read_bytes()).hexdigest() != band['sha256']:
                raise Refused(f'{path} is not the file that the model names')
            self.bands.append((band['least'], band['most'], read_safetensors(path, device)))
        path = folder / 'update.safetensors'
        self.update = read_safetensors(path, device) if path.exists() else None
        self.T = codec['schedule']['timesteps']
        self.abar = [1.0]
        for beta in betas(codec['schedule']):
            self.abar.append(self.abar[-1] * (1 - beta))
        self.snr = [math.inf] + [a / (1 - a) for a in self.abar[1:]]
        self.pyramid = codec.get('pyramid')

    def full_from(self, detail, picture):
        """F of section 5: from which timestep on a halved picture does."""
        n = ((8, 10, 12, 13) if picture else (6, 8, 8, 10))[detail]
        return (n * self.pyramid['halfFrom'] + 5) // 10

    @lru_cache(maxsize=None)
    def half(self, t):
        """half(t) of section 5."""
        u, goal = t, 4 * self.snr[t]
        while self.snr[u] < goal and u > 1:
            u -= 1
        return u + 1 if u < t and goal * goal < self.snr[u] * self.snr[u + 1] else u


# ------------------------------------------------------------------------------------------------------------------- plan

def make_plan(h, model):
    """The steps: from t to s in B blocks of nu + 4 S bits, whether the network is asked after it (section 6)."""
    T, snr, D, nu = model.T, model.snr, h.dimensions, h.nu
    e = (811, 843, 869, 891, 908, 921, 929, 937, 944, 951, 956, 960, 964)[nu - 4] / 1000
    load = (1, 0.75)[h.load]
    pace = (0, 0.0045, 0.007, 0.01, 0.015, 0.022, 0.04, 0.08)[h.pace]
    profile = model.codec['profile']
    level = [0] + [m + h.first * a + h.second * b for m, a, b in zip(profile['mean'], *profile['components'])]

    def capacity(L):
        return e * L * L / (L + nu / 4)

    least = capacity(max(min(20, D / 8), nu + 4))
    sent = carried = before = 0.0
    t = asked = T
    steps = []
    while t > 1:
        root = math.sqrt(max(sent / D, 0.01))
        worth = ((pace * root) * math.sqrt(root)) * D
        work, u, width, height = 1.0, t, h.width, h.height
        while model.pyramid and u >= model.full_from(h.detail, False) and min(width, height) >= model.pyramid['leastSide']:
            work, u, width, height = work / 4, model.half(u), (width + 1) // 2, (height + 1) // 2
        f = 0.9 * math.sqrt(u / T)
        waste = worth * (0.06 + 0.1 * work) if model.update else worth * max(0.06, work)
        if t == asked:
            error = 0.25 if t == T else power(level[t])
        else:
            error = power(math.floor(f * level[asked] + (1 - f) * level[t]))
        s = t
        while True:
            s -= 1
            kl = 0.7213475204444817 * (snr[s] - snr[t]) * (error * D)
            if not (s > 1 and s != h.stop and (kl / load + carried < least or kl * (1 - snr[t] / snr[s]) < waste)):
                break
        sent = sent + kl
        wanted = kl / load + carried
        if wanted < least / 2:
            break
        bits = min(wanted, max(D, least)) / e
        B = max(1, math.ceil(bits / 1024))
        share = bits / B
        S = max(1, math.floor(((share + math.sqrt(share * share + nu * share)) / 2 - nu) / 4 + 0.5))
        L = nu + 4 * S
        missed = f * (sent - before) * (1 - snr[asked] / snr[s])
        ask = not model.update or asked > 0.6 * T or missed >= worth * work
        if ask:
            asked, before = s, sent
        steps.append(SimpleNamespace(t=t, s=s, B=B, S=S, L=L, ask=ask))
        carried = wanted - B * capacity(L)
        t = s
    return steps


# -------------------------------------------------------------------------------------------------------------- codewords

def hadamard(v):
    """H v, in natural order (section 4)."""
    v, span = v.copy(), 1
    while span < len(v):
        pairs = v.reshape(-1, 2, span)
        v = np.stack((pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]), 1).reshape(-1)
        span *= 2
    return v


@lru_cache(maxsize=4096)
def codebook_signs(r, P):
    return Stream(f'ddc1/codebook/{r}').signs(P)


def size_for(n):
    """The least of 16, 32, ..., 4096 that is at least n, or 4096 (section 4)."""
    return min(4096, max(16, 1 << math.ceil(n - 1).bit_length()))


def codeword(index, K, P, signs):
    """z of section 4, in single precision."""
    rows = min(P, 1 << K - 1)
    unit = np.zeros(P, np.int64)
    unit[(index >> 1) % rows] = 1
    c = hadamard(codebook_signs((index >> 1) // rows, P) * hadamard(unit))
    scale = (-1 if index & 1 else 1) / math.sqrt(P)
    return (signs * np.resize(c, len(signs)) * scale).astype(np.float32)


def block_codeword(bits, nu, S, n_max, signs):
    """The codewords of a block's path, stage after stage (section 4). `bits` is a text of 0 and 1."""
    n, L, p, start, parts = len(signs), nu + 4 * S, int(bits[:nu], 2), 0, []
    for i in range(S):
        K = nu + 4
        end = n * (nu + 4 * (i + 1)) // L
        u = 16 * p + int(bits[nu + 4 * i:nu + 4 * i + 4], 2)
        P = size_for(-(-n_max * (4 if i else K) // L))
        parts.append(codeword(u, K, P, signs[start:end]))
        p, start = u % (1 << nu), end
    return np.concatenate(parts)


def step_noise(h, number, step, bits):
    """z of a step, at its dimensions (section 5)."""
    D, B, stream = h.dimensions, step.B, Stream(f'ddc1/{h.seed}/{number}')
    signs = stream.signs(D)
    order, z = stream.permutation(D), np.zeros(D, np.float32)
    for b in range(B):
        start, end = b * D // B, (b + 1) * D // B
        z[order[start:end]] = block_codeword(bits[b * step.L:(b + 1) * step.L], h.nu, step.S, -(-D // B), signs[start:end])
    return z


# ---------------------------------------------------------------------------------------------------------------- network

def gather(x, p):
    """S of section 5: squares of p x p pixels become places (patch_size of section 7)."""
    return torch.cat([x[..., i::p, j::p] for i in range(p) for j in range(p)], -3)


def spread_out(x, p):
    """The inverse of `gather`."""
    n = x.shape[-3] // (p * p)
    out = x.new_zeros(*x.shape[:-3], n, x.shape[-2] * p, x.shape[-1] * p)
    for k in range(p * p):
        out[..., k // p::p, k % p::p] = x[..., k * n:(k + 1) * n, :, :]
    return out


def unet(config, w, x, tau):
    """The network of section 7 on one window: output and last features."""
    def conv(name, h, padding=1, stride=1):
        return F.conv2d(h, w[name + '.weight'], w[name + '.bias'], stride, padding)

    def linear(name, h):
        return F.linear(h, w[name + '.weight'], w[name + '.bias'])

    def norm(name, h):
        return F.group_norm(h, config['normNumGroups'], w[name + '.weight'], w[name + '.bias'], config['normEps'])

    def resnet(name, x):
        h = conv(name + '.conv1', F.silu(norm(name + '.norm1', x)))
        e = linear(name + '.time_emb_proj', time)[..., None, None]
        if shifted:
            a, b = e.chunk(2, 1)
            h = norm(name + '.norm2', h) * (1 + a) + b
        else:
            h = norm(name + '.norm2', h + e)
        h = conv(name + '.conv2', F.silu(h))
        return (conv(name + '.conv_shortcut', x, 0) if name + '.conv_shortcut.weight' in w else x) + h

    def attention(name, x, normed=True):
        _, C, H, W = x.shape
        h = (norm(name + '.group_norm', x) if normed else x).reshape(1, C, H * W).transpose(1, 2)
        d = config['attentionHeadDim'] or C
        q, k, v = (linear(f'{name}.to_{part}', h).reshape(1, H * W, C // d, d).transpose(1, 2) for part in 'qkv')
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, H * W, C)
        return x + linear(name + '.to_out.0', h).transpose(1, 2).reshape(1, C, H, W)

    shifted, layers = config.get('timeScaleShift', False), config['layersPerBlock']
    channels, patch = config['blockOutChannels'], config.get('patchSize', 1)
    half = channels[0] // 2
    f = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / (half - config['freqShift'])) * tau
    parts = (torch.cos(f), torch.sin(f)) if config['flipSinToCos'] else (torch.sin(f), torch.cos(f))
    time = torch.cat(parts)[None].to(x)
    time = F.silu(linear('time_embedding.linear_2', F.silu(linear('time_embedding.linear_1', time))))

    x = gather(x[None], patch)
    h = conv('conv_in', 2 * x - 1 if config['centerInputSample'] else x)
    pushed = [h]
    for b, attends in enumerate(config['downAttention']):
        for j in range(layers):
            h = resnet(f'down_blocks.{b}.resnets.{j}', h)
            h = attention(f'down_blocks.{b}.attentions.{j}', h) if attends else h
            pushed.append(h)
        if b < len(channels) - 1:
            pad = config['downsamplePadding']
            h = conv(f'down_blocks.{b}.downsamplers.0.conv', F.pad(h, (pad, 1, pad, 1)), 0, 2)
            pushed.append(h)
    h = resnet('mid_block.resnets.0', h)
    h = resnet('mid_block.resnets.1', attention('mid_block.attentions.0', h, not shifted))
    for b, attends in enumerate(config['upAttention']):
        for j in range(layers + 1):
            h = resnet(f'up_blocks.{b}.resnets.{j}', torch.cat((h, pushed.pop()), 1))
            h = attention(f'up_blocks.{b}.attentions.{j}', h) if attends else h
        if b < len(channels) - 1:
            h = conv(f'up_blocks.{b}.upsamplers.0.conv', h.repeat_interleave(2, 2).repeat_interleave(2, 3))
    features = F.silu(norm('conv_norm_out', h))
    return spread_out(conv('conv_out', features), patch)[0, :3], features


# ------------------------------------------------------------------------------------------------------- estimates (5)

def mirror(places, n):
    """Places of an axis that is mirrored without repeating the edge (section 5)."""
    period = max(1, 2 * (n - 1))
    return torch.minimum(places % period, period - places % period)


def windows(length, tile, overlap, stride):
    """Size, starts and weights of the windows along an axis (section 5)."""
    n = 1 if length <= tile else -(-(length - overlap) // (tile - overlap))
    size = -(-(length + (n - 1) * overlap) // (n * stride)) * stride
    starts = [math.floor(i * (length - size) / (n - 1) + 0.5) if n > 1 else 0 for i in range(n)]
    weights = np.zeros((n, max(length, starts[-1] + size)))
    j = np.arange(size)
    for i, start in enumerate(starts):
        weight = np.ones(size)
        if i > 0:
            weight = np.minimum(weight, (j + 0.5) / (starts[i - 1] + size - start))
        if i < n - 1:
            weight = np.minimum(weight, (size - j - 0.5) / (start + size - starts[i + 1]))
        weights[i, start:start + size] = weight
    weights = weights[:, :length]
    return size, starts, weights / weights.sum(0)


def halved(x):
    """M of section 5, of a picture [channels, height, width]."""
    for axis in 1, 2:
        n = x.shape[axis]
        even = torch.arange(0, n, 2, device=x.device)
        x = (x.index_select(axis, even) + x.index_select(axis, mirror(even + 1, n))) / 2
    return x


def doubled(a, like):
    """D of section 5, to the height and width of the picture `like`."""
    for axis in 2, 1:
        n = a.shape[axis]

        def at(offset):
            places = (torch.arange(n, device=a.device) + offset) % (2 * n)
            return a.index_select(axis, torch.minimum(places, 2 * n - 1 - places))

        d = (22 * (at(-1) - at(1)) - 3 * (at(-2) - at(2))) / 128
        a = torch.stack((a + d, a - d), axis + 1).flatten(axis, axis + 1).narrow(axis, 0, like.shape[axis])
    return a


class Estimator:
    """xhat0 of the states of a chain, pictures [3, height, width] (section 5)."""

    def __init__(self, h, model):
        self.h, self.model = h, model
        pyramid = model.pyramid
        if pyramid:
            shares = pyramid.get('shares')
            self.times = shares['timesteps'] if shares else [-(-pyramid['halfFrom'] // 4)]
            self.parts = shares['parts'] if shares else [[0, 200, 150, 300]]

    def network(self, x, t):
        """Output of the network at t, of all windows, and what is kept of it for an update."""
        model, (_, H, W) = self.model, x.shape
        weights = next((w for least, most, w in model.bands if least <= t <= most), model.weights)
        tiling = model.codec['tiling']
        stride = 2 ** (len(model.config['blockOutChannels']) - 1) * model.config.get('patchSize', 1)
        rows, columns = (windows(n, tiling['tile'], tiling['overlap'], stride) for n in (H, W))
        out, kept = torch.zeros_like(x), None
        for y, wy in zip(rows[1], rows[2]):
            for x0, wx in zip(columns[1], columns[2]):
                down = mirror(torch.arange(y, y + rows[0], device=x.device), H)
                across = mirror(torch.arange(x0, x0 + columns[0], device=x.device), W)
                o, features = unet(model.config, weights, x[:, down][:, :, across], t - 1)
                high, wide = min(rows[0], H - y), min(columns[0], W - x0)
                here = slice(None), slice(y, y + high), slice(x0, x0 + wide)
                weight = torch.from_numpy(np.outer(wy[here[1]], wx[here[2]])).to(x)
                out[here] += weight * o[:, :high, :wide]
                if model.update:
                    k = F.conv2d(features, model.update['keep.weight'], model.update['keep.bias'], padding=1)[0]
                    if kept is None:
                        kept = k.new_zeros(len(k), H, W)
                    more = torch.floor(2048 * weight * k[:, :high, :wide] + 0.5)
                    kept[here] = (kept[here] + more).clamp(-32767, 32767)
        return out, kept

    def plain(self, x, t):
        """xhat0 by the network at the picture's own size, and what is kept."""
        o, kept = self.network(x, t)
        abar, kind = self.model.abar, self.model.codec.get('parameterization', {}).get('prediction', 'eps')
        if kind == 'eps':
            o = (x - math.sqrt(1 - abar[t]) * o) / math.sqrt(abar[t])
        elif kind == 'v':
            o = math.sqrt(abar[t]) * x - math.sqrt(1 - abar[t]) * o
        elif kind == 'mu':
            ofx0, ofx, _ = coefficients(abar, t, t - 1)
            o = (o - ofx * x) / ofx0
        return o.clamp(-1, 1), kept

    def estimate(self, x, t, picture):
        """E(x, t) of section 5, and for an update: k, m and what is kept."""
        model = self.model
        if not model.pyramid:
            m, kept = self.plain(x, t)
            return m, (0, m, kept)
        full, least = model.full_from(self.h.detail, picture), model.pyramid['leastSide']
        if min(x.shape[1:]) < least or t < full and t < self.times[0]:
            m, kept = self.plain(x, t)
            return m, (0, m, kept)
        u = model.half(t)
        y = halved(x) * math.sqrt(model.abar[u] / model.abar[t])
        if t >= full:
            inner, (k, m, kept) = self.estimate(y, u, picture)
            return doubled(inner, x).clamp(-1, 1), (k + 1, m, kept)
        v = model.half(u)
        z = halved(y) * math.sqrt(model.abar[v] / model.abar[u])
        f, kept = self.plain(x, t)
        m = halved(halved(f))
        d = self.estimate(z, v, False)[0] - m
        s = [float(np.interp(t, self.times, [part[i] for part in self.parts])) / 1000 for i in range(4)]
        d2 = halved(d)
        d4 = halved(d2)
        inner = s[0] * m + s[1] * d + doubled(s[2] * d2 + doubled(s[3] * d4, d2), d)
        m = ((1 - s[0]) * f + doubled(doubled(inner, y), x)).clamp(-1, 1)
        return m, (0, m, kept)

    def moved(self, asked, x, s):
        """xhat0 of x_s by the update of the network's last estimate (section 5, Update)."""
        (k, m, kept), before, t = asked
        w, abar, snr = self.model.update, self.model.abar, self.model.snr
        sizes, a, b = [], before / math.sqrt(abar[t]), x / math.sqrt(abar[s])
        for _ in range(k):
            sizes.append(a)
            a, b = halved(a), halved(b)
        sigma, tau = 4 ** k * snr[t], 4 ** k * snr[s]
        u = (tau * b - sigma * a) / (tau - sigma)
        observed = torch.cat((m, math.sqrt(tau - sigma) * (u - m), math.sqrt(sigma) * (a - m)))

        def places(picture):
            _, H, W = picture.shape
            down = mirror(torch.arange(-10, H + 10 + H % 2, device=x.device), H)
            across = mirror(torch.arange(-10, W + 10 + W % 2, device=x.device), W)
            return gather(picture[None][:, :, down][:, :, :, across], 2)

        def conv(name, h, padding=1):
            return F.conv2d(h, w[name + '.weight'], w.get(name + '.bias'), padding=padding)

        levels = torch.tensor([math.log(sigma) / 3 - 1, 2 * math.log(tau / sigma) - 1]).to(x)
        levels = F.silu(F.linear(levels, w['levels.linear_1.weight'], w['levels.linear_1.bias']))
        levels = F.linear(levels, w['levels.linear_2.weight'], w['levels.linear_2.bias'])
        alpha, beta, gamma, delta = levels[:, None, None].chunk(4)
        h = conv('conv_in', places(observed)) + conv('conv_kept', places(kept / 2048), 0)
        h = F.silu(h * (1 + alpha) + beta)
        h = h + F.silu(conv('conv_1', h) * (1 + gamma) + delta)
        h = h + F.silu(conv('conv_2', h))
        h = h + F.silu(conv('conv_3', h))
        o = spread_out(conv('conv_out', h), 2)[0, :, 10:10 + m.shape[1], 10:10 + m.shape[2]]
        result = (m + 0.15 * o / math.sqrt(tau)).clamp(-1, 1)
        for like in reversed(sizes):
            result = doubled(result, like).clamp(-1, 1)
        return result

    def best(self, x, t, symmetric):
        """The best estimate, or the mean of it and of the second one of a symmetry (section 5, Picture)."""
        first, symmetry = self.estimate(x, t, True)[0], self.model.codec.get('symmetry')
        if not symmetric or not symmetry:
            return first
        axes = {'mirror': (2,), 'turn': (1, 2)}[symmetry]
        return (first + self.estimate(x.flip(axes), t, True)[0].flip(axes)) / 2


def coefficients(abar, t, s):
    """Those of xhat0, x_t and z in x_s (section 5)."""
    v = 1 - abar[t] / abar[s]
    return (math.sqrt(abar[s]) * v / (1 - abar[t]), math.sqrt(abar[t] / abar[s]) * (1 - abar[s]) / (1 - abar[t]),
            math.sqrt(v * (1 - abar[s]) / (1 - abar[t])))


# ------------------------------------------------------------------------------------------------------------ range coder

class RangeDecoder:
    """The range coder of section 8. Where the file ends within the code, `low` reads zeros past its end and `high` ones."""

    def __init__(self, code, whole):
        self.code, self.whole, self.at, self.range, self.low, self.high = code, whole, 0, 1, 0, 0
        for _ in range(5):
            self.shift()

    def shift(self):
        known = self.at < len(self.code)
        byte = self.code[self.at] if known else 0
        self.low = 256 * self.low + byte
        self.high = 256 * self.high + (byte if known or self.whole else 255)
        self.range, self.at = 256 * self.range, self.at + 1

    def symbol(self, find):
        """The symbol whose share [a, b) holds a place; `find` gives (symbol, a, b) of a place."""
        unit = self.range >> 22
        place, other = self.low // unit, self.high // unit
        if max(place, other) >= 1 << 22:
            raise Refused('the code has a place that no encoder writes') if self.whole else Uncertain
        symbol, a, b = find(place)
        if not a <= other < b:
            raise Uncertain
        self.low, self.high, self.range = self.low - a * unit, self.high - a * unit, (b - a) * unit
        while self.range < 1 << 32:
            self.shift()
        return symbol

    def bit(self, ones):
        """A 1 has the share [0, ones), a 0 the rest (section 9)."""
        return self.symbol(lambda place: (1, 0, ones) if place < ones else (0, ones, 1 << 22))


# -------------------------------------------------------------------------------------------------------------- residuals

LATTICES = (0, 0), (1, 1), (0, 1), (1, 0)
PAIRS = (0, 1, 2), (1, 3, 4), (2, 4, 5)


def predictors(table, lattice, c):
    """Of a channel: (dy, dx, channel, weight, share) of its predictors, and V (section 8, Residuals)."""
    def C(dy, dx, c, d):
        a, b = max(abs(dy), abs(dx)), min(abs(dy), abs(dx))
        return table[6 * (a * (a + 1) // 2 + b) + PAIRS[c][d]]

    def rank(dy, dx):
        return LATTICES.index(((LATTICES[lattice][0] + dy) % 2, (LATTICES[lattice][1] + dx) % 2))

    around = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)
              if rank(dy, dx) < lattice or rank(dy, dx) == lattice and (dy < 0 or dy == 0 and dx < 0)]
    names = [(dy, dx, d) for dy, dx in around for d in range(3)] + [(0, 0, d) for d in range(c)]
    b = [float(C(dy, dx, d, c)) for dy, dx, d in names]
    n, w, L, y = len(names), [0.0] * len(names), [], []
    for i, (dy, dx, d) in enumerate(names):
        L.append([])
        for j, (ey, ex, f) in enumerate(names[:i + 1]):
            total = float(C(dy - ey, dx - ex, d, f) + (4 if i == j else 0))
            for k in range(j):
                total = total - L[i][k] * L[j][k]
            if i == j and not total > 0:
                raise Refused('a table of covariances that no residuals have')
            L[i].append(math.sqrt(total) if i == j else total / L[j][j])
        total = b[i]
        for k in range(i):
            total = total - L[i][k] * y[k]
        y.append(total / L[i][i])
    for i in range(n - 1, -1, -1):
        total = y[i]
        for k in range(i + 1, n):
            total = total - L[k][i] * w[k]
        w[i] = total / L[i][i]
    V = float(C(0, 0, c, c) + 4)
    for k in range(n):
        V = V - w[k] * b[k]
    V = V / 4096
    if not V >= 1 / 4096:
        raise Refused('a table of covariances that no residuals have')
    shares = [(2 if d == c else 1) * (1 / (dy * dy + dx * dx)) if dy or dx else 1.0 for dy, dx, d in names]
    return [(*name, weight, share) for name, weight, share in zip(names, w, shares)], V


def student(x):
    """H of section 8, Samples."""
    s = 12 / (12 + x * x)
    series = 1 + s * (1 / 2 + s * (3 / 8 + s * (5 / 16 + s * (35 / 128 + s * 63 / 256))))
    return x / math.sqrt(12 + x * x) * series / 2


def read_sample(coder, m, variance, q):
    """A sample's value (section 8, Samples)."""
    scale = 1 / math.sqrt(variance * 10 / 12)

    def distribution(k):
        return student((k - 0.5 - m) * scale)

    first = distribution(0)
    unit = ((1 << 22) - 1024) / (distribution(256) - first)

    def c(k):
        return 0 if k <= 0 else 1 << 22 if k >= 256 else 4 * k + math.floor((distribution(k) - first) * unit)

    def find(place):
        low, high = 0, 256
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if c(middle) <= place else (low, middle)
        M = math.floor(m + 0.5)
        centre = M + (low - M + q) // (2 * q + 1) * (2 * q + 1)
        return max(0, min(255, centre)), c(centre - q), c(centre + q + 1)

    return coder.symbol(find)


def read_shift(coder, kappa):
    """The shift of a group (section 8, Shift)."""
    ones = 0
    while not coder.symbol(lambda place: (True, 0, 1 << 21) if place < 1 << 21 else (False, 1 << 21, 1 << 22)):
        ones += 1
        if ones << kappa >= 65536:
            raise Refused('a shift is 65536 or more')
    unit = 1 << 22 - kappa
    return (ones << kappa) + coder.symbol(lambda place: (place // unit, place // unit * unit, (place // unit + 1) * unit))


def decode_residuals(tail, h, xhat0):
    """The picture by residuals of xhat0 (section 8), and whether all samples are known."""
    width, height, coder = h.width, h.height, RangeDecoder(tail.code, tail.whole)
    base = xhat0.astype(np.float64).reshape(-1).tolist()
    r, q = [0.0] * len(base), [0.0] * len(base)
    picture, known, number = [0] * len(base), True, 0
    for lattice, (row, column) in enumerate(LATTICES):
        plans = [predictors(tail.table, lattice, c) for c in range(3)]
        for y in range(row, height, 2):
            for x in range(column, width, 2):
                for c, (around, V) in enumerate(plans):
                    at = (y * width + x) * 3 + c
                    mean, energy, weight = 0.0, 4 * tail.g, 4.0
                    for dy, dx, d, w, share in around:
                        if 0 <= y + dy < height and 0 <= x + dx < width:
                            place = ((y + dy) * width + x + dx) * 3 + d
                            mean += w * r[place]
                            energy += share * q[place]
                            weight += share
                    if known:
                        try:
                            if number % 192 == 0:
                                words = Stream(f'ddc1/{h.seed}/tail/{number // 192}').numbers(192).tolist()
                                j = read_shift(coder, tail.kappa)
                            word = words[number % 192]
                            u = (word + j * (word >> 16 | 1)) % 65536 / 65536
                            centre = math.floor((base[at] + 1) * 127.5 + u) + 0.5 - u
                            m = max(0.0, min(255.0, centre + mean))
                            picture[at] = read_sample(coder, m, max(1 / 16, V * energy / weight), tail.q)
                            r[at] = picture[at] - centre
                            q[at] = float(np.float32((r[at] - mean) * (r[at] - mean) / V))
                            number += 1
                            continue
                        except Uncertain:
                            known = False
                    picture[at] = int(to_bytes(np.float32(base[at] + mean / 127.5)))
    return np.array(picture, np.uint8).reshape(height, width, 3), known


# ---------------------------------------------------------------------------------------------------------------- drawing

def spread(h):
    h = (h ^ h >> 16) * 0x85EBCA6B & MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & MASK
    return h ^ h >> 16


def hash3(a, b, c):
    """hash(a, b, c) of section 9."""
    return spread(spread(0x9E3779B1 * a + b & MASK) * 0x85EBCA77 + c & MASK)


@lru_cache(maxsize=None)
def squash_and_logit():
    squash = [1 / (1 + power(3072 - i)) for i in range(6145)]
    logit = [max(0, int(np.searchsorted(squash, (j + 0.5) / 4096, 'right')) - 1) / 256 - 12 for j in range(4096)]
    return squash, logit


class Mixer:
    """Binary decisions, mixed from five contexts (section 9, Decisions)."""

    def __init__(self, coder, pixels):
        self.coder, self.pending = coder, []
        self.mask = (1 << min(20, max(12, (16 * pixels - 1).bit_length()))) - 1
        self.p, self.n = [32768] * (self.mask + 1), [0] * (self.mask + 1)
        self.weights = [[0.35] * 5 for _ in range(25)]
        self.squash, self.logit = squash_and_logit()

    def decide(self, kind, contexts):
        slots = [spread(h + 0x3C6EF372 * i & MASK) & self.mask for i, h in enumerate(contexts)]
        s, total = [self.logit[self.p[slot] >> 4] for slot in slots], 0.0
        for weight, value in zip(self.weights[kind], s):
            total += weight * value
        P = self.squash[math.floor((max(-12.0, min(12.0, total)) + 12) * 256 + 0.5)]
        bit = self.coder.bit(max(64, min((1 << 22) - 64, math.floor((1 << 22) * P))))
        self.pending.append((self.weights[kind], slots, s, P, bit))
        return bit

    def learn(self):
        """Called when all decisions of a pixel are known."""
        for weights, slots, s, P, bit in self.pending:
            e = 0.015 * (bit - P)
            for i, slot in enumerate(slots):
                weights[i] += e * s[i]
                self.p[slot] += math.trunc(((65535 if bit else 0) - self.p[slot]) / (self.n[slot] + 1.5))
                self.n[slot] = min(self.n[slot] + 1, 160)
        self.pending = []


def passes_of(width, height):
    """The passes with pixels: their rows, columns, u, v, scale, and W', H' after them (section 9, Order and Picture)."""
    W = 1 << (max(width, height) - 1).bit_length()
    yield range(1), range(1), None, None, None, (W, W)
    while W > 1:
        half, scale = W // 2, 2 * min(3, W // 2)
        for one in ((range(half, height, W), range(0, width, W), (0, half), (W, 0), scale, (W, half)),
                    (range(0, height, half), range(half, width, W), (half, 0), (0, half), scale + 1, (half, half))):
            if len(one[0]) and len(one[1]):
                yield one
        W = half


class Drawing:
    """A drawing (section 9). `colours` has -1 where a pixel is not known; `done` are W', H' of the whole passes."""

    def __init__(self, code, whole, width, height, channels, q, even, palette):
        self.width, self.height, self.q, self.even = width, height, q, even
        self.shifts = (16, 8, 0)[-channels:]
        self.coder = RangeDecoder(code, whole)
        self.mixer = Mixer(self.coder, width * height)
        self.palette = [] if palette else None
        self.colours, self.done, self.known = [-1] * (width * height), [], True
        self.passes = len(list(passes_of(width, height)))
        try:
            for rows, columns, u, v, scale, after in passes_of(width, height):
                for y in rows:
                    for x in columns:
                        self.colours[y * width + x] = self.pixel(x, y, u, v, scale) if u else self.evenly()
                        self.mixer.learn()
                self.done.append(after)
        except Uncertain:
            self.known = False

    def add(self, colour):
        if self.palette is not None and len(self.palette) < 256:
            self.palette.append(colour)
        return colour

    def evenly(self):
        """A colour that is sent evenly (section 9, First pixel)."""
        step, colour = 2 * self.q + 1, 0
        for shift in self.shifts:
            a, c = 0, -(-256 // step)
            while c > 1:
                low = c // 2
                a, c = (a + low, c - low) if self.coder.bit(((c - low) << 22) // c) else (a, low)
            colour |= min(255, a * step + self.q) << shift
        return self.add(colour)

    def pixel(self, x, y, u, v, scale):
        """The colour of a pixel, by questions (section 9, Other pixels)."""
        def at(i, j, other=None):
            X, Y = x + i * u[0] + j * v[0], y + i * u[1] + j * v[1]
            inside = 0 <= X < self.width and 0 <= Y < self.height
            colour = self.colours[Y * self.width + X] if inside else -1
            return colour if colour >= 0 else other

        n0 = at(-1, 0)
        n1, n2, n7 = at(1, 0, n0), at(0, -1, n0), at(-2, 0, n0)
        n3, n4, n5, n6 = at(-1, -1, n2), at(-1, 1, n0), at(1, -1, n1), at(1, 1, n1)
        n, decide, palette, pattern = [n0, n1, n2, n3, n4, n5, n6], self.mixer.decide, self.palette, 0
        for i in range(1, 7):
            pattern = 8 * pattern + n.index(n[i])
        near = 0 if n0 == n1 == n2 else 1 if n0 == n1 else 2 if n0 == n2 else 3 if n1 == n2 else 4
        for j, colour in enumerate(list(dict.fromkeys(n))[:3]):
            K = 16 + j
            shape, pair = hash3(K, pattern, scale), hash3(K, n0, n1)
            if decide(5 * j + near, (shape, hash3(hash3(pair, n2, n3), n4, n7), hash3(pair, n2, 1),
                                     hash3(K, near, 1 if palette and len(palette) > 2 else 0),
                                     hash3(hash3(shape, n0, n1), n5, n6))):
                return colour
        if palette is not None:
            K, many = 32, len(palette)
            if decide(15, (hash3(K, pattern, 0), hash3(K, n0, n1), hash3(K, many.bit_length(), 1), hash3(K, near, 2),
                           hash3(K, scale, 3))):
                number = 0
                for b in range((many - 1).bit_length() - 1, -1, -1):
                    if number + (1 << b) < many:
                        K = 12288 + 16 * number + b
                        pair = hash3(K, n0, n1)
                        number += decide(16, (hash3(K, 0, 0), hash3(K, n0, 1), pair, hash3(K, n2, 3), hash3(pair, n2, n3))) << b
                return palette[number]
        return self.evenly() if self.even else self.add(self.new_colour(n, near, scale))

    def new_colour(self, n, near, scale):
        """A new colour, channel by channel (section 9, 3)."""
        step, colour, shift, E = 2 * self.q + 1, 0, 0, 0
        longest = (-(-256 // step)).bit_length()
        for c, place in enumerate(self.shifts):
            n0, n1, n2, n3, _, n5, _ = (value >> place & 255 for value in n)
            expected = (n0 + n1 + 1) // 2
            change = abs(n0 - n1) + abs(n2 - (n3 + n5 + 1) // 2)
            C = 4 * min(7, (-(-change // step)).bit_length()) + c
            start = max(0, min(255, expected + shift))

            def ask(kind, K, x):
                return self.mixer.decide(kind, (hash3(K, x, 0), hash3(K, x, 1 + E), hash3(K, x & 3, 1000 + E),
                                                hash3(K, x, 2000 + scale), hash3(K, x & 3, 3000 + near)))

            z = 0
            if not ask(17 + c, 4 * 65536, C):
                negative, length, z = ask(20, 5 * 65536 + c, E), 1, 1
                while length < longest and ask(21 + c, 6 * 65536 + length, C):
                    length += 1
                for b in range(length - 2, -1, -1):
                    z = 2 * z + ask(24, 7 * 65536 + scale, 64 * length + (c if b == length - 2 else 8 + b))
                z = -z if negative else z
            sample = max(0, min(255, start + z * step))
            colour, shift, E = colour | sample << place, sample - expected, 8 * E + min(7, abs(z).bit_length())
        return colour

    def picture(self, bare, f):
        """The picture of a drawing or of its prefix, over the picture of the bare header (section 9, Picture)."""
        colours = np.array(self.colours).reshape(self.height, self.width)
        unknown = colours < 0
        if not self.known and self.done and len(self.done) >= self.passes - f:
            W, H = self.done[-1]
            y, x = np.indices(colours.shape)
            colours, unknown = np.where(unknown, colours[y - y % H, x - x % W], colours), np.zeros_like(unknown)
        picture = np.stack([colours >> shift & 255 for shift in self.shifts], -1).astype(np.uint8)
        return np.where(unknown[..., None], bare, picture)


# ----------------------------------------------------------------------------------------------------------------- a file

def to_bytes(xhat0):
    """Samples of an estimate (section 5, Picture)."""
    return np.floor((np.clip(xhat0, -1, 1).astype(np.float64) + 1) * 127.5 + 0.5).clip(0, 255).astype(np.uint8)


def bare_picture(h):
    """The picture of the bare header (section 5, Picture)."""
    r, g, b = h.mean or (0, 0, 0)
    mean = [math.floor(255 * r / 31 + 0.5), math.floor(255 * g / 63 + 0.5), math.floor(255 * b / 31 + 0.5)]
    return np.tile(np.array(mean if h.mean else [128] * 3, np.uint8), (h.height, h.width, 1))


def read_alpha(reader, h):
    """The alpha plane (section 1). EOFError if the file ends within it."""
    start = reader.at
    length = reader.leb(1 << 32, "the alpha plane's length")
    code = reader.take(length >> 1)
    if h.features & 1 and crc16(bits_of(reader.data[start:reader.at])) != reader.number(2):
        raise Refused("the alpha plane's checksum is wrong")
    drawing = Drawing(code, True, h.width, h.height, 1, 0, False, length & 1)
    return np.array(drawing.colours, np.uint8).reshape(h.height, h.width)


def read_tail(reader, t, model):
    """The fields of a tail (section 8). None if the file ends before its code begins."""
    tail = SimpleNamespace()
    try:
        flags = reader.number(1)
        tail.drawing, tail.exact = bool(flags & 128), not flags & 64
        tail.kappa = tail.f = flags & 15
        tail.even, tail.palette = flags & 16, flags & 32
        if not tail.drawing and flags & 32:
            raise Refused('the tail is damaged: a reserved flag')
        tail.crc, tail.q = (reader.number(4), 0) if tail.exact else (None, reader.number(1))
        if tail.q > 63:
            raise Refused('the tail is damaged: q is above 63')
        if not tail.drawing:
            tail.g = power(32 * (reader.number(1) - 128))
            residuals = model.codec.get('residuals')
            if flags & 16:
                tail.table = struct.unpack('>90h', reader.take(180))
            elif residuals:
                times = residuals['timesteps']
                nearest = min(range(len(times)), key=lambda i: max(t / times[i], times[i] / t))
                tail.table = residuals['covariances'][nearest]
            else:
                tail.table = [4096 if i in (0, 3, 5) else 0 for i in range(90)]
        length = reader.leb(1 << 32, "the code's length")
    except EOFError:
        return None
    tail.code = reader.data[reader.at:reader.at + length]
    tail.whole = len(tail.code) == length
    return tail


def whole_steps(data, h, steps):
    """For every whole step in the file its bits, as texts; and where the tail begins (section 2)."""
    bits, paths, at, section, sound = ''.join(f'{byte:08b}' for byte in data), [], 0, 0, 0
    for i, step in enumerate(steps, 1):
        start, end = at, at + step.B * step.L
        at = end
        if h.features & 1 and (end - section >= 256 or i == len(steps)):
            at = end + 16
            if at <= len(bits) and crc16(map(int, bits[section:end])) != int(bits[end:at], 2):
                raise Refused(f'the checksum of the steps up to {i} is wrong; the last sound step is {sound}')
            section, sound = at, i
        if at <= len(bits):
            paths.append(bits[start:end])
    return paths, (at + 7) // 8


@torch.no_grad()
def decode(data, find_model):
    """A file's picture (uint8 [height, width, 3]), its alpha plane or None, and whether all samples came from a tail."""
    h = read_header(data)
    model = find_model(h.id)
    plan = make_plan(h, model)
    if h.count is not None and h.count >= len(plan):
        raise Refused('the step count is not below that of the plan')
    if h.stop is not None and all(step.s != h.stop for step in plan):
        raise Refused('a stop where no step ends')
    steps = plan if h.count is None else plan[:h.count]
    if h.held and h.held[-1] > len(steps):
        raise Refused('a held step past the last written one')
    reader, alpha = Reader(data, h.end), None
    if h.features & 32:
        try:
            alpha = read_alpha(reader, h)
        except EOFError:
            return bare_picture(h), None, False
    paths, payload = whole_steps(data[reader.at:], h, steps)
    tail = None
    if h.tail and len(paths) == len(steps):
        reader.at += payload
        tail = read_tail(reader, steps[-1].s if steps else model.T, model)
    if tail and tail.drawing:
        drawing = Drawing(tail.code, tail.whole, h.width, h.height, 3, tail.q, tail.even, tail.palette)
        picture, known = drawing.picture(bare_picture(h), tail.f), drawing.known
    elif not paths and not tail:
        picture, known = bare_picture(h), False
    else:
        xhat0 = run_chain(h, model, steps, paths, bool(tail))
        if tail:
            picture, known = decode_residuals(tail, h, xhat0)
        else:
            picture, known = bare_picture(h) if xhat0 is None else to_bytes(xhat0), False
    if known and tail.exact and crc32c((alpha.tobytes() if alpha is not None else b'') + picture.tobytes()) != tail.crc:
        raise Refused("the picture's checksum is wrong")
    return picture, alpha, known


def run_chain(h, model, steps, paths, tail):
    """xhat0 of the picture after the steps whose paths are there; None is the picture of the bare header (section 5)."""
    shape, D, estimator, asked, t = (h.height, h.width, 3), h.dimensions, Estimator(h, model), None, model.T
    if not paths:
        return np.zeros(shape, np.float32)
    last = len(paths) + 1                                   # the step whose xhat0 is the picture; past all if none is held
    while last - 1 in h.held and not tail:
        last -= 1
    if last == 1:
        return None

    def to_torch(x):
        return torch.from_numpy(x.reshape(shape)).permute(2, 0, 1).contiguous().to(model.device)

    def to_numpy(x):
        return x.permute(1, 2, 0).cpu().numpy()

    x = codeword(0, 1, size_for(D), Stream(f'ddc1/{h.seed}/0').signs(D))
    for number, (step, bits) in enumerate(zip(steps, paths), 1):
        if number == 1:
            xhat0 = np.zeros(D, np.float32)
        else:
            picture = to_torch(x)
            if steps[number - 2].ask:
                estimate, record = estimator.estimate(picture, t, False)
                asked = record, picture, t
            else:
                estimate = estimator.moved(asked, picture, t)
            xhat0 = to_numpy(estimate).reshape(-1)
        if number == last:
            return xhat0.reshape(shape)
        c0, c1, cz = coefficients(model.abar, t, step.s)
        z = step_noise(h, number, step, bits)
        x = (c0 * xhat0.astype(np.float64) + c1 * x.astype(np.float64) + cz * z.astype(np.float64)).astype(np.float32)
        t = step.s
    return to_numpy(estimator.best(to_torch(x), t, not tail))


# ----------------------------------------------------------------------------------------------------------- command line

def write_png(path, picture, alpha):
    """An 8-bit PNG of samples and opacity."""
    if alpha is not None:
        picture = np.concatenate((picture, alpha[..., None]), -1)
    height, width, channels = picture.shape
    rows = np.concatenate((np.zeros((height, 1), np.uint8), picture.reshape(height, -1)), 1)

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 6 if channels == 4 else 2, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'sRGB', b'\0')
                     + chunk(b'IDAT', zlib.compress(rows.tobytes())) + chunk(b'IEND', b''))


def model_finder(folder, device):
    """A function that gives the model of an id's first 24 bits."""
    @lru_cache(maxsize=None)
    def find(start):
        for candidate in [folder] if folder else sorted(path.parent for path in MODELS.glob('*/codec.json')):
            if model_id(candidate).startswith(start):
                return Model(candidate, device)
        raise Refused(f'no model whose id begins with {start}')
    return find


def check(folder, find_model):
    """Every .ddc of a directory against the .rgb beside it: exact where a tail gave all samples, else within 1."""
    failed = False
    print(f"{'name':32} {'bytes':>6} {'largest difference':>18} {'differing samples':>17} {'seconds':>8}")
    for path in sorted(folder.glob('*.ddc')):
        start, data = time.time(), path.read_bytes()
        try:
            picture, _, known = decode(data, find_model)
            expected = np.frombuffer(path.with_suffix('.rgb').read_bytes(), np.uint8).reshape(picture.shape)
            difference = np.abs(picture.astype(int) - expected)
            largest, share = difference.max(), (difference > 0).mean()
            ok = largest == 0 if known or 'lossless' in path.name else largest <= 1 and share < 0.01
            result = f'{largest:18} {share:17.4%} {time.time() - start:8.1f}' + ('' if ok else '  FAILED')
        except Refused as error:
            ok, result = False, f'  FAILED: {error}'
        failed = failed or not ok
        print(f'{path.name:32} {len(data):6} {result}', flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('file', type=Path, nargs='?')
    parser.add_argument('-o', '--out', type=Path)
    parser.add_argument('--check', type=Path, metavar='DIRECTORY')
    parser.add_argument('--model', type=Path, metavar='DIR')
    parser.add_argument('--bytes', type=int, metavar='N', help='decode the first N bytes alone')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False       # section 8, Centres
    find_model = model_finder(args.model, args.device)
    if args.check:
        return check(args.check, find_model)
    if not args.file or not args.out:
        parser.error('FILE.ddc and -o OUT.png, or --check DIRECTORY')
    try:
        picture, alpha, _ = decode(args.file.read_bytes()[:args.bytes], find_model)
    except Refused as error:
        print(f'{args.file}: {error}', file=sys.stderr)
        return 1
    write_png(args.out, picture, alpha)
    return 0


if __name__ == '__main__':
    sys.exit(main())
