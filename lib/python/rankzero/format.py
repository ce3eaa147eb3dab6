"""Where everything is in a journal: offsets and encoders. The format itself is lib/journal/FORMAT.md.

Little-endian. Records are 8-byte aligned. Every word that another process polls is an aligned double (or the
u32 of a commit word) and is stored through memoryview.cast: struct.pack_into clears its bytes first, which a
concurrent reader sees as zeros.
"""
import json
import struct
import zlib
from typing import Any, Dict, List

MAGIC = b"RANKZERO"
VERSION = 1
ENDIAN_MARK = 0x01020304

PAGE_BYTES = 4096
TEXT_AT = 512
CRC_AT = 60
RUN_AT = 384
RUN_BYTES_MAX = TEXT_AT - RUN_AT - 4
"""Magic, version, endian mark, instance, bytes of ring, header, origin and directories, lock mode."""
HEADER = struct.Struct("<8sII16sIIIII")

# Owner's cells: indexes of doubles in the header. Records of odd seq use the second pair.
EVEN, ODD = 16, 18
LOST, REFUSED, EPOCH, HEAD, CLOSED = 20, 21, 22, 23, 24
OWNER_AT, OWNER_BYTES = 128, 9 * 8
# Agent's cells, and the same again AGENT_COPY doubles on; written first copy first.
TAIL, TRIMMED, POINTS, ACKED, OVERFLOW_DONE, BEAT = 32, 33, 34, 35, 36, 37
AGENT_AT = 256
AGENT_COPY = 8

LOCK_NONE, LOCK_POSIX = 0, 1

HEAD_BYTES = 40
"""Size, and seq with kind << 48 and flags << 56: what follows the commit word."""
SIZE_AND_MARK = struct.Struct("<IQ")
"""Layout, count, step, time: the rest of the head."""
REST = struct.Struct("<IIdd")
FLAG_WEIGHT = 1
SEQ_MASK = (1 << 48) - 1


class Kind:
    """Record kinds of lib/record/index.ts."""

    pad = 0
    layout = 1
    values = 2
    params = 3
    text = 4
    define = 5
    resume = 6
    lost = 7
    refused = 8
    event = 9
    end = 10
    open = 11
    asset = 12
    facts = 13


def pad8(size: int) -> int:
    return (size + 7) & ~7


def json_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON; a text with a lone surrogate is escaped, since UTF-8 has no form for it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def seed_of(instance: str) -> int:
    """The crc that the records of an instance go on from."""
    return zlib.crc32(bytes.fromhex(instance))


def encode_header(
    origin: Dict[str, Any], ring_bytes: int, directories: List[str], lock_mode: int
) -> bytearray:
    """The immutable part; cells are zero."""
    origin_text = json_bytes(origin)
    directories_text = json_bytes(directories)
    text = origin_text + directories_text
    size = -(-(TEXT_AT + len(text)) // PAGE_BYTES) * PAGE_BYTES
    page = bytearray(size)
    HEADER.pack_into(
        page, 0, MAGIC, VERSION, ENDIAN_MARK, bytes.fromhex(origin["instance"]),
        ring_bytes, size, len(origin_text), len(directories_text), lock_mode,
    )
    page[TEXT_AT:TEXT_AT + len(text)] = text
    struct.pack_into("<I", page, CRC_AT, zlib.crc32(text, zlib.crc32(page[:CRC_AT])))
    return page
