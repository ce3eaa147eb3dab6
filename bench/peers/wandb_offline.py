"""wandb with WANDB_MODE=offline, one run per rank in a group: what its documentation has for jobs of many
processes that each track a run, and for machines without a network."""
import glob
import os
import struct

BLOCK, FILE_HEADER, CHUNK_HEADER = 32768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def begin(directory, rank, world):
    import wandb

    run = wandb.init(project="bench", group="bench", name="rank-%d" % rank, dir=directory, mode="offline")
    return lambda values, step: run.log(values, step=step), run.finish


def records(data):
    """Payloads of a .wandb file: LevelDB's log framing after a header of 7 bytes; ends where it is torn."""
    at, whole = FILE_HEADER, b""
    while at + CHUNK_HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < CHUNK_HEADER:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        payload = data[at + CHUNK_HEADER:at + CHUNK_HEADER + length]
        if kind not in (FULL, FIRST, MIDDLE, LAST) or len(payload) < length:
            return
        whole = payload if kind in (FULL, FIRST) else whole + payload
        at += CHUNK_HEADER + length
        if kind in (FULL, LAST):
            yield whole


def count(directory):
    from wandb.proto.wandb_internal_pb2 import Record

    total = 0
    # latest-run is a link to the run's directory.
    found = glob.glob(os.path.join(directory, "**", "*.wandb"), recursive=True)
    for path in set(map(os.path.realpath, found)):
        with open(path, "rb") as file:
            for payload in records(file.read()):
                items = Record.FromString(payload).history.item
                names = [item.key or ".".join(item.nested_key) for item in items]
                total += sum(not name.startswith("_") for name in names)
    return total
