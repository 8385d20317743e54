#!/usr/bin/env python3
"""Writes golden.npz: 20 steps of PyTorch's optimizers in float64, and learning rates of its schedules.

Needs torch and numpy. Run it in the folder of the golden file:

    python3 golden.py

Each optimizer moves the same SIZE weights by the same gradients, whose size
spans three decades. Arrays, all float64 but where said:

    initial             [SIZE], float32
    gradients           [STEPS, SIZE], float32
    weights/OPTIMIZER   [STEPS, SIZE]  after each step
    rates/SCHEDULE      [RATES]  of each step, base rate 0.1
"""
import warnings

import numpy as np
import torch
from torch.optim import lr_scheduler as schedules

STEPS, SIZE, RATES = 20, 32, 100

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.999), eps=1e-8, weight_decay=0.01),
    "adam_eps": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.99), eps=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
}

SCHEDULES = {
    "step": lambda o: schedules.StepLR(o, step_size=30, gamma=0.1),
    "multistep": lambda o: schedules.MultiStepLR(o, milestones=[10, 40, 41, 90], gamma=0.2),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, T_max=RATES, eta_min=0.001),
    "constant": lambda o: schedules.LambdaLR(o, lambda _: 1.0),
    "warmup_step": lambda o: schedules.ChainedScheduler([
        schedules.LinearLR(o, start_factor=1 / 8, total_iters=7), schedules.StepLR(o, step_size=5, gamma=0.5)]),
}


def main():
    rng = np.random.default_rng(1)
    initial = rng.uniform(-0.5, 0.5, SIZE).astype(np.float32)
    gradients = (rng.normal(size=(STEPS, SIZE)) * np.logspace(-3, 0, SIZE)).astype(np.float32)
    arrays = {"initial": initial, "gradients": gradients}
    for name, make in OPTIMIZERS.items():
        w = torch.tensor(initial, dtype=torch.float64, requires_grad=True)
        optimizer, after = make([w]), []
        for gradient in gradients:
            w.grad = torch.tensor(gradient, dtype=torch.float64)
            optimizer.step()
            after.append(w.detach().numpy().copy())
        arrays["weights/" + name] = np.stack(after)
    warnings.simplefilter("ignore")  # the optimizer of a schedule alone makes no steps
    for name, make in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        schedule, rates = make(optimizer), []
        for _ in range(RATES):
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
        arrays["rates/" + name] = np.array(rates)
    np.savez_compressed("golden.npz", **arrays)


if __name__ == "__main__":
    main()
