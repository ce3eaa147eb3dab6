"""tensorboardX's SummaryWriter: one add_scalar per metric, a directory per rank, its own queue and flush
times."""
import os


def begin(directory, rank, world):
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(os.path.join(directory, "rank-%d" % rank))
    return scalars(writer.add_scalar), writer.close


def scalars(add_scalar):
    def log(values, step):
        for name, value in values.items():
            add_scalar(name, value, step)

    return log


def count(directory):
    """A scalar is a value in an event; a torn last event ends its file."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    total = 0
    for base, _, names in os.walk(directory):
        for name in names:
            for event in EventFileLoader(os.path.join(base, name)).Load():
                total += len(event.summary.value)
    return total
