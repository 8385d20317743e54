"""Evaluation of re-identification by torchreid, a peer that the bench compares with.

torchreid's own evaluator (its Cython extension), distances (PyTorch) and numpy re-ranking are those of the package
pyppbox-torchreid, which is torchreid 1.4 with the extension built: the package called torchreid leaves its source out.
Modules are imported past the package's __init__, which would ask for all that training needs.

Protocol: a first line with 0 and what runs; then for each line "N" on stdin the seconds of N steps as a JSON array. What is
found goes to peer.json. Without a task it only says what it is.
"""
import argparse
import csv
import importlib.util
import json
import pathlib
import sys
import time
import types

import numpy
import torch

PACKAGE = "pyppbox_torchreid"


def load():
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        sys.exit("there is no pyppbox-torchreid: pip install --no-deps pyppbox-torchreid==1.4.1.0")
    for name in ("", ".utils"):
        module = types.ModuleType(PACKAGE + name)
        module.__path__ = [spec.submodule_search_locations[0] + name.replace(".", "/")]
        sys.modules[PACKAGE + name] = module
    from pyppbox_torchreid.metrics import distance, rank
    from pyppbox_torchreid.utils import rerank
    if not rank.IS_CYTHON_AVAI:
        sys.exit("torchreid's Cython extension does not load in this Python")
    return distance.compute_distance_matrix, rank.evaluate_rank, rerank.re_ranking


def labels(path):
    with open(path) as f:
        rows = list(csv.DictReader(f))
    return [numpy.array([int(r[column]) for r in rows]) for column in ("pid", "camid")]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--task")
    p.add_argument("--dir", type=pathlib.Path)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    distances, evaluate, re_ranking = load()
    print("0 torchreid 1.4, Cython, torch", torch.__version__, "numpy", numpy.__version__, flush=True)
    if not args.task:
        return
    query_pids, query_cameras = labels(args.dir / "query.csv")
    gallery_pids, gallery_cameras = labels(args.dir / "gallery.csv")

    def score(matrix):
        cmc, mean_ap = evaluate(matrix, query_pids, gallery_pids, query_cameras, gallery_cameras)
        return {"mAP": float(mean_ap), "rank1": float(cmc[0])}

    def whole():
        return score(distances(query, gallery, "cosine").numpy())

    def rerank():
        q, g = (torch.nn.functional.normalize(v, dim=1) for v in (query, gallery))
        between = [distances(a, b).clamp_(min=0).sqrt_().numpy() for a, b in ((q, g), (q, q), (g, g))]
        return score(re_ranking(*between))

    if args.task == "reid-rank":
        matrix = numpy.load(args.dir / "distances.npy")
        step = lambda: score(matrix)
    else:
        query, gallery = (torch.from_numpy(numpy.load(args.dir / name)) for name in ("query.npy", "gallery.npy"))
        step = {"reid-whole": whole, "reid-rerank": rerank}[args.task]
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            found = step()
            seconds.append(time.perf_counter() - begin)
        (args.dir / "peer.json").write_text(json.dumps(found))
        print(json.dumps(seconds), flush=True)


main()
