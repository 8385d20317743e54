"""Inference in Python's onnxruntime, a peer that the bench compares with.

Protocol: a first line with 0 and what runs; then for each line "N" on stdin the seconds of N steps as a JSON array. Without a
model it only says what it is, and in which library, where that is one of its own.
"""
import argparse
import glob
import json
import os
import sys
import time

import numpy
import onnxruntime


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model")
    for name in ("batch", "threads", "height", "width"):
        p.add_argument("--" + name, type=int)
    args, _ = p.parse_known_args()
    session = None
    if args.model:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
        shape = (args.batch, 3, args.height, args.width)
        feed = {session.get_inputs()[0].name: numpy.random.default_rng(1).standard_normal(shape, dtype=numpy.float32)}
        names = [o.name for o in session.get_outputs()]
    about = "0 Python's onnxruntime " + onnxruntime.__version__
    library = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so.*"))
    if not args.model and library:
        about += " in " + library[0]
    print(about, flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            session.run(names, feed)
            seconds.append(time.perf_counter() - begin)
        print(json.dumps(seconds), flush=True)


main()
