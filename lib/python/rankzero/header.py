"""The header's cells from the owner's side: its counters out, the agent's cells in.

With a mapping `cells` is the file itself; without, a copy: the agent's part is read anew at each question,
the counters are written by `store`. No call raises.
"""
import os
from typing import List, Optional

from .format import (
    AGENT_AT, AGENT_COPY, OWNER_AT, OWNER_BYTES, PAGE_BYTES, RUN_AT, RUN_BYTES_MAX, TAIL, TEXT_AT,
)


class OwnerHeader:
    def __init__(self, mapped: "Optional[memoryview[int]]", fd: int) -> None:
        """`mapped`: the bytes of the mapping, or None: then `fd` is the header's file."""
        self._bytes = memoryview(bytearray(PAGE_BYTES)) if mapped is None else mapped[:PAGE_BYTES]
        self.cells = self._bytes.cast("d")
        self._fd = fd if mapped is None else -1
        self._known: List[float] = [0.0] * AGENT_COPY

    def agent(self, cell: int) -> float:
        """Of the two copies the later written is read first: if they agree, neither is half written."""
        self._load()
        copy = self.cells[cell + AGENT_COPY]
        value = self.cells[cell]
        if value == copy:
            self._known[cell - TAIL] = value
        return self._known[cell - TAIL]

    def run_id(self) -> Optional[str]:
        self._load()
        length = self._bytes[RUN_AT]
        if length == 0 or length > RUN_BYTES_MAX:
            return None
        return bytes(self._bytes[RUN_AT + 4:RUN_AT + 4 + length]).decode("utf-8", "replace")

    def store(self) -> None:
        """Writes the counters; with a mapping they are there already."""
        if self._fd < 0:
            return
        try:
            os.pwrite(self._fd, self._bytes[OWNER_AT:OWNER_AT + OWNER_BYTES], OWNER_AT)
        except OSError:
            pass  # Readers count the records themselves; only the numbers of lost and refused come late.

    def detach(self) -> None:
        """Mapping and file are about to go; the answers stay."""
        copy = memoryview(bytearray(self._bytes))
        self.cells.release()
        self._bytes.release()
        self._bytes = copy
        self.cells = copy.cast("d")
        self._fd = -1

    def _load(self) -> None:
        if self._fd < 0:
            return
        try:
            fresh = os.pread(self._fd, TEXT_AT - AGENT_AT, AGENT_AT)
            self._bytes[AGENT_AT:AGENT_AT + len(fresh)] = fresh
        except OSError:
            pass  # The last known values hold.
