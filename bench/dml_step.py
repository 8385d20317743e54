"""A step of mutual learning in PyTorch, the peer that the bench compares with.

The same networks (CIFAR ResNet, option A shortcuts), loss, optimizer and batch
as the Go contender. Protocol: a first line that says what runs; then for each
line "N" on stdin the seconds of N steps as a JSON array.
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", default="resnet32")
    parser.add_argument("--students", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--format", choices=["contiguous", "channels_last", "compile"], default="contiguous")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    layout = torch.contiguous_format if args.format == "contiguous" else torch.channels_last
    nets = [ResNet(int(args.arch.removeprefix("resnet")), 100).to(memory_format=layout) for _ in range(args.students)]
    run = [torch.compile(n) if args.format == "compile" else n for n in nets]
    opts = [torch.optim.SGD(n.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4) for n in nets]
    images = torch.randn(args.batch, 3, 32, 32).to(memory_format=layout)
    labels = torch.randint(0, 100, (args.batch,))

    def step():
        logits = [n(images) for n in run]
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

    step()
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begin)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
