"""The owner's end of a journal: put() is the hot path of every log() call.

In: values, payloads, layouts. Out: records in the ring, or in segments when there is no ring or it is full.
Invariants: seq grows by one per record; the commit word is stored last; a definition precedes its values;
what finds no room is counted, by metric. It takes no lock (recorder.py does), starts no thread and no agent
and deletes no file. An exception that a signal handler raises in the middle of a call is made good by
recover().
"""
import struct
from time import monotonic, time_ns
from typing import Any, Dict, Iterable, List, Optional, Tuple
from zlib import crc32

from .format import (
    CLOSED, EPOCH, EVEN, FLAG_WEIGHT, HEAD, HEAD_BYTES, LOST, ODD, OVERFLOW_DONE, ACKED, BEAT, REFUSED,
    REST, SEQ_MASK, SIZE_AND_MARK, TRIMMED, Kind, json_bytes, pad8, seed_of,
)
from .header import OwnerHeader
from .layouts import Layout, Layouts, Losses
from .limits import RECORD_BYTES_MAX, SEGMENT_RETRY_MS
from .place import Place, close_map
from .ring import Ring
from .segments import Segments

ABOVE_CAP = (Kind.open, Kind.lost, Kind.refused, Kind.end)
"""Who it is, reports of losses and the end come through although the cap is reached."""
VALUES_MARK = Kind.values << 48
_COMMIT = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")


def now_ms() -> int:
    return time_ns() // 1_000_000


class Journal:
    def __init__(self, place: Place) -> None:
        self.instance = place.instance
        self._seed = seed_of(place.instance)
        self._settle(place)
        self._epoch = 0
        self._layouts = Layouts()
        self._losses = Losses()
        self._undefined: List[Tuple[Layout, bytes]] = []
        """Definitions that found no room: no values before they are written."""
        self._defining = False
        self._lap_start = 0
        self._retry_at = 0.0
        self._directory = -1
        self._closed = False

    def _settle(self, place: Place) -> None:
        self.path = place.path
        """Empty while no directory takes the journal (late.py)."""
        self.mapped = place.map is not None
        self._place = place
        memory = memoryview(place.map) if place.map is not None else None
        self._ring = Ring(memory, place.header_bytes, self._seed) if memory is not None else None
        self._header = OwnerHeader(memory, place.fd)
        self._segments = Segments(place.instance, place.directories, place.overflow_cap, place.may_use)
        self._in_ring = self._ring is not None
        if self._ring is not None:
            self._u8, self._u32, self._f64 = self._ring.u8, self._ring.u32, self._ring.f64
        # Seq and points so far; offset of the next record in the file of the ring, or in the open segment;
        # in the ring also the end of the room there, and what the ring offset is more than the one in the
        # file. One tuple: it changes at once or not at all.
        self._cursor: Tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    def move(self, place: Place) -> None:
        """From nowhere to a place: no record was written before, and what was counted stays."""
        counted = self._header.cells
        self._settle(place)
        for cell in (LOST, REFUSED):
            self._header.cells[cell] = counted[cell]
        self._retry_at = 0.0

    # --- writing

    def put(self, layout: Layout, step: int, numbers: Iterable[float]) -> bool:
        """Writes one record of values; False when there is no room: call drop(). Numbers are not checked."""
        seq, points, at, end, lap = self._cursor
        stop = at + layout.size
        if stop > end:
            return self._put_slowly(layout, step, None, numbers)
        seq += 1
        count = layout.count
        # Packing, then copying, costs less than packing in place and a view of it for the crc.
        record = layout.pack(
            layout.size_field, seq | VALUES_MARK, layout.id_fields, step, time_ns() // 1_000_000, *numbers
        )
        self._u8[at + 4:stop] = record
        self._u32[at >> 2] = crc32(record, self._seed) or 1
        points += count
        # Points before seq: a reader takes the pair with the higher seq, whole whenever we are killed.
        f64 = self._f64
        if seq & 1:
            f64[19] = points
            f64[18] = seq
        else:
            f64[17] = points
            f64[16] = seq
        f64[23] = lap + stop
        self._cursor = (seq, points, stop, end, lap)
        return True

    def put_weighted(self, layout: Layout, step: int, weight: float, numbers: Iterable[float]) -> bool:
        return self._put_slowly(layout, step, weight, numbers)

    def drop(self, layout: Layout) -> None:
        """Counts a record's points as lost; they are reported in-band when there is room."""
        self._losses.add(layout.id, layout.count)
        self._header.cells[LOST] += layout.count

    def define(self, layout: Layout) -> bool:
        """Names a layout; False when the names do not fit in one record (split them)."""
        body = layout.body()
        if HEAD_BYTES + pad8(len(body)) > RECORD_BYTES_MAX:
            return False
        layout.time = now_ms()
        self._layouts.add(layout)
        self._undefined.append((layout, body))
        self._define_all()
        return True

    def payload(self, kind: int, body: Dict[str, Any], time: Optional[int] = None) -> bool:
        """Writes a JSON record; False when there is no room or it is larger than a record may be."""
        if kind == Kind.end:
            self._report_losses()
        return self._payload(kind, 0, json_bytes(body), now_ms() if time is None else time)

    def look(self, last: bool = False) -> None:
        """Called about once a second, and before the end (`last`), without the lock: see late.py."""

    def tick(self) -> None:
        """About once a second: reports of losses, and in file mode the counters of the header."""
        if not self._closed:
            self._report_losses()
            self._header.store()

    def count_refused(self, n: int) -> None:
        self._header.cells[REFUSED] += n

    def recover(self) -> None:
        """After an exception from outside in the middle of a call: a record is whole or not there."""
        if self._closed:
            return
        if self._in_ring and self._epoch % 2 == 1:
            self._enter_segments()
        self._header.cells[EPOCH] = self._epoch
        seq, points, at, end, _ = self._cursor
        if self._in_ring:
            found = self._checked(bytes(self._u8[at:min(end, at + RECORD_BYTES_MAX)]), seq + 1)
        else:
            found = self._checked(self._segments.tail(at), seq + 1)
            if found is None:
                self._segments.cut(at)
        if found is not None:
            self._publish(seq + 1, points + found[1], at + found[0])
        else:
            self._publish(seq, points, at)

    # --- what is known

    def acked(self) -> float:
        return self._header.agent(ACKED)

    def beat(self) -> float:
        return self._header.agent(BEAT)

    def run_id(self) -> Optional[str]:
        return self._header.run_id()

    def seq(self) -> int:
        return self._cursor[0]

    @property
    def lost(self) -> int:
        return int(self._header.cells[LOST])

    @property
    def logged(self) -> int:
        return self._cursor[1] + self.lost

    def close(self) -> None:
        """Releases lock and mapping; idempotent. The files stay for the agent."""
        if self._closed:
            return
        self._report_losses()
        self._header.cells[CLOSED] = 1
        self._header.store()
        if not self._in_ring:
            self._finish_segment()
        self._let_go()
        self._place.release()

    def abandon(self) -> None:
        """In a forked child: nothing here is ours. Descriptors are left alone, they hold no lock of ours."""
        self._segments.abandon()
        self._let_go()
        close_map(self._place.map)

    def _let_go(self) -> None:
        self._closed = True
        self._cursor = (*self._cursor[:2], 0, 0, 0)
        self._header.detach()
        if self._ring is not None:
            self._ring.release()
            self._ring = None
        self._in_ring = False

    # --- the slow road

    def _publish(self, seq: int, points: int, stop: int) -> None:
        cells = self._header.cells
        pair = ODD if seq & 1 else EVEN
        cells[pair + 1] = points
        cells[pair] = seq
        if self._in_ring:
            _, _, _, end, lap = self._cursor
            cells[HEAD] = lap + stop
            self._cursor = (seq, points, stop, end, lap)
        else:
            self._cursor = (seq, points, stop, 0, 0)

    def _put_slowly(
        self, layout: Layout, step: int, weight: Optional[float], numbers: Iterable[float]
    ) -> bool:
        values = struct.pack("<%dd" % layout.count, *numbers)
        if weight is not None:
            values = _DOUBLE.pack(weight) + values
        size = HEAD_BYTES + len(values)
        if not self._make_room(size, False):
            return False
        rest = REST.pack(layout.id, layout.count, step, now_ms()) + values
        flags = 0 if weight is None else FLAG_WEIGHT
        return self._append(Kind.values | flags << 8, size, rest, layout.count)

    def _payload(self, kind: int, layout: int, body: bytes, time: int) -> bool:
        size = HEAD_BYTES + pad8(len(body))
        if size > RECORD_BYTES_MAX or not self._make_room(size, kind in ABOVE_CAP):
            return False
        done = self._put_payload(kind, layout, body, time)
        if self._undefined:
            self._close_room()
        return done

    def _close_room(self) -> None:
        """put() must come by _make_room, which tries to write the definitions that wait."""
        seq, points, at, _, lap = self._cursor
        self._cursor = (seq, points, at, at, lap)

    def _put_payload(self, kind: int, layout: int, body: bytes, time: int) -> bool:
        padding = bytes(-len(body) & 7)
        rest = REST.pack(layout, len(body), 0, time) + body + padding
        return self._append(kind, HEAD_BYTES + len(body) + len(padding), rest, 0)

    def _append(self, kind: int, size: int, rest: bytes, points: int) -> bool:
        """Writes a record whose room was made; `kind` with the flags above it."""
        if self._in_ring:
            seq, sum_, at = self._cursor[:3]
            record = self._sealed(seq + 1, kind, size, rest)
            self._u8[at + 4:at + size] = record[4:]
            self._u32[at >> 2] = _COMMIT.unpack_from(record)[0]
        else:
            while True:
                # The seq is taken anew each time: a new segment may have begun with definitions.
                seq, sum_, at = self._cursor[:3]
                if self._segments.write(self._sealed(seq + 1, kind, size, rest), at):
                    break
                if not self._open_segment(self._directory + 1):
                    return False
        self._publish(seq + 1, sum_ + points, at + size)
        return True

    def _sealed(self, seq: int, kind: int, size: int, rest: bytes) -> bytes:
        covered = SIZE_AND_MARK.pack(size, seq | kind << 48) + rest
        return _COMMIT.pack(crc32(covered, self._seed) or 1) + covered

    def _checked(self, data: bytes, seq: int) -> Optional[Tuple[int, int]]:
        """Size and points of the record at the start of `data`, if it is whole and has this seq."""
        if len(data) < HEAD_BYTES:
            return None
        size, mark = SIZE_AND_MARK.unpack_from(data, 4)
        if not HEAD_BYTES <= size <= len(data) or mark & SEQ_MASK != seq:
            return None
        if (crc32(data[4:size], self._seed) or 1) != _COMMIT.unpack_from(data)[0]:
            return None
        count: int = REST.unpack_from(data, 16)[1]
        return size, count if mark >> 48 & 255 == Kind.values else 0

    def _make_room(self, size: int, above_cap: bool) -> bool:
        """The end of a lap, a full ring, or a segment."""
        if self._closed or size > RECORD_BYTES_MAX:
            return False
        if not above_cap and self._undefined and not self._defining and not self._define_all():
            return False
        ring = self._ring
        if ring is not None:
            if not self._in_ring and self._header.agent(OVERFLOW_DONE) == self._epoch:
                self._enter_ring(ring)
            if self._in_ring:
                if self._cursor[2] + size <= self._cursor[3] or self._place_in_ring(ring, size):
                    return True
                self._enter_segments()
        return self._place_in_segment(size, above_cap)

    def _place_in_ring(self, ring: Ring, size: int) -> bool:
        seq, points = self._cursor[:2]
        head = int(self._header.cells[HEAD])
        placed = ring.place(head, size, seq + 1)
        if placed is None:
            return False
        at = ring.position(placed)
        self._cursor = (seq, points, at, at + ring.room(placed), placed - at)
        if placed > 0 and placed % ring.size == 0 and placed != self._lap_start:
            self._lap_start = placed
            if self._layouts.repeat_bytes(ring.size) + size <= ring.room(placed):
                self._repeat_definitions(ring.size)
        return True

    def _place_in_segment(self, size: int, above_cap: bool) -> bool:
        segments = self._segments
        cap = self._place.overflow_cap + (RECORD_BYTES_MAX if above_cap else 0)
        used = self._cursor[2]
        if segments.closed_bytes + used + size > cap:
            segments.forget(self._header.agent(TRIMMED))
            if segments.closed_bytes + used + size > cap:
                return False
        if segments.fits(used, size):
            return True
        if not above_cap and monotonic() < self._retry_at:
            return False
        return self._open_segment(0)

    def _open_segment(self, skip: int) -> bool:
        """In the first directory after `skip` others that takes it, beginning with the definitions."""
        self._finish_segment()
        self._directory = self._segments.open(skip)
        if self._directory < 0:
            self._retry_at = monotonic() + SEGMENT_RETRY_MS / 1000
            return False
        return self._repeat_definitions(self._segments.limit)

    def _finish_segment(self) -> None:
        """No more records go to the open segment."""
        seq, points, used, _, _ = self._cursor
        self._segments.finish(seq, used)
        self._cursor = (seq, points, 0, 0, 0)

    def _repeat_definitions(self, space: int) -> bool:
        if self._layouts.repeat_bytes(space) == 0:
            return True
        return all(
            self._put_payload(Kind.layout, layout.id, body, layout.time)
            for layout, body in self._layouts.written
        )

    def _define_all(self) -> bool:
        if self._defining:
            return False
        self._defining = True
        try:
            while self._undefined:
                layout, body = self._undefined[0]
                if not self._payload(Kind.layout, layout.id, body, layout.time):
                    self._close_room()
                    return False
                self._layouts.was_written(layout, body)
                self._undefined.pop(0)
            return True
        finally:
            self._defining = False

    def _enter_segments(self) -> None:
        """The epoch gets odd, whether or not an interrupted attempt made it so already."""
        self._epoch = self._epoch // 2 * 2 + 1
        self._header.cells[EPOCH] = self._epoch
        self._cursor = (*self._cursor[:2], 0, 0, 0)
        self._in_ring = False

    def _enter_ring(self, ring: Ring) -> None:
        self._finish_segment()
        head = int(self._header.cells[HEAD])
        at = ring.position(head)
        self._cursor = (*self._cursor[:2], at, at, head - at)
        self._in_ring = True
        self._epoch += 1
        self._header.cells[EPOCH] = self._epoch

    def _report_losses(self) -> None:
        if self._losses and not self._closed:
            self._losses.report(
                self._layouts, lambda body: self._payload(Kind.lost, 0, json_bytes(body), now_ms())
            )
