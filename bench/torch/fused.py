"""silu(group_norm(x + shift)): one compiled function on a CPU in bfloat16, PyTorch's own functions elsewhere."""

import os
from pathlib import Path

import torch
import torch.nn.functional as F

compiled = None


def compile_fused():
    """Compiles the function for this processor; the first time, that takes half a minute. Needs a C++ compiler and ninja."""
    global compiled
    from torch.utils.cpp_extension import load

    os.environ.setdefault("MAX_JOBS", "1")
    flags = ["-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512"]
    source = str(Path(__file__).with_name("fused.cpp"))
    compiled = load("ddpm_codec_fused", [source], extra_cflags=flags, extra_ldflags=["-lmvec", "-lm"])


def norm_silu(norm, x, shift=None):
    """@norm: a GroupNorm. @x: [n, c, h, w]. @shift: [n, c], or None"""
    if compiled is not None and x.dtype == torch.bfloat16 and x.device.type == "cpu":
        moved = torch.zeros(x.shape[:2]) if shift is None else shift.float()
        return NormSilu.apply(x.contiguous(memory_format=torch.channels_last), moved, norm.weight, norm.bias, norm.num_groups, norm.eps)
    return F.silu(norm(x if shift is None else x + shift[:, :, None, None]))


class NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, shift, weight, bias, groups, eps):
        y, mean, scale = compiled.forward(x, shift, weight, bias, groups, eps)
        ctx.save_for_backward(x, shift, weight, bias, mean, scale)
        return y

    @staticmethod
    def backward(ctx, dy):
        dy = dy.contiguous(memory_format=torch.channels_last)
        return (*compiled.backward(dy, *ctx.saved_tensors), None, None)
