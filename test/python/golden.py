"""Writes the journals of golden.json with the client's writer: argv[1] is golden.json, argv[2] a directory.

The agent's cells, which the reader of the TypeScript test wrote in between, are taken from golden.json.
"""
import json
import mmap
import os
import sys

from rankzero import journal as module
from rankzero.format import Kind, encode_header
from rankzero.journal import Journal
from rankzero.layouts import Layout
from rankzero.place import Place

clock = 0


def bytes_of(text):
    length, digits = text.split(":")
    return bytes.fromhex(digits).ljust(int(length), b"\0")


def hex_of(data):
    return "%d:%s" % (len(data), bytes(data).rstrip(b"\0").hex())


def at(time):
    global clock
    clock = time


def log(journal, layout, step, values, weight=None):
    at(1_700_000_000_000 + step)
    if weight is None:
        done = journal.put(layout, step, values)
    else:
        done = journal.put_weighted(layout, step, weight, values)
    if not done:
        journal.drop(layout)


def fill(journal):
    at(1000)
    journal.payload(Kind.open, {"source": "golden", "config": {"lr": 0.1}})
    at(1001)
    layout = Layout(0, ["loss", "acc/ü", ""])
    journal.define(layout)
    log(journal, layout, 0, [0.1, -0.0, 2**53])
    log(journal, layout, 2**53 - 1, [float("nan"), float("inf"), -float("inf")], 32.5)
    at(1002)
    journal.payload(Kind.text, {"line": 'a "line" with 漢字'})
    return layout


def steps(journal, layout, first, last, weighted=False):
    for step in range(first, last):
        log(journal, layout, step, [step, step / 2, -step], float(step) if weighted else None)


def second_lap(journal, drain):
    layout = fill(journal)
    steps(journal, layout, 1, 47)
    drain()
    steps(journal, layout, 47, 80, True)


def overfull(journal, drain):
    steps(journal, fill(journal), 1, 90)


def beside(journal, _):
    at(1003)
    asset = {"name": "d/ü.pt", "type": "model-element", "step": 7, "metadata": {"model": "net"}, "size": 3}
    journal.payload(Kind.asset, {**asset, "sha256": "ba7816bf8f01cfea" * 4})
    at(1004)
    reference = {"name": "k.pt", "type": "asset", "step": None, "size": None, "sha256": None}
    journal.payload(Kind.asset, {**reference, "uri": "s3://b/k.pt"})
    at(1005)
    journal.payload(Kind.facts, {"others": {"k": [1, None]}})
    at(1006)
    journal.payload(Kind.facts, {"tags": ["t"], "name": "n"})
    at(1007)
    journal.payload(63, {"new": True})


ACTS = [(4096, lambda journal, drain: fill(journal)), (4096, second_lap),
        (0, lambda journal, drain: fill(journal)), (4096, overfull), (4096, beside)]


def make(origin, vector, ring_bytes, act, directory):
    os.makedirs(directory)
    page = encode_header(origin, ring_bytes, ["."], 0)
    mapping = mmap.mmap(-1, len(page) + ring_bytes) if ring_bytes else None
    if mapping is not None:
        mapping[:len(page)] = bytes(page)
    place = Place(origin["instance"], "", mapping, len(page), -1, -1, [directory], 1 << 20, lambda _: True)
    journal = Journal(place)

    def drain():
        mapping[256:384] = bytes_of(vector["journal"])[256:384]

    act(journal, drain)
    files = {name: hex_of(open(os.path.join(directory, name), "rb").read()) for name in os.listdir(directory)}
    return {"journal": hex_of(mapping[:] if mapping is not None else page), "segments": files}


module.time_ns = lambda: clock * 1_000_000
golden = json.load(open(sys.argv[1], encoding="utf-8"))
made = [
    make(golden["origin"], vector, ring_bytes, act, os.path.join(sys.argv[2], str(i)))
    for i, (vector, (ring_bytes, act)) in enumerate(zip(golden["vectors"], ACTS))
]
print(json.dumps(made))
