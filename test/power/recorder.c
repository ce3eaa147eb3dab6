/*
 * Preloaded into every process of a run: writes down, in the order of their completion, the calls that
 * change files below RZ_RECORD_ROOTS (paths with ':' between).
 *
 * In: libc's calls. Out: one record per call, appended in one write to RZ_RECORD_LOG (trace.ts reads it).
 * Invariants: a call does what it did before; whatever a process does after a call is recorded after it.
 * Calls of one process that run at the same time may be recorded in either order. Stores to mappings are not
 * seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, LINK };

struct head {
  uint32_t size;
  uint32_t op;
  uint32_t pid;
  uint32_t path_bytes;
  uint32_t other_bytes;
  uint32_t zero;
  uint64_t device;
  uint64_t inode;
  uint64_t at;
};

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int log_fd(void) {
  static int fd = -1;
  if (fd < 0 && getenv("RZ_RECORD_LOG") != NULL) {
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC;
    int low = (int)syscall(SYS_openat, AT_FDCWD, getenv("RZ_RECORD_LOG"), flags, 0600);
    if (low >= 0) fd = fcntl(low, F_DUPFD_CLOEXEC, 500);
    if (low >= 0) syscall(SYS_close, low);
  }
  return fd;
}

static void absolute(int dir, const char *path, char *out) {
  char link[64];
  ssize_t n = 0;
  if (path[0] != '/') {
    if (dir == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    n = readlink(link, out, PATH_MAX - 1);
    if (n < 0) n = 0;
    out[n++] = '/';
  }
  snprintf(out + n, PATH_MAX - (size_t)n, "%s", path);
}

static int wanted(const char *path) {
  const char *root = getenv("RZ_RECORD_ROOTS");
  while (root != NULL && *root != '\0') {
    size_t n = strcspn(root, ":");
    if (strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0')) return 1;
    root += n + (root[n] == ':');
  }
  return 0;
}

static void put(int op, const char *path, const char *other, const struct stat *st, uint64_t at,
                const struct iovec *data, int parts) {
  int saved = errno, fd = log_fd();
  struct head head = { .op = (uint32_t)op, .pid = (uint32_t)getpid(), .at = at };
  struct iovec all[3 + 64] = { { &head, sizeof head }, { (void *)path, strlen(path) },
                               { (void *)other, strlen(other) } };
  if (fd < 0 || parts > 64) return;
  head.path_bytes = (uint32_t)all[1].iov_len;
  head.other_bytes = (uint32_t)all[2].iov_len;
  head.device = st != NULL ? st->st_dev : 0;
  head.inode = st != NULL ? st->st_ino : 0;
  size_t size = sizeof head + all[1].iov_len + all[2].iov_len;
  for (int i = 0; i < parts; i++) {
    all[3 + i] = data[i];
    size += data[i].iov_len;
  }
  head.size = (uint32_t)size;
  if (syscall(SYS_writev, fd, all, 3 + parts) != (long)size) abort();
  errno = saved;
}

/* What descriptor `fd` is: 1 when its path is below the roots. */
static int look(int fd, char *path, struct stat *st) {
  char link[64];
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n > 0) path[n] = '\0';
  int found = n > 0 && wanted(path) && fstat(fd, st) == 0;
  errno = saved;
  return found;
}

static void wrote(int fd, ssize_t done, int64_t at, const struct iovec *data, int parts) {
  char path[PATH_MAX];
  struct stat st;
  struct iovec cut[64];
  if (done <= 0 || parts > 64 || !look(fd, path, &st) || !S_ISREG(st.st_mode)) return;
  if (at < 0) at = lseek(fd, 0, SEEK_CUR) - done;
  size_t left = (size_t)done;
  for (int i = 0; i < parts; i++) {
    cut[i] = data[i];
    if (cut[i].iov_len > left) cut[i].iov_len = left;
    left -= cut[i].iov_len;
  }
  put(WRITE, path, "", &st, (uint64_t)at, cut, parts);
}

static void noted(int op, int fd, uint64_t at) {
  char path[PATH_MAX];
  struct stat st;
  if (look(fd, path, &st)) put(op, path, "", &st, at, NULL, 0);
}

static int opened(int dir, const char *path, int flags, mode_t mode) {
  REAL(int, openat64, int, const char *, int, ...);
  char full[PATH_MAX];
  struct stat st;
  absolute(dir, path, full);
  int mine = wanted(full) && (flags & (O_CREAT | O_TRUNC)) != 0;
  int missing = mine && lstat(full, &st) != 0;
  int fd = real(dir, path, flags, mode);
  if (fd < 0 || !mine || fstat(fd, &st) != 0) return fd;
  if (missing) put(CREATE, full, "", &st, 0, NULL, 0);
  else if (flags & O_TRUNC) put(TRUNCATE, full, "", &st, 0, NULL, 0);
  return fd;
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & O_CREAT) { \
    va_list args; \
    va_start(args, flags); \
    mode = va_arg(args, mode_t); \
    va_end(args); \
  }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags) return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags) return opened(dir, path, flags, mode); }

ssize_t write(int fd, const void *data, size_t n) {
  REAL(ssize_t, write, int, const void *, size_t);
  ssize_t done = real(fd, data, n);
  wrote(fd, done, -1, &(struct iovec){ (void *)data, n }, 1);
  return done;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  ssize_t done = real(fd, data, n, at);
  wrote(fd, done, at, &(struct iovec){ (void *)data, n }, 1);
  return done;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

ssize_t writev(int fd, const struct iovec *data, int parts) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  ssize_t done = real(fd, data, parts);
  wrote(fd, done, -1, data, parts);
  return done;
}

ssize_t pwritev64(int fd, const struct iovec *data, int parts, off64_t at) {
  REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
  ssize_t done = real(fd, data, parts, at);
  wrote(fd, done, at, data, parts);
  return done;
}
ssize_t pwritev(int fd, const struct iovec *data, int n, off_t at) { return pwritev64(fd, data, n, at); }

int ftruncate64(int fd, off64_t size) {
  REAL(int, ftruncate64, int, off64_t);
  int failed = real(fd, size);
  if (!failed) noted(TRUNCATE, fd, (uint64_t)size);
  return failed;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
  REAL(int, fsync, int);
  int failed = real(fd);
  if (!failed) noted(SYNC, fd, 0);
  return failed;
}

int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  int failed = real(fd);
  if (!failed) noted(SYNC, fd, 0);
  return failed;
}

/* A change of names, recorded with full paths. */
static int named(int failed, int op, int dir, const char *path, int other_dir, const char *other) {
  char full[PATH_MAX], other_full[PATH_MAX] = "";
  if (failed) return failed;
  absolute(dir, path, full);
  if (other != NULL) absolute(other_dir, other, other_full);
  if (wanted(full) || wanted(other_full)) put(op, full, other_full, NULL, 0, NULL, 0);
  return 0;
}

int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  return named(real(from, to), RENAME, AT_FDCWD, from, AT_FDCWD, to);
}

int link(const char *from, const char *to) {
  REAL(int, link, const char *, const char *);
  return named(real(from, to), LINK, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path) {
  REAL(int, unlink, const char *);
  return named(real(path), UNLINK, AT_FDCWD, path, 0, NULL);
}

int unlinkat(int dir, const char *path, int flags) {
  REAL(int, unlinkat, int, const char *, int);
  return named(real(dir, path, flags), flags & AT_REMOVEDIR ? RMDIR : UNLINK, dir, path, 0, NULL);
}

int remove(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? rmdir(path) : unlink(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, mkdir, const char *, mode_t);
  return named(real(path, mode), MKDIR, AT_FDCWD, path, 0, NULL);
}

int rmdir(const char *path) {
  REAL(int, rmdir, const char *);
  return named(real(path), RMDIR, AT_FDCWD, path, 0, NULL);
}
