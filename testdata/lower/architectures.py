#!/usr/bin/env python3
"""Writes the golden files of small networks, computed by PyTorch in float64.

Needs torch, torchvision, numpy and torchreid (the package pyppbox-torchreid); networks that the
last two have are theirs. Run it in the folder of the golden files:

    python3 architectures.py

Each network classifies one batch of 4 samples in 10 classes, in training mode.
Weights and samples are not stored; reader and writer draw them from one
formula, value(k) below, the tensors in the order of their sorted names. A file
NAME.npz holds, all arrays float32:

    logits           [4, 10]
    loss             [1]      the mean cross entropy; sample i is of class i
    logits_gradient  [4, 10]  of the loss
    norms            [n]      L2 norm of the loss' gradient of every trained tensor, sorted by name
    gradient/TENSOR  of the loss, for every trained tensor, thinned
    statistic/TENSOR running mean or variance after the step, thinned

Thinned means every s-th value from the first on, where s is the smallest odd
number that leaves at most 256.
"""
import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from pyppbox_torchreid.models import mobilenetv2, osnet
from torch import nn

BATCH, CLASSES, KEPT = 4, 10, 256
# Counters start here, so that nothing shares values.
SEED_COUNTERS, SAMPLE_COUNTERS = 1 << 48, 1 << 40


def values(start, shape):
    """value(start), value(start+1), ...: the top 24 bits of splitmix64's output, in [-1, 1)."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = (np.arange(start, start + n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).reshape(shape)


def rounded(array):
    """The float32 nearest to each value, as float64: what a float32 program starts from."""
    return torch.from_numpy(np.asarray(array).astype(np.float32).astype(np.float64))


class Kinks:
    """Rectifiers and max poolings that note how close an input comes to where the gradient jumps."""

    def __init__(self):
        self.margin = math.inf
        self.torch = {name: getattr(F, name) for name in ("relu", "relu6", "max_pool2d")}

    def watch(self):
        """Makes the layers of all libraries note them."""
        F.relu = lambda x, inplace=False: self.relu(x)
        F.relu6 = lambda x, inplace=False: self.relu6(x)
        F.max_pool2d = lambda x, kernel, stride, padding, *rest, ceil_mode=False, **named: self.max_pool(
            x, kernel, stride, padding, ceil_mode)

    def note(self, distances):
        self.margin = min(self.margin, distances.detach().abs().min().item())

    def relu(self, x):
        self.note(x)
        return self.torch["relu"](x)

    def relu6(self, x):
        self.note(x)
        self.note(x - 6)
        return self.torch["relu6"](x)

    def max_pool(self, x, kernel, stride, padding, ceil_mode=False):
        """Equal values do not matter: they are zeros behind a rectifier, or copies of one value."""
        y = self.torch["max_pool2d"](x, kernel, stride, padding, ceil_mode=ceil_mode)
        padded = F.pad(x.detach(), (padding, kernel, padding, kernel), value=-1)
        windows = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)[:, :, :y.shape[2], :y.shape[3]]
        first, second = windows.flatten(4).topk(2).values.unbind(-1)
        self.note((first - second)[first > second])
        return y


kinks = Kinks()
kinks.watch()


class WideBlock(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if channels != width else None

    def forward(self, x):
        y = kinks.relu(self.bn1(x))
        if self.shortcut is not None:
            x = self.shortcut(y)
        return x + self.conv2(kinks.relu(self.bn2(self.conv1(y))))


class WideResNet(nn.Module):
    def __init__(self, depth, widen):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        channels = 16
        for stage in range(3):
            blocks = []
            for block in range((depth - 4) // 6):
                width = 16 * widen * 2 ** stage
                blocks.append(WideBlock(channels, width, 2 if stage > 0 and block == 0 else 1))
                channels = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.linear(kinks.relu(self.bn1(x)).mean((2, 3)))


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: the smallest that gives ceil(size/stride) positions, the odd one last."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride)):
            total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, None, self.stride, 0, 1, self.groups)


class Separable(nn.Module):
    def __init__(self, net, channels, width, stride):
        super().__init__()
        self.depthwise = net.conv3x3(channels, channels, stride, channels)
        self.bn1 = nn.BatchNorm2d(channels, eps=net.eps)
        self.pointwise = nn.Conv2d(channels, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps=net.eps)
        self.rectify = net.rectify

    def forward(self, x):
        return self.rectify(self.bn2(self.pointwise(self.rectify(self.bn1(self.depthwise(x))))))


class MobileNet(nn.Module):
    def __init__(self, multiplier, stem, tensorflow):
        super().__init__()
        self.eps = 1e-3 if tensorflow else 1e-5
        self.rectify = kinks.relu6 if tensorflow else kinks.relu
        self.tensorflow = tensorflow
        channels = int(32 * multiplier)
        self.conv1 = self.conv3x3(3, channels, stem, 1)
        self.bn1 = nn.BatchNorm2d(channels, eps=self.eps)
        widths = [64, 128, 128, 256, 256] + [512] * 6 + [1024] * 2
        for i, width in enumerate(widths):
            stride = 2 if i in (1, 3, 5, 11) else 1
            setattr(self, f"block{i + 1}", Separable(self, channels, int(width * multiplier), stride))
            channels = int(width * multiplier)
        self.linear = nn.Linear(channels, CLASSES)

    def conv3x3(self, channels, width, stride, groups):
        if self.tensorflow:
            return SameConv2d(channels, width, 3, stride, 0, groups=groups, bias=False)
        return nn.Conv2d(channels, width, 3, stride, 1, groups=groups, bias=False)

    def forward(self, x):
        x = self.rectify(self.bn1(self.conv1(x)))
        for i in range(13):
            x = getattr(self, f"block{i + 1}")(x)
        return self.linear(x.mean((2, 3)))


class ConvNormReLU(nn.Module):
    def __init__(self, channels, width, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x):
        return kinks.relu(self.bn(self.conv(x)))


class MaxPool(nn.Module):
    """Window 3: halving with the odd row and column last (for even sizes), or keeping the size."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        if self.stride == 1:
            return kinks.max_pool(x, 3, 1, 1)
        assert x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0
        return kinks.max_pool(x, 3, 2, 0, ceil_mode=True)


class InceptionModule(nn.Module):
    def __init__(self, channels, one, reduce3, three, reduce5, five, project):
        super().__init__()
        self.branch1 = ConvNormReLU(channels, one, 1)
        self.branch2 = nn.Sequential(ConvNormReLU(channels, reduce3, 1), ConvNormReLU(reduce3, three, 3))
        self.branch3 = nn.Sequential(ConvNormReLU(channels, reduce5, 1), ConvNormReLU(reduce5, five, 5))
        self.branch4 = nn.Sequential(MaxPool(1), ConvNormReLU(channels, project, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Inception(nn.Module):
    MODULES = {
        "inception3a": (64, 96, 128, 16, 32, 32), "inception3b": (128, 128, 192, 32, 96, 64),
        "inception4a": (192, 96, 208, 16, 48, 64), "inception4b": (160, 112, 224, 24, 64, 64),
        "inception4c": (128, 128, 256, 24, 64, 64), "inception4d": (112, 144, 288, 32, 64, 64),
        "inception4e": (256, 160, 320, 32, 128, 128), "inception5a": (256, 160, 320, 32, 128, 128),
        "inception5b": (384, 192, 384, 48, 128, 128),
    }

    def __init__(self, multiplier):
        super().__init__()
        scaled = lambda *widths: [int(w * multiplier) for w in widths]
        self.conv1 = ConvNormReLU(3, *scaled(64), 7, 2)
        self.conv2 = ConvNormReLU(*scaled(64, 64), 1)
        self.conv3 = ConvNormReLU(*scaled(64, 192), 3)
        self.halve = MaxPool(2)
        channels, = scaled(192)
        for name, widths in self.MODULES.items():
            widths = scaled(*widths)
            setattr(self, name, InceptionModule(channels, *widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = self.conv3(self.conv2(self.halve(self.conv1(x))))
        for name in self.MODULES:
            if name in ("inception3a", "inception4a", "inception5a"):
                x = self.halve(x)
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))


# Deep networks multiply what rounding changes: the front of one is compared, to the stage of that
# number and the block of that number in it, with a classifier of its own.


def front_of_resnet(net, stage, block):
    for i in range(stage + 1, 5):
        setattr(net, f"layer{i}", nn.Identity())
    setattr(net, f"layer{stage}", getattr(net, f"layer{stage}")[:block + 1])
    last = getattr(net, f"layer{stage}")[-1]
    net.fc = nn.Linear(getattr(last, "bn3", last.bn2).num_features, CLASSES)
    return net


def front_of_mobilenetv2(net, stage, block):
    for i in range(stage + 1, 10):
        setattr(net, f"conv{i}", nn.Identity())
    setattr(net, f"conv{stage}", getattr(net, f"conv{stage}")[:block + 1])
    net.classifier = nn.Linear(getattr(net, f"conv{stage}")[-1].conv3[1].num_features, CLASSES)
    return net


# Name, constructor, height and width, and of the first 100 seeds the one (--search 100) that stays
# farthest from where gradients jump: rounding decides there, and no two programs round alike.
NETWORKS = [
    ("wrn-10-1", lambda: WideResNet(10, 1), 12, 16, 49),
    ("mobilenet0.25", lambda: MobileNet(0.25, 1, False), 32, 24, 59),
    ("mobilenet0.25-tf", lambda: MobileNet(0.25, 2, True), 65, 70, 14),
    ("inception0.25", lambda: Inception(0.25), 64, 96, 63),
    ("osnet0.25", lambda: osnet.osnet_x0_25(CLASSES, pretrained=False), 96, 64, 45),
    ("mobilenetv2", lambda: front_of_mobilenetv2(mobilenetv2.mobilenetv2_x1_0(CLASSES, "softmax", pretrained=False), 4, 1),
     64, 96, 43),
    ("resnet18", lambda: front_of_resnet(torchvision.models.resnet18(), 2, 1), 64, 80, 34),
    ("resnet50", lambda: front_of_resnet(torchvision.models.resnet50(), 2, 0), 64, 80, 15),
]


def learn(build, height, width, seed):
    """Returns the network, its logits and loss after a backward pass, and the margin."""
    kinks.margin = math.inf
    net = build().double()
    counter = seed * SEED_COUNTERS
    with torch.no_grad():
        for name, p in sorted(net.named_parameters()):
            v = values(counter, tuple(p.shape))
            counter += p.numel()
            if p.dim() > 1:
                v = v * math.sqrt(6 / (p.numel() // p.shape[0]))  # the variance of He et al.
            elif name.endswith("weight"):
                v = 1 + 0.25 * v
            else:
                v = 0.125 * v
            p.copy_(rounded(v))
    shape = (BATCH, 3, height, width)
    x = rounded(2 * values(seed * SEED_COUNTERS + SAMPLE_COUNTERS, shape))
    logits = net(x)
    logits.retain_grad()
    loss = F.cross_entropy(logits, torch.arange(BATCH))
    loss.backward()
    return net, logits, loss, kinks.margin


def thinned(tensor):
    flat = tensor.detach().flatten()
    return flat[::math.ceil(len(flat) / KEPT) | 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--search", type=int, metavar="N", help="only say which of the first N seeds to use")
    parser.add_argument("networks", nargs="*", help="which; all if none is named")
    args = parser.parse_args()
    print(f"torch {torch.__version__}")
    for name, build, height, width, seed in NETWORKS:
        if args.networks and name not in args.networks:
            continue
        if args.search:
            margins = [learn(build, height, width, seed)[-1] for seed in range(args.search)]
            seed = int(np.argmax(margins))
            print(f"{name}: seed {seed}, margin {margins[seed]:.3g}", flush=True)
            continue
        net, logits, loss, margin = learn(build, height, width, seed)
        trained = sorted(net.named_parameters())
        arrays = {"logits": logits, "loss": loss.reshape(1), "logits_gradient": logits.grad,
                  "norms": torch.stack([p.grad.norm() for _, p in trained])}
        arrays.update({f"gradient/{n}": thinned(p.grad) for n, p in trained})
        arrays.update({f"statistic/{n}": thinned(v) for n, v in net.named_buffers() if v.dim() > 0})
        np.savez_compressed(f"{name}.npz", **{k: v.detach().numpy().astype(np.float32) for k, v in arrays.items()})
        count = sum(p.numel() for _, p in trained)
        print(f"{name}: {count} parameters, seed {seed}, margin {margin:.3g}, loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
