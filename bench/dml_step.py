"""A step of mutual learning in PyTorch, the peer that the bench compares with.

The same networks (CIFAR ResNet with option A shortcuts, MobileNet v1), loss,
optimizer and batch as the Go contender. Protocol: a first line with the number of parameters of one
network and what runs; then for each line "N" on stdin the seconds of N steps as a JSON array.
"""
import argparse
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.pad = stride, (width - channels) // 2

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x, inplace=True)


class ResNet(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for stage in range(3):
            width = 16 << stage
            for i in range((depth - 2) // 6):
                blocks.append(Block(channels, width, 2 if stage and i == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.blocks(x)
        return self.linear(x.mean((2, 3)))


class MobileNet(nn.Module):
    def __init__(self, classes, small):
        super().__init__()

        def unit(cin, cout, kernel, stride, groups):
            conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
            return [conv, nn.BatchNorm2d(cout), nn.ReLU(inplace=True)]

        layers, channels = unit(3, 32, 3, 1 if small else 2, 1), 32
        for out, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + 5 * [(512, 1)] + [(1024, 2), (1024, 1)]:
            layers += unit(channels, channels, 3, stride, channels) + unit(channels, out, 1, 1, 1)
            channels = out
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        return self.linear(self.layers(x).mean((2, 3)))


def network(args):
    if args.arch == "mobilenet":
        return MobileNet(100, min(args.height, args.width) < 64)
    return ResNet(int(args.arch.removeprefix("resnet")), 100)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", default="resnet32")
    parser.add_argument("--students", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--height", type=int, default=32)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--format", choices=["contiguous", "channels_last", "compile"], default="contiguous")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    layout = torch.contiguous_format if args.format == "contiguous" else torch.channels_last
    nets = [network(args).to(memory_format=layout) for _ in range(args.students)]
    run = [torch.compile(n) if args.format == "compile" else n for n in nets]
    opts = [torch.optim.SGD(n.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4) for n in nets]
    images = torch.randn(args.batch, 3, args.height, args.width).to(memory_format=layout)
    labels = torch.randint(0, 100, (args.batch,))

    def train():
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            logits = [n(images) for n in run]
        logits = [z.float() for z in logits]
        posteriors = [F.softmax(z.detach(), 1) for z in logits]
        for k, (z, opt) in enumerate(zip(logits, opts)):
            loss = F.cross_entropy(z, labels)
            logq = F.log_softmax(z, 1)
            for l, p in enumerate(posteriors):
                if l != k:
                    loss = loss + F.kl_div(logq, p, reduction="batchmean") / (len(nets) - 1)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()

    @torch.inference_mode()
    def evaluate():
        for n in run:
            F.softmax(n(images), 1)

    step = train
    if args.evaluate:
        for n in run:
            n.eval()
        step = evaluate
    step()
    parameters = sum(p.numel() for p in nets[0].parameters())
    print(f"{parameters} torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begin)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
