"""Reads golden.json with Python's standard library, from FORMAT.md alone; exits 1 at the first difference."""
import json
import math
import struct
import sys
import zlib

HEAD = struct.Struct("<IIIHBBIIdd")
PAD, VALUES = 0, 2


def file_of(text):
    length, digits = text.split(":")
    data = bytes.fromhex(digits)
    return data + bytes(int(length) - len(data))


def record_at(data, at, seed):
    """(seq, kind, size, record) of the valid record at `at`, or None."""
    if at + HEAD.size > len(data):
        return None
    commit, size, low, high, kind, flags, layout, count, step, time = HEAD.unpack_from(data, at)
    if size < HEAD.size or size % 8 or at + size > len(data):
        return None
    covered = data[at + 4 : at + (HEAD.size if kind == PAD else size)]
    if (zlib.crc32(covered, seed) or 1) != commit:
        return None
    seq = low + (high << 32)
    if kind != VALUES:
        body = data[at + HEAD.size : at + HEAD.size + count]
        return seq, kind, size, {"seq": seq, "kind": kind, "time": time, "body": body}
    start = at + HEAD.size
    weight = None
    if flags & 1:
        weight = struct.unpack_from("<d", data, start)[0]
        start += 8
    values = struct.unpack_from("<%dd" % count, data, start)
    fields = dict(seq=seq, kind=kind, layout=layout, step=step, weight=weight, time=time, values=values)
    return seq, kind, size, fields


def cells(journal, at, n):
    return struct.unpack_from("<%dd" % n, journal, at)


def ring_records(journal, header_bytes, ring_bytes, seed):
    tail, trimmed = cells(journal, 256, 2)
    ring = journal[header_bytes:]
    at, before = int(tail), int(trimmed)
    while True:
        place = at % ring_bytes
        if ring_bytes - place < HEAD.size:
            at += ring_bytes - place
            continue
        found = record_at(ring, place, seed)
        if found is None or found[0] <= before:
            return
        seq, kind, size, record = found
        at += size
        if kind != PAD:
            before = seq
            yield record


def segment_records(data, seed):
    at = 0
    while True:
        found = record_at(data, at, seed)
        if found is None:
            return
        at += found[2]
        yield found[3]


def plain(value):
    """A value as golden.json has it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 and math.copysign(1, value) < 0:
        return "-0"
    return value


def read(vector, origin):
    journal = file_of(vector["journal"])
    assert journal[:8] == b"RANKZERO"
    version, endian = struct.unpack_from("<II", journal, 8)
    assert (version, endian) == (1, 0x01020304)
    instance = journal[16:32]
    ring_bytes, header_bytes, origin_bytes, directories_bytes = struct.unpack_from("<4I", journal, 32)
    (crc,) = struct.unpack_from("<I", journal, 60)
    text = journal[512 : 512 + origin_bytes + directories_bytes]
    assert crc == zlib.crc32(text, zlib.crc32(journal[:60]))
    assert json.loads(text[:origin_bytes]) == origin and instance.hex() == origin["instance"]
    seed = zlib.crc32(instance)
    records = list(ring_records(journal, header_bytes, ring_bytes, seed)) if ring_bytes else []
    for name in sorted(vector["segments"]):
        records += segment_records(file_of(vector["segments"][name]), seed)
    trimmed = cells(journal, 256, 2)[1]
    records = sorted((r for r in records if r["seq"] > trimmed), key=lambda r: r["seq"])
    for record in records:
        if "values" in record:
            record["values"] = [plain(value) for value in record["values"]]
        else:
            record["body"] = json.loads(record["body"])
    return records


def main():
    golden = json.load(open(sys.argv[1], encoding="utf-8"))
    for case in golden["crc"]:
        assert zlib.crc32(bytes.fromhex(case["hex"])) == case["crc"], case
    for vector in golden["vectors"]:
        records = read(vector, golden["origin"])
        for mine, theirs in zip(records, vector["records"]):
            assert mine == theirs, (vector["title"], mine, theirs)
        assert len(records) == len(vector["records"]), vector["title"]
    print("%d journals read" % len(golden["vectors"]))


main()
