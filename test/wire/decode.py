"""Reads golden.json by PROTOCOL.md alone (standard library) and compares; exits 1 at the first difference."""
import json
import struct
import sys
import zlib

FRAMES = ["", "HELLO", "WELCOME", "BATCH", "SKIP", "ACK", "BEAT", "END", "REFUSE", "REDIRECT"]


def unpack(b, i):
    """One msgpack value at b[i], and where it ends."""
    h = b[i]
    i += 1
    fixed = {0xC0: None, 0xC2: False, 0xC3: True}
    scalars = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
               0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    sized = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
    if h < 0x80:
        return h, i
    if h >= 0xE0:
        return h - 256, i
    if h in fixed:
        return fixed[h], i
    if h in scalars:
        return struct.unpack_from(scalars[h], b, i)[0], i + struct.calcsize(scalars[h])
    if h < 0xC0:
        kind, n = ("map", h & 15) if h < 0x90 else ("list", h & 15) if h < 0xA0 else ("str", h & 31)
    else:
        kind = "str" if h < 0xDC else "list" if h < 0xDE else "map"
        n = struct.unpack_from(sized[h], b, i)[0]
        i += struct.calcsize(sized[h])
    if kind == "str":
        return b[i:i + n].decode(), i + n
    items = []
    for _ in range(n if kind == "list" else 2 * n):
        item, i = unpack(b, i)
        items.append(item)
    return (items if kind == "list" else dict(zip(items[::2], items[1::2]))), i


def sealed(b):
    assert struct.unpack("<I", b[-4:])[0] == zlib.crc32(b[:-4]), "crc"
    return b[:-4]


def frame(b):
    version, kind, zero, term = struct.unpack_from("<BBHI", sealed(b))
    assert (version, zero) == (1, 0)
    body = b[8:-4]
    if kind != 3:
        body, end = unpack(body, 0)
        assert end == len(b) - 12
    else:
        body = body.hex()
    return FRAMES[kind], term, body


class Batch:
    def __init__(self, blob):
        self.b = sealed(blob)
        assert self.b[:4] == b"RB\x01\x00"
        self.instance = self.b[4:20].hex()
        self.i = 20
        self.first, count, points, groups, payloads = (self.varint() for _ in range(5))
        self.records = []
        self.step = self.time = 0
        for _ in range(groups):
            points -= self.group()
        if payloads:
            self.payloads(payloads)
        assert points == 0 and self.i == len(self.b)
        self.records.sort(key=lambda r: r["seq"])
        assert [r["seq"] for r in self.records] == list(range(self.first, self.first + count))

    def take(self, form):
        values = struct.unpack_from("<" + form, self.b, self.i)
        self.i += struct.calcsize("<" + form)
        return values

    def varint(self):
        n = shift = 0
        while True:
            byte, = self.take("B")
            n |= (byte & 127) << shift
            if byte < 128:
                return n
            shift += 7

    def signed(self):
        byte, = self.take("B")
        n = byte & 63
        if byte & 128:
            n |= self.varint() << 6
        return -n if byte & 64 else n

    def sequence(self, mode, count, last):
        if mode == 2:
            return list(self.take("%dd" % count))
        out = []
        while len(out) < count:
            delta = self.signed()
            for _ in range(1 if mode == 1 else self.varint()):
                last += delta
                out.append(last)
        return out

    def column(self, tag, count):
        form = "fd"[tag & 1] if tag < 2 else "fd"[tag - 2]
        return list(self.take(form)) * count if tag < 2 else list(self.take("%d%s" % (count, form)))

    def group(self):
        layout, names, count = self.varint(), self.varint(), self.varint()
        mode, = self.take("B")
        seqs = self.sequence(mode & 3, count, self.first - 1)
        steps = self.sequence(mode >> 2 & 3, count, self.step)
        times = self.sequence(mode >> 4 & 3, count, self.time)
        if mode >> 2 & 3 != 2:
            self.step = steps[0]
        if mode >> 4 & 3 != 2:
            self.time = times[0]
        weighted = mode >> 6
        tags = self.take("%dB" % ((names + weighted + 3) // 4))
        columns = [self.column(tags[c // 4] >> 2 * (c % 4) & 3, count) for c in range(names + weighted)]
        weights = columns.pop() if weighted else [float("nan")] * count
        for i in range(count):
            self.records.append({"seq": seqs[i], "layout": layout, "step": steps[i], "time": times[i],
                                 "weight": None if weights[i] != weights[i] else weights[i],
                                 "values": [column[i] for column in columns]})
        return names * count

    def payloads(self, count):
        mode, = self.take("B")
        seqs = self.sequence(mode & 3, count, self.first - 1)
        times = self.sequence(mode >> 4 & 3, count, self.time)
        heads = [(self.take("B")[0], self.varint()) for _ in range(count)]
        for seq, time, (kind, size) in zip(seqs, times, heads):
            body = self.b[self.i:self.i + size].decode()
            self.records.append({"seq": seq, "kind": kind, "time": time, "body": body})
            self.i += size


def bits(record):
    """Doubles by their bytes: -0 is not 0, a NaN is one NaN."""
    def of(x):
        return struct.pack("<d", float("nan") if x != x else x)
    return {k: [of(float(x)) for x in v] if k == "values" else v for k, v in record.items()}


golden = json.load(open(sys.argv[1], encoding="utf-8"))
for vector in golden["frames"]:
    got = frame(bytes.fromhex(vector["hex"]))
    assert got == (vector["type"], vector["term"], vector["body"]), (got, vector)
for vector in golden["batches"]:
    batch = Batch(bytes.fromhex(vector["hex"]))
    assert batch.instance == vector["instance"]
    assert [bits(r) for r in batch.records] == [bits(r) for r in vector["records"]], vector["name"]
print("%d frames, %d batches agree" % (len(golden["frames"]), len(golden["batches"])))
