#!/usr/bin/env python3
"""Writes the golden files of five Deep Mutual Learning steps, computed by PyTorch in float64.

Needs torch and numpy. Run it in the folder of the golden files:

    python3 dml_step.py

Two ResNet-8 students (CIFAR style, option A shortcuts, 10 classes) learn from
five batches of 8 samples, 3x32x32. Student k minimises

    total_k = cross entropy_k + KL(p_peer || p_k)

with the peer's posterior a constant; both are updated from the same posteriors
by SGD with Nesterov momentum and weight decay on every parameter.

Weights and samples are not stored; reader and writer draw them from one
formula, value(k) below. Files, all arrays float32, S = 0, 1 the student:

    dml_step1.npz   what the first step computes
        studentS/logits            [8, 10]
        studentS/logits_gradient   [8, 10]  of total_S
        studentS/gradient/NAME     of total_S, for every trained tensor
        studentS/statistic/NAME    running mean or variance after the step
    dml_step5.npz   where five steps lead
        studentS/losses            [5, 3]: cross entropy, mimicry, total of each step
        studentS/weight/NAME       every tensor after the fifth step, statistics included
"""
import argparse
import collections
import math

import numpy as np
import torch
import torch.nn.functional as F

STEPS, BATCH, CLASSES, SIDE = 5, 8, 10, 32
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.02, 0.9, 5e-4
# Of the first 200 seeds the one (--search 200) that keeps the inputs of all
# rectifiers farthest from 0: rounding decides which way the gradient of an input
# at 0 goes, and no two programs round alike.
SEED = 89
# Counters start here, so that nothing shares values.
SEED_COUNTERS, STUDENT_COUNTERS, SAMPLE_COUNTERS = 1 << 48, 1 << 32, 1 << 40


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


class Block(torch.nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.conv2 = torch.nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(width)
        self.stride, self.front = stride, (width - channels) // 2
        self.back = width - channels - self.front

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1 or self.front + self.back > 0:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.front, self.back))
        return relu(y + x)


class ResNet(torch.nn.Module):
    """ResNet-8 with one block a stage, ResNet-20 with three."""

    def __init__(self, blocks=1):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, 1, blocks)
        self.layer2 = self.stage(16, 32, 2, blocks)
        self.layer3 = self.stage(32, 64, 2, blocks)
        self.linear = torch.nn.Linear(64, CLASSES)

    @staticmethod
    def stage(channels, width, stride, blocks):
        rest = [Block(width, width, 1) for _ in range(blocks - 1)]
        return torch.nn.Sequential(Block(channels, width, stride), *rest)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class Rectifier:
    """max(0, x) that notes the input closest to the kink."""

    def __init__(self):
        self.margin = math.inf

    def __call__(self, x):
        self.margin = min(self.margin, x.detach().abs().min().item())
        return F.relu(x)


relu = Rectifier()


def student(seed, index, blocks=1):
    """A student whose trained tensors, in the order of the layers, draw from consecutive counters."""
    net = ResNet(blocks).double()
    counter = seed * SEED_COUNTERS + (index + 1) * STUDENT_COUNTERS
    with torch.no_grad():
        for name, p in net.named_parameters():
            v = values(counter, tuple(p.shape))
            counter += p.numel()
            if p.dim() > 1:
                v = v * math.sqrt(6 / (p.numel() // p.shape[0]))  # the variance of He et al.
            elif "bn" in name and name.endswith("weight"):
                v = 1 + 0.25 * v
            else:
                v = 0.125 * v
            p.copy_(rounded(v))
    return net


def batch(seed, step):
    """Samples step*BATCH to (step+1)*BATCH; sample i is of class i mod CLASSES."""
    shape = (BATCH, 3, SIDE, SIDE)
    x = values(seed * SEED_COUNTERS + SAMPLE_COUNTERS + step * int(np.prod(shape)), shape) * 2
    return rounded(x), torch.arange(step * BATCH, (step + 1) * BATCH) % CLASSES


def learn(seed):
    """Runs the steps; returns the arrays of both files, the losses, and the rectifiers' margin."""
    relu.margin = math.inf
    cohort = [student(seed, 0), student(seed, 1)]
    optimizers = [torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True,
                                  weight_decay=WEIGHT_DECAY) for net in cohort]
    first, fifth = {}, {}
    losses = collections.defaultdict(list)
    for step in range(STEPS):
        x, labels = batch(seed, step)
        logits = [net(x) for net in cohort]
        posteriors = [F.softmax(z, 1).detach() for z in logits]
        for s, (net, z) in enumerate(zip(cohort, logits)):
            z.retain_grad()
            cross_entropy = F.cross_entropy(z, labels)
            mimicry = F.kl_div(F.log_softmax(z, 1), posteriors[1 - s], reduction="batchmean")
            total = cross_entropy + mimicry
            optimizers[s].zero_grad()
            total.backward()
            losses[s].append([cross_entropy.item(), mimicry.item(), total.item()])
            if step == 0:
                first[f"student{s}/logits"] = z
                first[f"student{s}/logits_gradient"] = z.grad
                for name, p in net.named_parameters():
                    first[f"student{s}/gradient/{name}"] = p.grad.clone()
                for name, v in net.named_buffers():
                    if v.dim() > 0:  # num_batches_tracked has no use here
                        first[f"student{s}/statistic/{name}"] = v.clone()
        for optimizer in optimizers:
            optimizer.step()
    for s, net in enumerate(cohort):
        fifth[f"student{s}/losses"] = torch.tensor(losses[s])
        for name, v in net.state_dict().items():
            if v.dim() > 0:
                fifth[f"student{s}/weight/{name}"] = v
    return first, fifth, losses, relu.margin


def search(seeds):
    margins = [learn(seed)[-1] for seed in range(seeds)]
    best = int(np.argmax(margins))
    print(f"seed {best}: no rectifier's input is closer to 0 than {margins[best]:.3g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--search", type=int, metavar="N", help="only say which of the first N seeds to use")
    args = parser.parse_args()
    if args.search:
        return search(args.search)
    first, fifth, losses, margin = learn(SEED)
    for path, arrays in (("dml_step1.npz", first), ("dml_step5.npz", fifth)):
        np.savez_compressed(path, **{k: v.detach().numpy().astype(np.float32) for k, v in arrays.items()})
    print(f"torch {torch.__version__}, seed {SEED}: no rectifier's input is closer to 0 than {margin:.3g}")
    for s in losses:
        print(f"student {s}: cross entropy, mimicry, total of each step")
        for row in losses[s]:
            print("  %.6f %.6f %.6f" % tuple(row))


if __name__ == "__main__":
    main()
