#!/usr/bin/env python3
"""Writes modes.npz: what PyTorch computes, in float64, of the modes and options of training.

Needs torch and numpy. Run it in the folder of the golden files:

    python3 modes.py

Networks, weights, samples and optimizer are those of dml_step.py. Arrays, all float32:

    objective/NAME/losses      [3]: cross entropy, mimicry, total
    objective/NAME/gradient    [4, 6]  of the total on the logits
        for the loss alone, of the logits, labels and targets of objective() below
    CASE/losses                [students, STEPS, 3]  as above, of each step
    CASE/studentS/NAME         some tensors after the last step
        for the cohorts of CASES below
"""
import numpy as np
import torch
import torch.nn.functional as F

import dml_step as dml

STEPS = 3
# What is kept of a student: its first statistics, its last ones, and its last layer.
KEPT = ("bn1.running_mean", "bn1.running_var", "layer3.0.bn2.running_var", "linear.weight", "linear.bias")
# Blocks a stage, mode, and options; the teacher is one more network, of three blocks a stage.
CASES = {
    "dml": dict(students=(1, 3, 1), mode="dml"),
    "sequential": dict(students=(1, 3, 1), mode="dml", sequential=True),
    "dml_e": dict(students=(1, 3, 1), mode="dml_e", temperature=2, weight=0.5, smoothing=0.1),
    "dml_e_sequential": dict(students=(1, 1, 1), mode="dml_e", sequential=True),
    "distill": dict(students=(1, 1), mode="distill", temperature=4, weight=0.7),
    "warmup": dict(students=(1, 1), mode="dml", weight=2, warmup=2, smoothing=0.2),
    "independent": dict(students=(1, 1), mode="independent", smoothing=0.1),
}
TEACHER = 9  # its index


def losses(logits, labels, targets, temperature=1, weight=1, smoothing=0):
    """Cross entropy, mimicry and total; targets are posteriors at the temperature."""
    cross_entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    if not targets:
        return cross_entropy, torch.zeros(()), cross_entropy
    logq = F.log_softmax(logits / temperature, 1)
    mimicry = sum(F.kl_div(logq, p, reduction="batchmean") for p in targets) * temperature**2 / len(targets)
    return cross_entropy, mimicry, cross_entropy + weight * mimicry


def objective(arrays):
    """Four samples of six classes; the logits are 3 value(k), those of target i 3 value(1000 (i+1) + k)."""
    labels = torch.tensor([5, 0, 3, 3])
    for targets in (0, 1, 3):
        for temperature in (1, 3):
            for smoothing, weight in ((0, 1), (0.1, 0.25)):
                z = dml.rounded(3 * dml.values(0, (4, 6))).requires_grad_()
                posteriors = [F.softmax(dml.rounded(3 * dml.values(1000 * (i + 1), (4, 6))) / temperature, 1) for i in range(targets)]
                parts = losses(z, labels, posteriors, temperature, weight, smoothing)
                parts[2].backward()
                name = f"objective/{targets} targets, T {temperature}, smoothing {smoothing}, weight {weight}"
                arrays[name + "/losses"] = torch.stack([p.detach().double() for p in parts])
                arrays[name + "/gradient"] = z.grad


def without_statistics(net, x):
    """The forward pass in training, with the running statistics left as they are."""
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 0
    y = net(x)
    for m, momentum in zip(norms, momenta):
        m.momentum = momentum
    return y


def learn(arrays, case, students, mode, sequential=False, temperature=1, weight=1, warmup=0, smoothing=0):
    cohort = [dml.student(dml.SEED, i, blocks) for i, blocks in enumerate(students)]
    optimizers = [torch.optim.SGD(net.parameters(), lr=dml.LEARNING_RATE, momentum=dml.MOMENTUM, nesterov=True,
                                  weight_decay=dml.WEIGHT_DECAY) for net in cohort]
    teacher = dml.student(dml.SEED, TEACHER, 3).eval()
    rows = [[] for _ in cohort]
    for step in range(STEPS):
        x, labels = dml.batch(dml.SEED, step)
        w = weight * min(1, (step + 1) / warmup) if warmup else weight
        logits = [net(x) for net in cohort]
        posteriors = [F.softmax(z / temperature, 1).detach() for z in logits]
        with torch.no_grad():
            taught = F.softmax(teacher(x) / temperature, 1)

        def update(s, known):
            peers = [p for l, p in enumerate(known) if l != s]
            targets = {"dml": peers, "dml_e": [torch.stack(peers).mean(0)], "distill": [taught], "independent": []}[mode]
            parts = losses(logits[s], labels, targets, temperature, w, smoothing)
            optimizers[s].zero_grad()
            parts[2].backward()
            rows[s].append([p.item() for p in parts])
            optimizers[s].step()

        for s, net in enumerate(cohort):
            update(s, posteriors)
            if sequential:
                with torch.no_grad():
                    posteriors[s] = F.softmax(without_statistics(net, x) / temperature, 1)
    arrays[case + "/losses"] = torch.tensor(rows)
    for s, net in enumerate(cohort):
        for name, v in net.state_dict().items():
            if name in KEPT:
                arrays[f"{case}/student{s}/{name}"] = v
    print(case)
    for row in rows:
        print("  " + "   ".join("%.5f %.5f %.5f" % tuple(parts) for parts in row))


def main():
    arrays = {}
    objective(arrays)
    for case, options in CASES.items():
        learn(arrays, case, **options)
    np.savez_compressed("modes.npz", **{k: v.detach().numpy().astype(np.float32) for k, v in arrays.items()})
    print(f"torch {torch.__version__}: no rectifier's input is closer to 0 than {dml.relu.margin:.3g}")


if __name__ == "__main__":
    main()
