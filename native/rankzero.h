/*
 * rankzero's system calls in plain C, without Node: what binding.c offers to JavaScript.
 *
 * Each call answers 0 or a descriptor on success and -errno on failure; none allocates, none keeps state.
 * linux.c has all of them; other.c has what POSIX has and refuses the rest with -ENOTSUP.
 */
#ifndef RANKZERO_H
#define RANKZERO_H

#include <stddef.h>
#include <stdint.h>

/* Creates `path` (it must not exist), allocates every byte and maps it; on failure no file is left. */
int rz_map_create(const char *path, size_t bytes, void **address);
int rz_unmap(void *address, size_t bytes);

/* Creates or opens `path` and takes a POSIX write lock on all of it; answers the descriptor that holds it. */
int rz_lock_file(const char *path);

/* Pid of the holder, 0 when free, RZ_HOLDER_HIDDEN when another pid namespace holds it, or -errno. */
#define RZ_HOLDER_HIDDEN INT32_MIN
int rz_lock_holder(const char *path);

/* A descriptor that stands for the process. */
int rz_pidfd_open(int pid);

struct rz_exit {
  int exited;  /* 1 when the process is gone or a zombie */
  int known;   /* 1 when `status` is there: the kernel tells it once the process was reaped */
  int status;  /* as from waitpid(2) */
};
int rz_pidfd_exit(int pidfd, struct rz_exit *out);

/* CRC-32 as in zlib, continuing `seed`. Call rz_crc32_init once before. */
void rz_crc32_init(void);
uint32_t rz_crc32(uint32_t seed, const uint8_t *bytes, size_t length);

#endif
