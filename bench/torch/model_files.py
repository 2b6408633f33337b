"""Models in the project's form (config.json, diffusion_pytorch_model.safetensors): reads, writes, and grows them from smaller ones."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import torch

from unet import UNet

CONFIG, WEIGHTS, CODEC = "config.json", "diffusion_pytorch_model.safetensors", "codec.json"
# What the programs here assume of a model's diffusion (Ho et al. 2020, section 4).
SCHEDULE = {"betaSchedule": "linear", "timesteps": 1000, "betaStart": 1e-4, "betaEnd": 0.02}
PREDICTION = "eps"
DTYPES = {"F16": np.float16, "F32": np.float32}


def read_safetensors(path):
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header, body, tensors = json.loads(data[8 : 8 + size]), data[8 + size :], {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            array = np.frombuffer(body[start:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(array.astype(np.float32))
    return tensors


def write_safetensors(path, tensors):
    """Writes half precision. Uses a temporary name first, so that the file is either complete or absent."""
    header, parts, at = {}, [], 0
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy().astype(np.float16)
        parts.append(array.tobytes())
        header[name] = {"dtype": "F16", "shape": list(array.shape), "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = f"{path}.tmp"
    Path(temporary).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    os.replace(temporary, path)


def read_config(directory):
    return json.loads((Path(directory) / CONFIG).read_text())


def check_diffusion(directory):
    """Refuses a model whose codec.json, where it has one, says another schedule or prediction."""
    path = Path(directory) / CODEC
    if not path.exists():
        return
    codec = json.loads(path.read_text())
    schedule, prediction = codec["schedule"], codec.get("parameterization", {}).get("prediction", PREDICTION)
    if schedule != SCHEDULE or prediction != PREDICTION:
        raise SystemExit(
            f"{path}: expected a network that predicts {PREDICTION} on the schedule {json.dumps(SCHEDULE)}, got {prediction} "
            f"on {json.dumps(schedule)}. Train it with `ddpm-codec train`."
        )


def read_model(directory, config_path=None):
    """The network of `directory`, or one of another architecture that starts from its weights; and its configuration."""
    check_diffusion(directory)
    config = read_config(directory)
    weights = read_safetensors(Path(directory) / WEIGHTS)
    if config_path is None:
        model = UNet(config)
        model.load_state_dict(weights)
        return model, config
    wanted = json.loads(Path(config_path).read_text())
    return grow(weights, config, wanted), wanted


def read_networks(directory):
    """The networks of a model, with their bands of timesteps: (least, most, network), the one for all others last."""
    whole, config = read_model(directory)
    networks = []
    for path in sorted(Path(directory).glob("band-*-*.safetensors")):
        least, most = map(int, path.stem.split("-")[1:])
        network = UNet(config)
        network.load_state_dict(read_safetensors(path))
        networks.append((least, most, network))
    return [*networks, (1, SCHEDULE["timesteps"], whole)], config


def grow(weights, config, wanted):
    """As `ddpm-codec train --grow`: adds levels at the inner end. Added layers begin as the identity."""
    model = UNet(wanted)
    own = model.state_dict()
    levels = len(wanted["block_out_channels"]) - len(config["block_out_channels"])
    layers = wanted["layers_per_block"] - config["layers_per_block"]
    if levels < 0 or layers < 0:
        raise SystemExit("--config: expected at least the levels and layers per block that the weights are of")
    for name, tensor in own.items():
        if layers and is_added_layer(name, config, layers):
            begin_as_identity(name, tensor)
    taken = sum(take_over(tensor, own.get(place_of(name, levels, layers))) for name, tensor in weights.items())
    model.load_state_dict(own)
    print(f"{taken} of {sum(p.numel() for p in model.parameters())} parameters begin as in the other network", flush=True)
    return model


def place_of(name, levels, layers):
    """The way up starts at the innermost level. Its first layer takes the last skip; added layers come after it."""
    parts = name.split(".")
    if parts[0] == "up_blocks":
        parts[1] = str(int(parts[1]) + levels)
        if parts[2] in ("resnets", "attentions") and parts[3] != "0":
            parts[3] = str(int(parts[3]) + layers)
    return ".".join(parts)


def is_added_layer(name, config, layers):
    parts = name.split(".")
    if len(parts) < 4 or parts[2] not in ("resnets", "attentions"):
        return False
    layer = int(parts[3])
    return 1 <= layer <= layers if parts[0] == "up_blocks" else parts[0] == "down_blocks" and layer >= config["layers_per_block"]


def begin_as_identity(name, tensor):
    if ".conv2." in name or ".to_out." in name or name.endswith("conv_shortcut.bias"):
        tensor.zero_()
    elif name.endswith("conv_shortcut.weight"):
        # Passes on the input from below and ignores the skip.
        tensor.zero_()
        tensor[:, : tensor.shape[0], 0, 0] = torch.eye(tensor.shape[0])


def take_over(tensor, place):
    """Copies a tensor into its place. Where a block's inputs from below have changed, only its skip inputs (the last ones) are copied."""
    if place is None:
        return 0
    if place.shape == tensor.shape:
        place.copy_(tensor)
        return tensor.numel()
    if place.ndim == 4 and tensor.ndim == 4 and place.shape[0] == tensor.shape[0]:
        skip = place.shape[0]
        if min(place.shape[1], tensor.shape[1]) > skip:
            place[:, -skip:] = tensor[:, -skip:]
            return tensor[:, -skip:].numel()
    return 0
