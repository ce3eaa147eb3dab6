/* The calls that only Linux has in this form. */
#ifdef __linux__

#include "rankzero.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int rz_map_create(const char *path, size_t bytes, void **address) {
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return -errno;
  /* Every byte is allocated before it is mapped: a store to a hole of a full file system is SIGBUS. */
  int error = posix_fallocate(fd, 0, (off_t)bytes);
  void *map = MAP_FAILED;
  if (error == 0) {
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED) error = errno;
  }
  close(fd);
  if (error != 0) {
    unlink(path);
    return -error;
  }
  *address = map;
  return 0;
}

int rz_unmap(void *address, size_t bytes) {
  return munmap(address, bytes) == 0 ? 0 : -errno;
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int rz_pidfd_open(int pid) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  return fd < 0 ? -errno : fd;
}

/* Not in the headers of older systems: linux/pidfd.h of Linux 6.15, the first 64 bytes of the structure. */
struct rz_pidfd_info {
  uint64_t mask;
  uint64_t cgroup;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
#define RZ_PIDFD_GET_INFO _IOWR(0xFF, 11, struct rz_pidfd_info)
#define RZ_PIDFD_INFO_EXIT (UINT64_C(1) << 3)

int rz_pidfd_exit(int pidfd, struct rz_exit *out) {
  memset(out, 0, sizeof *out);
  struct pollfd ready = {.fd = pidfd, .events = POLLIN};
  if (poll(&ready, 1, 0) < 0) return -errno;
  if (ready.revents & POLLNVAL) return -EBADF;
  out->exited = (ready.revents & (POLLIN | POLLHUP)) != 0;
  if (!out->exited) return 0;
  struct rz_pidfd_info info = {.mask = RZ_PIDFD_INFO_EXIT};
  if (ioctl(pidfd, RZ_PIDFD_GET_INFO, &info) == 0 && (info.mask & RZ_PIDFD_INFO_EXIT)) {
    out->known = 1;
    out->status = info.exit_code;
  }
  return 0;
}

#endif
