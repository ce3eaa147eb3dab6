"""The handwritten digits under DistributedDataParallel on the CPU:

    rankzero run -- torchrun --nproc-per-node 4 train.py --checkpoint digits.pt

Each rank logs the loss of its own batch; the weight makes rankzero's mean the one over all samples.
Started again, or restarted by torchrun --max-restarts, it goes on from its checkpoint.
"""
import argparse
import os
import pathlib

import numpy
import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import rankzero

DIGITS = pathlib.Path(__file__).resolve().parent.parent / "digits" / "digits.csv"
TRAIN = 1437


def load_digits():
    table = torch.from_numpy(numpy.loadtxt(DIGITS, delimiter=",", dtype="float32"))
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(1))]
    pixels, labels = table[:, :-1] / 16, table[:, -1].long()
    return (pixels[:TRAIN], labels[:TRAIN]), (pixels[TRAIN:], labels[TRAIN:])


def save(path, step, model, optimizer):
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, f"{path}.new")
    os.replace(f"{path}.new", path)


def load(path, model, optimizer):
    if not path or not os.path.exists(path):
        return 0
    state = torch.load(path)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.5)
    parser.add_argument("--loaders", type=int, default=0, help="processes that load data, per rank")
    parser.add_argument("--checkpoint", help="file to save to and to go on from")
    parser.add_argument("--save-every", type=int, default=10, help="steps between checkpoints")
    args = parser.parse_args()

    run = rankzero.init(project="digits", config=vars(args))
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    torch.manual_seed(7)

    train, test = load_digits()
    shard = TensorDataset(train[0][rank::world], train[1][rank::world])
    batches = DataLoader(shard, batch_size=args.batch, shuffle=True, num_workers=args.loaders)
    layers = torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(*layers))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)

    step = load(args.checkpoint, model, optimizer)
    if step > 0:
        run.resume(step=step)
    while step < args.steps:
        for pixels, labels in batches:
            scores = model(pixels)
            loss = cross_entropy(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            accuracy = (scores.argmax(1) == labels).float().mean()
            run.log({"train/loss": loss, "train/accuracy": accuracy}, step=step, weight=len(labels))
            step += 1
            if rank == 0 and args.checkpoint and step % args.save_every == 0:
                save(args.checkpoint, step, model, optimizer)
            if step == args.steps:
                break

    if rank == 0:
        accuracy = (model.module(test[0]).argmax(1) == test[1]).float().mean().item()
        run.log({"test/accuracy": accuracy}, step=step)
        print(f"test accuracy {accuracy:.3f}")
    dist.destroy_process_group()
    run.end()


if __name__ == "__main__":
    main()
