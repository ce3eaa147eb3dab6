"""The handwritten digits under Horovod:

    rankzero run -- horovodrun -np 4 python train.py
"""
import argparse
import pathlib

import horovod.torch as hvd
import numpy
import torch
from torch.nn.functional import cross_entropy

import rankzero

DIGITS = pathlib.Path(__file__).resolve().parent.parent / "digits" / "digits.csv"


def load_digits():
    table = torch.from_numpy(numpy.loadtxt(DIGITS, delimiter=",", dtype="float32"))
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(1))]
    return table[:, :-1] / 16, table[:, -1].long()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.2)
    args = parser.parse_args()

    run = rankzero.init(project="digits", config=vars(args))
    hvd.init()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    pixels, labels = (part[hvd.rank()::hvd.size()] for part in load_digits())
    model = torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    optimizer = hvd.DistributedOptimizer(optimizer, model.named_parameters())
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)

    step = 0
    for _ in range(args.epochs):
        # Every rank takes the same number of batches: an all-reduce waits for all.
        for batch in torch.randperm(len(labels) // args.batch * args.batch).split(args.batch):
            scores = model(pixels[batch])
            loss = cross_entropy(scores, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            accuracy = (scores.argmax(1) == labels[batch]).float().mean()
            run.log({"train/loss": loss, "train/accuracy": accuracy}, step=step, weight=len(batch))
            step += 1
    if hvd.rank() == 0:
        print(f"accuracy of rank 0 {accuracy:.3f}")
    run.end()
    hvd.shutdown()


if __name__ == "__main__":
    main()
