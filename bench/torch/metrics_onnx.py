"""Makes the networks of `rd --metrics` as ONNX files, from torchvision and the authors' weights (docs/EVALUATION.md says which files).

    python metrics_onnx.py lpips-alex --base alexnet-owt-7be5be79.pth --weights alex.pth -o lpips.onnx
    python metrics_onnx.py lpips-vgg --base vgg16-397923af.pth --weights vgg.pth -o lpips-vgg.onnx
    python metrics_onnx.py dists --base vgg16-397923af.pth --weights weights.pt -o dists.onnx
    python metrics_onnx.py inception --base pt_inception-2015-12-05-6726825d.pth -o inception.onnx

`--random SEED` in the place of the files makes a network of that shape that measures nothing, to try it out. All take RGB from 0 to 1.
"""

import argparse

import torch
import torchvision.models as models
from torch import nn
from torch.nn import functional as F
from torchvision.models.inception import InceptionA, InceptionC, InceptionE

OPSET = 17 if torch.__version__ >= '2' else 16
# Layers of torchvision's `features` whose outputs LPIPS and DISTS compare.
ALEX_TAPS = [1, 4, 7, 9, 11]
VGG_TAPS = [3, 8, 15, 22, 29]
# The pooling layers of `features`, with their channels.
VGG_POOLS = {4: 64, 9: 128, 16: 256, 23: 512}


def column(values):
    return nn.Parameter(torch.tensor(values).reshape(1, -1, 1, 1), requires_grad=False)


class Lpips(nn.Module):
    """Zhang et al. 2018, version 0.1: squared differences of normalised features, weighted, averaged over pixels, added up over layers."""

    def __init__(self, features, taps, channels):
        super().__init__()
        self.features, self.taps = features[: taps[-1] + 1], taps
        self.shift, self.scale = column([-0.030, -0.088, -0.188]), column([0.458, 0.448, 0.450])
        self.weights = nn.ParameterList([nn.Parameter(torch.rand(1, count, 1, 1)) for count in channels])

    def layers(self, image):
        x = (2 * image - 1 - self.shift) / self.scale
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                yield x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)

    def forward(self, original, decoded):
        pairs = zip(self.layers(original), self.layers(decoded), self.weights)
        return sum((w * (a - b).square()).sum(1).mean([1, 2]) for a, b, w in pairs)

    def load_weights(self, file):
        for i, weight in enumerate(self.weights):
            weight.data = file[f'lin{i}.model.1.weight']


class Dists(nn.Module):
    """Ding et al. 2020: similarity of means and of structure in the picture and in five layers of VGG-16 that pool squares."""

    def __init__(self, features):
        super().__init__()
        self.features = features[: VGG_TAPS[-1] + 1]
        self.mean, self.deviation = column([0.485, 0.456, 0.406]), column([0.229, 0.224, 0.225])
        self.channels = [3, 64, 128, 256, 512, 512]
        self.alpha = nn.Parameter(torch.rand(1, sum(self.channels), 1, 1))
        self.beta = nn.Parameter(torch.rand(1, sum(self.channels), 1, 1))
        hann = torch.tensor([0.5, 1.0, 0.5])
        self.window = nn.Parameter((hann[:, None] * hann / hann.sum() ** 2)[None, None], requires_grad=False)

    def layers(self, image):
        yield image
        x = (image - self.mean) / self.deviation
        for i, layer in enumerate(self.features):
            if i in VGG_POOLS:
                channels = VGG_POOLS[i]
                window = self.window.repeat(channels, 1, 1, 1)
                x = (F.conv2d(x.square(), window, stride=2, padding=1, groups=channels) + 1e-12).sqrt()
            else:
                x = layer(x)
            if i in VGG_TAPS:
                yield x

    def forward(self, original, decoded):
        total = self.alpha.sum() + self.beta.sum()
        weights = zip(torch.split(self.alpha / total, self.channels, 1), torch.split(self.beta / total, self.channels, 1))
        score = 0
        for a, b, (alpha, beta) in zip(self.layers(original), self.layers(decoded), weights):
            mean_a, mean_b = a.mean([2, 3], True), b.mean([2, 3], True)
            variances = (a - mean_a).square().mean([2, 3], True) + (b - mean_b).square().mean([2, 3], True)
            covariance = (a * b).mean([2, 3], True) - mean_a * mean_b
            luminance = (2 * mean_a * mean_b + 1e-6) / (mean_a.square() + mean_b.square() + 1e-6)
            score = score + (alpha * luminance + beta * (2 * covariance + 1e-6) / (variances + 1e-6)).sum([1, 2, 3])
        return 1 - score

    def load_weights(self, file):
        self.alpha.data, self.beta.data = file['alpha'], file['beta']


def inner_average(x):
    """TensorFlow's average pooling, which leaves out values beyond the edges."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(InceptionA):
    def forward(self, x):
        wide = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), wide, double, self.branch_pool(inner_average(x))], 1)


class BlockC(InceptionC):
    def forward(self, x):
        wide = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_2(self.branch7x7dbl_1(x))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(self.branch7x7dbl_3(double)))
        return torch.cat([self.branch1x1(x), wide, double, self.branch_pool(inner_average(x))], 1)


class BlockE(InceptionE):
    """The last one takes maxima, like the network of 2015."""

    def __init__(self, channels, pool):
        super().__init__(channels)
        self.pool = pool

    def forward(self, x):
        wide = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch1x1(x), self.branch3x3_2a(wide), self.branch3x3_2b(wide)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(self.pool(x))]
        return torch.cat(parts, 1)


class Inception(nn.Module):
    """FID's network: the Inception v3 of 2015 up to its 2048 averages. Pictures are resized to 299 x 299 as in pytorch-fid."""

    def __init__(self):
        super().__init__()
        net = models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
        net.Mixed_5b, net.Mixed_5c, net.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        for name, width in [('b', 128), ('c', 160), ('d', 160), ('e', 192)]:
            setattr(net, f'Mixed_6{name}', BlockC(768, width))
        net.Mixed_7b = BlockE(1280, inner_average)
        net.Mixed_7c = BlockE(2048, lambda x: F.max_pool2d(x, 3, stride=1, padding=1))
        self.net = net

    def forward(self, images):
        x = F.interpolate(images, size=(299, 299), mode='bilinear', align_corners=False)
        x = 2 * x - 1
        for name, layer in self.net.named_children():
            if name == 'avgpool':
                return x.mean([2, 3])
            x = layer(x)


def network(name):
    if name == 'inception':
        return Inception()
    if name == 'dists':
        return Dists(models.vgg16(weights=None).features)
    if name == 'lpips-vgg':
        return Lpips(models.vgg16(weights=None).features, VGG_TAPS, [64, 128, 256, 512, 512])
    return Lpips(models.alexnet(weights=None).features, ALEX_TAPS, [64, 192, 384, 256, 256])


def load(made, base, weights):
    read = lambda path: torch.load(path, map_location='cpu')
    if isinstance(made, Inception):
        made.net.load_state_dict(read(base))
    else:
        prefix = 'features.'
        kept = made.features.state_dict().keys()
        state = {key[len(prefix) :]: value for key, value in read(base).items() if key.startswith(prefix)}
        made.features.load_state_dict({key: state[key] for key in kept})
        made.load_weights(read(weights))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=['lpips-alex', 'lpips-vgg', 'dists', 'inception'])
    parser.add_argument('--base', help="torchvision's weights; of inception pytorch-fid's")
    parser.add_argument('--weights', help='of LPIPS or DISTS')
    parser.add_argument('--random', type=int, metavar='SEED')
    parser.add_argument('-o', '--output', required=True)
    args = parser.parse_args()
    if args.random is None and (args.base is None or (args.name != 'inception' and args.weights is None)):
        parser.error('expected --base and, but for inception, --weights; or --random')
    torch.manual_seed(args.random or 0)
    made = network(args.name)
    if args.random is None:
        load(made, args.base, args.weights)
    made.eval()
    names = ['images'] if args.name == 'inception' else ['original', 'decoded']
    output = 'features' if args.name == 'inception' else 'distance'
    pictures = tuple(torch.rand(1, 3, 64, 64) for _ in names)
    axes = {name: {0: 'n', 2: 'h', 3: 'w'} for name in names} | {output: {0: 'n'}}
    kind = {'dynamo': False} if torch.__version__ >= '2.5' else {}
    torch.onnx.export(
        made, pictures, args.output, input_names=names, output_names=[output], dynamic_axes=axes, opset_version=OPSET, **kind
    )


if __name__ == '__main__':
    main()
