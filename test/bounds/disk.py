"""A disk that can be made to hang: a FUSE file system, in Python's standard library alone.

Usage: disk.py BACKING MOUNTPOINT. It shows BACKING at MOUNTPOINT. Lines on stdin: `hang` = from now on no
request is answered, so whoever asks waits uninterruptibly, as for a dead disk or server; `go` = those that
waited are answered, and all that follow; the end of stdin unmounts. Each is confirmed by a line on stdout.
"""
import ctypes
import errno
import os
import select
import struct
import sys

BACKING, MOUNT = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
IN = struct.Struct("<IIQQIIII")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
paths = {1: BACKING}
ids = {BACKING: 1}
files = {}


def mount(fd):
    options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
    done = libc.mount(b"disk", MOUNT.encode(), b"fuse", 0, options.encode())
    if done != 0:
        raise OSError(ctypes.get_errno(), "mount")


def node(path):
    if path not in ids:
        ids[path] = len(ids) + 1
        paths[ids[path]] = path
    return ids[path]


def text(data):
    return os.fsdecode(data.split(b"\0")[0])


def attr(path):
    s = os.lstat(path)
    times = [int(s.st_atime), int(s.st_mtime), int(s.st_ctime)]
    nanos = [s.st_atime_ns % 10**9, s.st_mtime_ns % 10**9, s.st_ctime_ns % 10**9]
    sizes = [s.st_ino, s.st_size, s.st_blocks]
    return ATTR.pack(*sizes, *times, *nanos, s.st_mode, s.st_nlink, s.st_uid, s.st_gid, 0, 4096, 0)


def entry(path):
    return struct.pack("<QQQQII", node(path) if os.path.lexists(path) else 0, 0, 0, 0, 0, 0) + attr(path)


def opened(path, flags, mode=0o600):
    fd = os.open(path, flags & ~os.O_NOFOLLOW, mode)
    files[fd] = path
    return struct.pack("<QII", fd, 0, 0)


def move(old, new):
    os.rename(old, new)
    for path in [p for p in ids if p == new or p == old or p.startswith(old + "/")]:
        one = ids.pop(path)
        if path != new:
            paths[one] = new + path[len(old):]
            ids[paths[one]] = one
    return b""


def setattr_(path, data):
    valid, _, fh, size, _, atime, mtime, _, an, mn, _, mode = struct.unpack_from("<IIQQQQQQIIII", data)
    if valid & 1:
        os.chmod(path, mode & 0o7777)
    if valid & 8:
        os.truncate(path, size)
    if valid & 0x1B0:
        s = os.stat(path)
        times = [s.st_atime_ns, s.st_mtime_ns]
        if valid & 0x10:
            times[0] = atime * 10**9 + an
        if valid & 0x20:
            times[1] = mtime * 10**9 + mn
        os.utime(path, ns=(times[0], times[1]))
    return struct.pack("<QII", 0, 0, 0) + attr(path)


def directory(path, offset, size):
    out = b""
    for i, name in enumerate([".", ".."] + sorted(os.listdir(path))):
        raw = os.fsencode(name)
        one = struct.pack("<QQII", 1 + i, i + 1, len(raw), 0) + raw
        one += b"\0" * (-len(one) % 8)
        if i >= offset and len(out) + len(one) <= size:
            out += one
        elif i >= offset:
            break
    return out


def answer(op, path, data):
    """Opcodes of include/uapi/linux/fuse.h. The flags of an open end in those that the kernel keeps."""
    if op == 26:  # INIT
        return struct.pack("<IIIIHHIIHH32x", 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0)
    if op == 1:
        return entry(os.path.join(path, text(data)))
    if op == 3:
        return struct.pack("<QII", 0, 0, 0) + attr(path)
    if op == 4:
        return setattr_(path, data)
    if op == 9:
        os.mkdir(os.path.join(path, text(data[8:])), struct.unpack_from("<I", data)[0] & 0o7777)
        return entry(os.path.join(path, text(data[8:])))
    if op in (10, 11):
        (os.unlink if op == 10 else os.rmdir)(os.path.join(path, text(data)))
        ids.pop(os.path.join(path, text(data)), None)
        return b""
    if op in (12, 45):
        to, = struct.unpack_from("<Q", data)
        names = data[8 if op == 12 else 16:].split(b"\0")
        return move(os.path.join(path, os.fsdecode(names[0])), os.path.join(paths[to], os.fsdecode(names[1])))
    if op == 14:
        return opened(path, struct.unpack_from("<I", data)[0])
    if op == 35:  # CREATE
        flags, mode = struct.unpack_from("<II", data)
        file = os.path.join(path, text(data[16:]))
        done = opened(file, flags | os.O_CREAT, mode & 0o7777)
        return entry(file) + done
    if op in (15, 16):
        fh, offset, size = struct.unpack_from("<QQI", data)
        if op == 15:
            return os.pread(fh, size, offset)
        flags, = struct.unpack_from("<I", data, 32)
        body = data[40:40 + size]
        # The kernel has put the offset of an append at the end of the file.
        fd = os.open("/proc/self/fd/%d" % fh, os.O_WRONLY) if flags & os.O_APPEND else fh
        done = os.pwrite(fd, body, offset)
        if fd != fh:
            os.close(fd)
        return struct.pack("<II", done, 0)
    if op == 17:
        s = os.statvfs(path)
        sizes = (s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, s.f_bsize, 255, s.f_frsize)
        return struct.pack("<QQQQQIII28x", *sizes)
    if op == 18:
        fh, = struct.unpack_from("<Q", data)
        os.close(fh)
        return b""
    if op == 27:
        return struct.pack("<QII", 0, 0, 0)
    if op == 28:
        _, offset, size = struct.unpack_from("<QQI", data)
        return directory(path, offset, size)
    if op in (20, 29, 30, 34):  # FSYNC, RELEASEDIR, FSYNCDIR, ACCESS
        return b""
    raise OSError(errno.ENOSYS, "opcode %d" % op)


def serve(fd, request):
    length, op, unique, nodeid = IN.unpack_from(request)[:4]
    if op in (2, 36, 42):  # FORGET and INTERRUPT want no answer.
        return
    try:
        body, error = answer(op, paths.get(nodeid, ""), request[IN.size:length]), 0
    except OSError as failure:
        body, error = b"", -(failure.errno or errno.EIO)
    try:
        os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
    except OSError:
        pass  # Who asked was killed meanwhile.


def main():
    # A request whose asker was killed is gone when we read: that must not keep us from hearing `go`.
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    mount(fd)
    print("ready", flush=True)
    hangs, waiting = False, []
    while True:
        for ready in select.select([fd, 0], [], [])[0]:
            if ready == fd:
                try:
                    request = os.read(fd, 1 << 18)
                except OSError:
                    continue
                # A FLUSH (25) is refused at once: a close within execve() would hang with a lock that whoever
                # looks at /proc wants, other tests too.
                if hangs and IN.unpack_from(request)[1] != 25:
                    waiting.append(request)
                else:
                    serve(fd, request)
                continue
            word = os.read(0, 64).decode().strip()
            hangs = word == "hang"
            if not hangs:
                for request in waiting:
                    serve(fd, request)
                waiting = []
            if word == "":
                libc.umount2(MOUNT.encode(), 2)
                return
            print(word, flush=True)


main()
