"""Trains a net that comes as JSON with PyTorch, eager, on the CPU: the yardstick of `npm run bench -- train`.

The first line of standard input is the net (the nodes of the ONNX graph that the other side differentiates), each further
one a number of seconds to train for; each is answered by one line with the times of the steps.
"""
import inspect
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

order = json.loads(sys.stdin.readline())
torch.set_num_threads(order["threads"])
torch.manual_seed(1)

values = {}
trained = []
for name, shape in order["parameters"].items():
    fan_in = max(1, torch.Size(shape[1:]).numel()) if len(shape) > 1 else 1
    start = torch.randn(shape) * (2 / fan_in) ** 0.5 if len(shape) > 1 else torch.ones(shape)
    values[name] = start.requires_grad_()
    trained.append(values[name])
for name, shape in order["state"].items():
    values[name] = torch.ones(shape)

options = {"fused": True} if "fused" in inspect.signature(torch.optim.Adam).parameters else {}
try:
    optimizer = torch.optim.Adam(trained, lr=1e-3, **options)
    kind = "fused" if options else "default"
    # Some versions know the word for CUDA only, and say so at the first step.
    if options:
        probe = torch.zeros(1, requires_grad=True)
        probe.grad = torch.zeros(1)
        torch.optim.Adam([probe], **options).step()
except (RuntimeError, AssertionError):
    optimizer, kind = torch.optim.Adam(trained, lr=1e-3, foreach=True), "foreach"


def run(node, x):
    op, a = node["op"], node["attributes"]
    if op == "Conv":
        pads = a["pads"]
        assert pads[: len(pads) // 2] == pads[len(pads) // 2 :], "uneven padding"
        bias = x[2] if len(x) > 2 else None
        return F.conv2d(x[0], x[1], bias, a["strides"], pads[:2], 1, a["group"])
    if op == "BatchNormalization":
        return F.batch_norm(x[0], x[3], x[4], x[1], x[2], True, 0.1, a["epsilon"])
    if op == "Relu":
        return F.relu(x[0])
    if op == "Clip":
        return F.relu6(x[0])
    if op == "HardSwish":
        return F.hardswish(x[0])
    if op == "HardSigmoid":
        return F.hardsigmoid(x[0])
    if op == "Add":
        return x[0] + x[1]
    if op == "Mul":
        return x[0] * x[1]
    if op == "MaxPool":
        return F.max_pool2d(x[0], a["kernel_shape"], a["strides"], a["pads"][:2])
    if op == "GlobalAveragePool":
        return F.adaptive_avg_pool2d(x[0], 1)
    if op == "Flatten":
        return torch.flatten(x[0], 1)
    if op == "Gemm":
        return F.linear(x[0], x[1] if a.get("transB") else x[1].t(), x[2])
    raise ValueError(f"no such operator here: {op}")


images = torch.rand(order["input"])
labels = torch.arange(order["input"][0]) % order["classes"]


def step():
    known = {**values, "input": images}
    for node in order["nodes"]:
        known[node["output"]] = run(node, [known[one] for one in node["inputs"] if one in known])
    loss = F.cross_entropy(known[order["nodes"][-1]["output"]], labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


print(json.dumps({"version": torch.__version__, "adam": kind}), flush=True)
for line in sys.stdin:
    end = time.perf_counter() + float(line)
    times = []
    busy = time.process_time()
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        loss = step()
        times.append((time.perf_counter() - begin) * 1000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cpu = (time.process_time() - busy) * 1000 / len(times)
    answer = {"stepMs": times, "cpuMs": cpu, "loss": loss, "peakBytes": peak}
    print(json.dumps(answer), flush=True)
