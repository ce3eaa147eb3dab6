"""Space in the mapped ring: where the next record may go. Offsets grow for ever; the place is offset % size.

Invariants (FORMAT.md, "Ring"): a record never wraps; bytes from tail to head are never written again before
the agent raised the tail.
"""
import zlib
from typing import Optional

from .format import AGENT_COPY, HEAD, HEAD_BYTES, REST, SIZE_AND_MARK, TAIL, Kind


class Ring:
    def __init__(self, memory: "memoryview[int]", header_bytes: int, seed: int) -> None:
        self.u8 = memory
        self.u32 = memory.cast("I")
        self.f64 = memory.cast("d")
        self.size = len(memory) - header_bytes
        self._base = header_bytes
        self._seed = seed
        self._tail = 0

    def position(self, head: int) -> int:
        """Offset in the file of ring offset `head`."""
        return self._base + head % self.size

    def free(self, head: int) -> int:
        return self.size - (head - self._tail)

    def room(self, head: int) -> int:
        """Contiguous free bytes at `head`."""
        return min(self.free(head), self.size - head % self.size)

    def refresh(self, head: int) -> None:
        """The agent's copies are read in the reverse of the order of writing: see OwnerHeader.agent."""
        copy = self.f64[TAIL + AGENT_COPY]
        tail = self.f64[TAIL]
        if tail == copy and tail == tail and self._tail < tail <= head:
            self._tail = int(tail)

    def place(self, head: int, size: int, seq: int) -> Optional[int]:
        """The head from which `size` bytes are free in one piece, maybe in the next lap; or None."""
        self.refresh(head)
        left = self.size - head % self.size
        if size <= left:
            return head if size <= self.free(head) else None
        if left + size > self.free(head):
            return None
        # Readers skip an end that no record fits in by themselves.
        if left >= HEAD_BYTES:
            self._pad(self.position(head), left, seq)
        self.f64[HEAD] = head + left
        return head + left

    def release(self) -> None:
        for view in (self.f64, self.u32, self.u8):
            view.release()

    def _pad(self, at: int, size: int, seq: int) -> None:
        """A pad is checked over its head only: what follows it is stale."""
        head = SIZE_AND_MARK.pack(size, seq | Kind.pad << 48) + REST.pack(0, 0, 0.0, 0.0)
        self.u8[at + 4:at + HEAD_BYTES] = head
        self.u32[at >> 2] = zlib.crc32(head, self._seed) or 1
