#!/usr/bin/env python3
"""The reference of an external trainer: classifiers in PyTorch, by the contract of docs/external-trainer.md.

    python3 train.py ORDER

reads order.json and what lies beside it, and writes output/model.onnx, output/metrics.jsonl and output/result.json. It
reads the frozen data set itself and needs torch and Pillow (numpy comes with torch). A GPU is used where there is one;
several are used by starting it with torchrun.

It does not read the model that the order gives to start from, as torch cannot load ONNX: it trains a small residual net
of its own with the inputs and outputs that the order asks for. Replace `Net` by yours.
"""

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

CONTRACT = 1
DONE, FAILED, REFUSED, PAUSED = 0, 1, 2, 75


class Refused(Exception):
    """The order asks for what this trainer never does."""


def main() -> int:
    if len(sys.argv) != 2 and "EDGELOOP_ORDER" not in os.environ:
        print("usage: train.py ORDER", file=sys.stderr)
        return REFUSED
    path = Path(sys.argv[1] if len(sys.argv) == 2 else os.environ["EDGELOOP_ORDER"])
    try:
        order = json.loads(path.read_text(encoding="utf-8"))
        check(order)
        return train(order, path.parent)
    except Refused as why:
        print(why, file=sys.stderr)
        return REFUSED
    except Exception as why:  # The last line of standard error is what people read.
        print(f"{type(why).__name__}: {why}", file=sys.stderr)
        return FAILED


def check(order: dict) -> None:
    if order.get("contract") != CONTRACT:
        raise Refused(f"contract {order.get('contract')}: this trainer knows {CONTRACT}")
    if order["task"] != "classification":
        raise Refused(f"task {order['task']}: this trainer knows classification")
    if len(order["inputs"]) != 1 or len(order["outputs"]) != 1:
        raise Refused("one input and one output are wanted")
    (channels, height, width) = order["inputs"][0]["shape"][1:]
    if channels not in (1, 3) or height is None or width is None:
        raise Refused(f"input {order['inputs'][0]['shape']}: pictures of a known size are wanted")
    if order["outputs"][0]["shape"][1:] != [len(order["labels"])]:
        raise Refused(f"output {order['outputs'][0]['shape']}: one number for each label is wanted")


# --- Pictures


def read_samples(order: dict, folder: Path):
    """Digest, class and part of each sample that has a class."""
    head = json.loads((folder / order["dataset"] / "dataset.json").read_text(encoding="utf-8"))
    split = json.loads((folder / order["split"]).read_text(encoding="utf-8"))
    index = {label: at for at, label in enumerate(order["labels"])}
    samples = {"train": [], "validation": []}
    with open(folder / order["dataset"] / "samples.jsonl", encoding="utf-8") as lines:
        next(lines)  # The first line holds the labels.
        for line in lines:
            sample = json.loads(line)
            classes = [a["label"] for a in sample["annotations"] if a["kind"] == "class"]
            if classes and classes[0] in index and sample["digest"] in split:
                samples[split[sample["digest"]]].append((sample["digest"], index[classes[0]]))
    return head["pictures"], samples


def picture_reader(pictures: dict, canvas: dict, blobs: Path):
    """A function from a digest to a canvas: bytes [height, width, channels]."""
    import numpy
    from PIL import Image, ImageOps

    mode = "L" if canvas["channels"] == 1 else "RGB"

    def opened(digest: str):
        file = blobs / digest[:2] / digest
        if pictures["kind"] == "files":
            with Image.open(file) as image:
                return ImageOps.exif_transpose(image).convert(mode)
        size = (pictures["width"], pictures["height"])
        kind = "L" if pictures["channels"] == 1 else "RGB"
        return Image.frombytes(kind, size, file.read_bytes()).convert(mode)

    def placed(digest: str):
        image = opened(digest)
        width, height = canvas["width"], canvas["height"]
        if canvas["fit"] == "stretch":
            content = (width, height)
        else:
            scale = min(width / image.width, height / image.height)
            content = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        left = top = 0
        if canvas["fit"] == "letterbox-center":
            left, top = (width - content[0]) // 2, (height - content[1]) // 2
        if image.size != content:
            image = image.resize(content, Image.BILINEAR)
        pad = canvas["pad"] if mode == "L" else (canvas["pad"],) * 3
        result = Image.new(mode, (width, height), pad)
        result.paste(image, (left, top))
        array = numpy.asarray(result)
        array = array.reshape(height, width, canvas["channels"])
        return array[:, :, ::-1] if canvas["order"] == "bgr" and mode == "RGB" else array

    return placed


def batch_of(digests, placed, canvas: dict, device):
    import numpy
    import torch

    stacked = numpy.stack([placed(digest) for digest in digests])
    images = torch.from_numpy(numpy.ascontiguousarray(stacked)).to(device)
    images = images.permute(0, 3, 1, 2).float()
    count = canvas["channels"]
    mean = torch.tensor((canvas["mean"] * count)[:count], device=device).view(1, -1, 1, 1)
    std = torch.tensor((canvas["std"] * count)[:count], device=device).view(1, -1, 1, 1)
    return (images - mean) / std


# --- The net


def build_net(channels: int, labels: int, size: int):
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int):
            super().__init__()
            self.way = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
                nn.Conv2d(after, after, 3, 1, 1, bias=False),
                nn.BatchNorm2d(after),
            )
            self.past = (
                nn.Identity()
                if stride == 1 and before == after
                else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            )
            self.last = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.last(self.way(x) + self.past(x))

    widths = [24, 48, 96] if size >= 16 else [24, 48]
    layers = [nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    before = widths[0]
    for at, after in enumerate(widths):
        layers.append(Block(before, after, 1 if at == 0 and size < 64 else 2))
        before = after
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, labels)]
    return nn.Sequential(*layers)


# --- Training


def train(order: dict, folder: Path) -> int:
    import torch
    from torch import nn

    recipe, canvas = order["recipe"], order["canvas"]
    output = folder / order["output"]
    output.mkdir(exist_ok=True)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if world > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    random.seed(order["seed"])
    torch.manual_seed(order["seed"])

    pictures, samples = read_samples(order, folder)
    if not samples["train"]:
        raise Refused("no sample has a class to learn")
    placed = picture_reader(pictures, canvas, folder / order["dataset"] / "blobs")
    net = build_net(canvas["channels"], len(order["labels"]), min(canvas["width"], canvas["height"]))
    net.to(device)
    whole = net
    if world > 1:
        net = nn.parallel.DistributedDataParallel(net, [local] if device.type == "cuda" else None)

    batch = min(recipe["batch"], len(samples["train"]))
    per_epoch = max(1, len(samples["train"]) // (batch * world))
    steps = recipe["steps"] or max(1, math.ceil(recipe["epochs"] * per_epoch))
    optimizer, rate_at = optimizer_of(recipe, whole, steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe["loss"]["labelSmoothing"])

    paused = []
    signal.signal(signal.SIGTERM, lambda *_: paused.append(True))
    state_file = output / "state.pt"
    step, best, began = 0, {"accuracy": -1.0, "step": 0, "weights": None}, time.time()
    spent = 0.0
    if state_file.exists():
        state = torch.load(state_file, map_location=device)
        whole.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step, best, spent = state["step"], state["best"], state["seconds"]

    metrics = open(output / "metrics.jsonl", "a", encoding="utf-8") if rank == 0 else None

    def tell(**line):
        if metrics:
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()

    def keep():
        if rank != 0:
            return
        draft = output / "state.pt.draft"
        seconds = spent + time.time() - began
        torch.save(
            {
                "net": whole.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "best": best,
                "seconds": seconds,
            },
            draft,
        )
        os.replace(draft, state_file)

    told = time.time()
    while step < steps:
        # The order of an epoch is a function of seed and epoch, so that a resumed run sees the same.
        epoch, place = divmod(step, per_epoch)
        names = list(samples["train"])
        random.Random(f"{order['seed']} {epoch}").shuffle(names)
        mine = names[(place * world + rank) * batch : (place * world + rank + 1) * batch]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        net.train()
        images = batch_of([digest for digest, _ in mine], placed, canvas, device)
        wanted = torch.tensor([label for _, label in mine], device=device)
        loss = loss_of(net(images), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe["optimizer"]["clipNorm"] > 0:
            nn.utils.clip_grad_norm_(net.parameters(), recipe["optimizer"]["clipNorm"])
        optimizer.step()
        step += 1
        value = loss.item()
        if not math.isfinite(value):
            raise RuntimeError(f"the loss is {value} at step {step}")
        now = time.time()
        if step == steps or now - told > 1:
            rate = batch * world / max(1e-9, (now - told) if step > 1 else now - began)
            tell(step=step, steps=steps, epoch=step / per_epoch, loss=value,
                 learningRate=rate_at(step - 1), imagesPerSecond=rate)
        told = now
        if step % per_epoch == 0 or step == steps:
            if samples["validation"]:
                accuracy = accuracy_of(whole, samples["validation"], placed, canvas, batch, device)
                tell(step=step, steps=steps, figures={"accuracy": accuracy})
                if accuracy > best["accuracy"]:
                    weights = {name: one.detach().cpu().clone() for name, one in whole.state_dict().items()}
                    best = {"accuracy": accuracy, "step": step, "weights": weights}
            keep()
        if paused and step < steps:
            keep()
            return PAUSED

    if rank == 0:
        if best["weights"] is not None:
            whole.load_state_dict(best["weights"])
        write_model(whole, order, output)
        result = {
            "contract": CONTRACT,
            "trainer": f"pytorch {torch.__version__}",
            "steps": steps,
            "bestStep": best["step"] or steps,
            "seconds": spent + time.time() - began,
        }
        # The result comes last: where it is, everything else is.
        (output / "result.json").write_text(json.dumps(result), encoding="utf-8")
    if world > 1:
        torch.distributed.destroy_process_group()
    return DONE


def optimizer_of(recipe: dict, net, steps: int):
    import torch

    given, schedule = recipe["optimizer"], recipe["schedule"]
    rate = given["learningRate"]
    if given["name"] == "sgd":
        optimizer = torch.optim.SGD(net.parameters(), rate, momentum=given["momentum"],
                                    nesterov=given["nesterov"] and given["momentum"] > 0,
                                    weight_decay=given["weightDecay"])
    else:
        kind = torch.optim.AdamW if given["name"] == "adamw" else torch.optim.Adam
        optimizer = kind(net.parameters(), rate, betas=(given["beta1"], given["beta2"]),
                         eps=given["epsilon"], weight_decay=given["weightDecay"])

    def rate_at(step: int) -> float:
        warmup = schedule["warmupSteps"]
        if step < warmup:
            return rate * (step + 1) / warmup
        share = (step - warmup) / max(1, steps - warmup)
        last = schedule["finalShare"]
        if schedule["name"] in ("cosine", "one-cycle"):
            return rate * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * share)))
        if schedule["name"] == "linear":
            return rate * (1 - (1 - last) * share)
        if schedule["name"] == "step":
            return rate * schedule["factor"] ** math.floor(share / max(1e-9, schedule["every"]))
        return rate

    return optimizer, rate_at


def accuracy_of(net, samples, placed, canvas, batch, device) -> float:
    import torch

    net.eval()
    right = 0
    with torch.no_grad():
        for at in range(0, len(samples), batch):
            part = samples[at : at + batch]
            said = net(batch_of([digest for digest, _ in part], placed, canvas, device)).argmax(1).tolist()
            right += sum(one == label for one, (_, label) in zip(said, part))
    return right / len(samples)


def write_model(net, order: dict, output: Path) -> None:
    import torch

    (port,), (result,) = order["inputs"], order["outputs"]
    net.eval().cpu()
    draft = output / "model.onnx.draft"
    torch.onnx.export(
        net,
        torch.zeros(1, *port["shape"][1:]),
        str(draft),
        input_names=[port["name"]],
        output_names=[result["name"]],
        dynamic_axes={port["name"]: {0: "n"}, result["name"]: {0: "n"}},
        opset_version=17,
        # BatchNorm is kept, so that the model can be trained on.
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        # Newer versions export by another way, which needs one more package.
        **({"dynamo": False} if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 5) else {}),
    )
    os.replace(draft, output / "model.onnx")


if __name__ == "__main__":
    sys.exit(main())
