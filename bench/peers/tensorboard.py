"""torch.utils.tensorboard, as PyTorch's recipe has it: SummaryWriter, one add_scalar per metric and step."""
import os

from .tensorboardx import count, scalars

__all__ = ["begin", "count"]


def begin(directory, rank, world):
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(os.path.join(directory, "rank-%d" % rank))
    return scalars(writer.add_scalar), writer.close
