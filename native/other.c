/* Systems that are not Linux: journals are segments there, and life is pid plus start time. */
#ifndef __linux__

#include "rankzero.h"

#include <errno.h>

int rz_map_create(const char *path, size_t bytes, void **address) {
  (void)path, (void)bytes, (void)address;
  return -ENOTSUP;
}

int rz_unmap(void *address, size_t bytes) {
  (void)address, (void)bytes;
  return -ENOTSUP;
}

int rz_pidfd_open(int pid) {
  (void)pid;
  return -ENOTSUP;
}

int rz_pidfd_exit(int pidfd, struct rz_exit *out) {
  (void)pidfd, (void)out;
  return -ENOTSUP;
}

#endif
