"""The handwritten digits under MPI, with numpy:

    rankzero run -- mpirun -n 4 python -m mpi4py train.py

`-m mpi4py` makes an exception in one rank end the job; without it the others would wait for ever.
"""
import argparse
import pathlib

import numpy
from mpi4py import MPI

import rankzero

DIGITS = pathlib.Path(__file__).resolve().parent.parent / "digits" / "digits.csv"


def load_digits():
    table = numpy.loadtxt(DIGITS, delimiter=",")
    numpy.random.default_rng(1).shuffle(table)
    return numpy.c_[table[:, :-1] / 16, numpy.ones(len(table))], table[:, -1].astype(int)


def loss_and_gradient(weights, pixels, labels):
    scores = pixels @ weights
    scores -= scores.max(1, keepdims=True)
    chances = numpy.exp(scores) / numpy.exp(scores).sum(1, keepdims=True)
    loss = -numpy.log(chances[numpy.arange(len(labels)), labels]).mean()
    chances[numpy.arange(len(labels)), labels] -= 1
    return loss, pixels.T @ chances / len(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.5)
    args = parser.parse_args()

    run = rankzero.init(project="digits", config=vars(args))
    world = MPI.COMM_WORLD
    pixels, labels = load_digits()
    pixels, labels = pixels[world.rank::world.size], labels[world.rank::world.size]
    weights = numpy.zeros((pixels.shape[1], 10))
    for step in range(args.steps):
        loss, gradient = loss_and_gradient(weights, pixels, labels)
        total = numpy.empty_like(gradient)
        world.Allreduce(gradient * len(labels), total)
        weights -= args.lr * total / world.allreduce(len(labels))
        accuracy = (numpy.argmax(pixels @ weights, 1) == labels).mean()
        run.log({"train/loss": loss, "train/accuracy": accuracy}, step=step, weight=len(labels))
    if world.rank == 0:
        print(f"accuracy of rank 0 {accuracy:.3f}")
    run.end()


if __name__ == "__main__":
    main()
