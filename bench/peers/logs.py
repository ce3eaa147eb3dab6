"""logging.info of the values, into a file per rank: Python's own FileHandler, which flushes every line."""
import ast
import logging
import os


def begin(directory, rank, world):
    logging.basicConfig(filename=os.path.join(directory, "rank-%d.log" % rank), level=logging.INFO)
    return lambda values, step: logging.info("step %d %r", step, values), logging.shutdown


def count(directory):
    total = 0
    for name in os.listdir(directory):
        with open(os.path.join(directory, name)) as file:
            total += sum(len(ast.literal_eval(line[line.index("{"):])) for line in file if "{" in line)
    return total
