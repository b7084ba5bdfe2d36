/*
 * Stands between a process and its disk (LD_PRELOAD). Two things, by environment:
 *   DOORLINK_SHIM_DELAY_MS=20     each fsync and fdatasync takes so much longer, as on a slow SD card;
 *   DOORLINK_SHIM_LOG=FILE DOORLINK_SHIM_FOLDER=DIR DOORLINK_SHIM_PORT=N
 *                                 every write, sync, truncation, rename and removal below DIR, and every byte sent from local TCP port N,
 *                                 is appended to FILE in the order in which they happened.
 * What is sent is logged before it is sent and what goes to the disk after it was done, so that the log never claims too much.
 *
 * A record: 1 byte kind, 4 bytes descriptor, 8 bytes offset, 4 bytes length (little-endian), then the bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 65536
/* What one writev takes. */
#define PARTS 1024
enum { BEGUN = 'b', OPENED = 'o', CREATED = 'c', WRITTEN = 'w', SYNCED = 's', TRUNCATED = 't', RENAMED = 'r', REMOVED = 'u', SENT = 'n' };

static int log_descriptor = -1;
static int port;
static long delay_ms;
static char folder[PATH_MAX];
/* 1: a file or folder of ours. */
static unsigned char watched[DESCRIPTORS];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void record(char kind, int descriptor, uint64_t offset, const struct iovec *parts, int count, size_t limit) {
  unsigned char head[17];
  struct iovec out[PARTS];
  size_t length = 0;
  int used = 0;
  for (int at = 0; at < count && used + 1 < PARTS && length < limit; at++) {
    size_t take = parts[at].iov_len < limit - length ? parts[at].iov_len : limit - length;
    out[1 + used].iov_base = parts[at].iov_base;
    out[1 + used].iov_len = take;
    length += take;
    used++;
  }
  uint32_t number = (uint32_t)descriptor, size = (uint32_t)length;
  head[0] = (unsigned char)kind;
  memcpy(head + 1, &number, 4);
  memcpy(head + 5, &offset, 8);
  memcpy(head + 13, &size, 4);
  out[0].iov_base = head;
  out[0].iov_len = sizeof head;
  syscall(SYS_writev, log_descriptor, out, used + 1);
}

static void record_one(char kind, int descriptor, uint64_t offset, const void *bytes, size_t length) {
  struct iovec part = {(void *)bytes, length};
  record(kind, descriptor, offset, &part, 1, SIZE_MAX);
}

__attribute__((constructor)) static void begin(void) {
  const char *log = getenv("DOORLINK_SHIM_LOG");
  const char *where = getenv("DOORLINK_SHIM_FOLDER");
  const char *sent = getenv("DOORLINK_SHIM_PORT");
  const char *delay = getenv("DOORLINK_SHIM_DELAY_MS");
  if (delay != NULL) delay_ms = atol(delay);
  if (sent != NULL) port = atoi(sent);
  if (log != NULL && where != NULL) {
    snprintf(folder, sizeof folder, "%s", where);
    log_descriptor = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    record_one(BEGUN, 0, 0, "", 0);
  }
}

static int is_ours(const char *path) {
  size_t length = strlen(folder);
  return log_descriptor >= 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_watched(int descriptor) {
  return log_descriptor >= 0 && descriptor >= 0 && descriptor < DESCRIPTORS && watched[descriptor];
}

static int is_our_socket(int descriptor) {
  struct sockaddr_in name;
  socklen_t length = sizeof name;
  if (log_descriptor < 0 || port == 0) return 0;
  return getsockname(descriptor, (struct sockaddr *)&name, &length) == 0 && name.sin_family == AF_INET && ntohs(name.sin_port) == port;
}

static int opened(int folder_descriptor, const char *path, int flags, mode_t mode) {
  int fresh = 0;
  if (is_ours(path)) {
    pthread_mutex_lock(&order);
    fresh = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
    int descriptor = syscall(SYS_openat, folder_descriptor, path, flags, mode);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
      watched[descriptor] = 1;
      record_one(fresh ? CREATED : OPENED, descriptor, 0, path, strlen(path));
      if ((flags & O_TRUNC) && !fresh) record_one(TRUNCATED, descriptor, 0, "", 0);
    }
    pthread_mutex_unlock(&order);
    return descriptor;
  }
  return syscall(SYS_openat, folder_descriptor, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) { return (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, int) : 0; }

#define OPEN(name)                                        \
  int name(const char *path, int flags, ...) {            \
    va_list rest;                                         \
    va_start(rest, flags);                                \
    mode_t mode = mode_of(flags, rest);                   \
    va_end(rest);                                         \
    return opened(AT_FDCWD, path, flags, mode);           \
  }
#define OPENAT(name)                                      \
  int name(int at, const char *path, int flags, ...) {    \
    va_list rest;                                         \
    va_start(rest, flags);                                \
    mode_t mode = mode_of(flags, rest);                   \
    va_end(rest);                                         \
    return opened(at, path, flags, mode);                 \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int descriptor) {
  if (descriptor >= 0 && descriptor < DESCRIPTORS) watched[descriptor] = 0;
  return syscall(SYS_close, descriptor);
}

static ssize_t written(int descriptor, const struct iovec *parts, int count, off_t offset) {
  if (is_watched(descriptor)) {
    pthread_mutex_lock(&order);
    off_t at = offset < 0 ? lseek(descriptor, 0, SEEK_CUR) : offset;
    ssize_t done = offset < 0 ? syscall(SYS_writev, descriptor, parts, count) : syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    if (done > 0) record(WRITTEN, descriptor, at, parts, count, done);
    pthread_mutex_unlock(&order);
    return done;
  }
  if (offset < 0 && is_our_socket(descriptor)) {
    pthread_mutex_lock(&order);
    record(SENT, descriptor, 0, parts, count, SIZE_MAX);
    pthread_mutex_unlock(&order);
  }
  return offset < 0 ? syscall(SYS_writev, descriptor, parts, count) : syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
}

static ssize_t written_one(int descriptor, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)bytes, length};
  return written(descriptor, &part, 1, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t length) { return written_one(descriptor, bytes, length, -1); }
ssize_t writev(int descriptor, const struct iovec *parts, int count) { return written(descriptor, parts, count, -1); }
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) { return written_one(descriptor, bytes, length, offset); }
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t offset) { return written_one(descriptor, bytes, length, offset); }

static int truncated(int descriptor, off_t length) {
  if (!is_watched(descriptor)) return syscall(SYS_ftruncate, descriptor, length);
  pthread_mutex_lock(&order);
  int done = syscall(SYS_ftruncate, descriptor, length);
  if (done == 0) record_one(TRUNCATED, descriptor, length, "", 0);
  pthread_mutex_unlock(&order);
  return done;
}
int ftruncate(int descriptor, off_t length) { return truncated(descriptor, length); }
int ftruncate64(int descriptor, off_t length) { return truncated(descriptor, length); }

static int synced(int descriptor, long call) {
  if (delay_ms > 0) {
    struct timespec pause = {delay_ms / 1000, (delay_ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
  }
  int done = syscall(call, descriptor);
  if (done == 0 && is_watched(descriptor)) {
    pthread_mutex_lock(&order);
    record_one(SYNCED, descriptor, 0, "", 0);
    pthread_mutex_unlock(&order);
  }
  return done;
}
int fsync(int descriptor) { return synced(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return synced(descriptor, SYS_fdatasync); }

int rename(const char *from, const char *to) {
  if (!is_ours(from)) return syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  char both[2 * PATH_MAX];
  pthread_mutex_lock(&order);
  int done = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  int length = snprintf(both, sizeof both, "%s\n%s", from, to);
  if (done == 0 && length > 0) record_one(RENAMED, 0, 0, both, length);
  pthread_mutex_unlock(&order);
  return done;
}

int unlink(const char *path) {
  if (!is_ours(path)) return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  pthread_mutex_lock(&order);
  int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (done == 0) record_one(REMOVED, 0, 0, path, strlen(path));
  pthread_mutex_unlock(&order);
  return done;
}
