/*
 * POSIX record locks: freed by the kernel when the process is gone, not inherited by fork, and testable from
 * outside.
 * Closing any descriptor of the file frees them, so the owner opens its lock file once and never tests it.
 */
#include "rankzero.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct flock whole_file(void) {
  struct flock lock = {0};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

int rz_lock_file(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return -errno;
  struct flock lock = whole_file();
  if (fcntl(fd, F_SETLK, &lock) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

int rz_lock_holder(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct flock lock = whole_file();
  int result = fcntl(fd, F_GETLK, &lock) == 0 ? 0 : -errno;
  close(fd);
  if (result < 0 || lock.l_type == F_UNLCK) return result;
  return lock.l_pid > 0 ? lock.l_pid : RZ_HOLDER_HIDDEN;
}
