/*
 * A disk that loses power, for tests: preloaded (LD_PRELOAD) into a process, it makes what that process wrote
 * below one folder and did not yet fsync disappear, and ends the process in the same moment.
 *
 * The process works on the real files, so it reads what it wrote. Each change is kept in memory with what it
 * replaced until the file (for names: the folder) is synced. At the cut all of these are taken back, the
 * youngest first, which leaves exactly the durable state; then those the disk "had written anyway" are put back.
 *
 * POWER_CUT_ROOT         the folder, absolute. SQLite's -shm is left alone: it is rebuilt and never trusted.
 * POWER_CUT_CONTROL      a FIFO made here; each line is a command: "cut", "before K", "after K"
 * POWER_CUT_AT           the same command, given at the start: cut before or after the K-th sync from now
 * POWER_CUT_KEEP         what of the unsynced survives: none (default); order: the changes up to a random one;
 *                        some: random sectors of 512 bytes, so writes are torn and reordered;
 *                        all: everything, as after a kill
 * POWER_CUT_SEED         of the random choices
 * POWER_CUT_IGNORE_SYNC  1: fsync and fdatasync do nothing and say they did
 *
 * Not modelled, and ended with a message when a file below the folder meets it: shared writable mappings,
 * fallocate, truncate by name.
 */
#include "power-cut-disk.h"

/* ---------------------------------------------------------------- open, close, names */

static int open_below(int folder, const char *path, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  activate();
  int existed = faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  /* What a write replaces must be readable, and a truncation is recorded like any other. */
  int real_flags = flags & ~O_TRUNC;
  if ((flags & O_ACCMODE) == O_WRONLY) real_flags = (real_flags & ~O_ACCMODE) | O_RDWR;
  int fd = REAL(openat)(folder, path, real_flags, mode);
  struct stat s;
  if (fd >= 0 && fd < MAX_FDS && fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) {
    file_of_fd[fd] = file_index(&s) + 1;
    if (!existed) add_naming("", path, 0);
    if ((flags & O_TRUNC) && s.st_size > 0) {
      struct change *c = new_change(file_of_fd[fd] - 1, fd, 0, (size_t)s.st_size, s.st_size);
      if (REAL(ftruncate64)(fd, 0)) give_up("cannot truncate");
      add_change(c);
    }
  }
  int error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

static int open_any(int folder, const char *path, int flags, mode_t mode) {
  if (is_below(path)) return open_below(folder, path, flags, mode);
  int fd = REAL(openat)(folder, path, flags, mode);
  if (fd >= 0 && fd < MAX_FDS) file_of_fd[fd] = 0;
  return fd;
}

static mode_t mode_of(int flags, va_list args) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return open_any(folder, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
int creat64(const char *, mode_t) __attribute__((alias("creat")));

int close(int fd) {
  if (!looks_tracked(fd)) return REAL(close)(fd);
  pthread_mutex_lock(&lock);
  file_of_fd[fd] = 0;
  int result = REAL(close)(fd);
  pthread_mutex_unlock(&lock);
  return result;
}

int unlink(const char *path) {
  if (!is_below(path)) return REAL(unlink)(path);
  pthread_mutex_lock(&lock);
  int result = hide(path);
  pthread_mutex_unlock(&lock);
  return result;
}

int unlinkat(int folder, const char *path, int flags) {
  return flags == 0 && is_below(path) ? unlink(path) : REAL(unlinkat)(folder, path, flags);
}

int rename(const char *from, const char *to) {
  if (!is_below(from) || !is_below(to)) return REAL(rename)(from, to);
  pthread_mutex_lock(&lock);
  if (access(from, F_OK) == 0 && access(to, F_OK) == 0 && hide(to)) give_up("cannot keep what a rename replaces");
  int result = REAL(rename)(from, to);
  if (result == 0) add_naming(from, to, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

int link(const char *from, const char *to) {
  if (!is_below(to)) return REAL(link)(from, to);
  pthread_mutex_lock(&lock);
  int result = REAL(link)(from, to);
  if (result == 0) add_naming("", to, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

/* ---------------------------------------------------------------- writes and sizes */

/* `at` is -1 for the descriptor's own position. */
static ssize_t write_below(int fd, const struct iovec *parts, int count, off_t at) {
  pthread_mutex_lock(&lock);
  struct stat s;
  int index = tracked(fd, &s);
  ssize_t written;
  if (index < 0) {
    pthread_mutex_unlock(&lock);
    return at < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev64)(fd, parts, count, at);
  }
  size_t length = 0, copied = 0;
  for (int i = 0; i < count; i++) length += parts[i].iov_len;
  off_t place = at >= 0 ? at : fcntl(fd, F_GETFL) & O_APPEND ? s.st_size : lseek(fd, 0, SEEK_CUR);
  size_t covered = place >= s.st_size ? 0 : (size_t)(s.st_size - place);
  struct change *c = new_change(index, fd, place, covered < length ? covered : length, s.st_size);
  c->fresh = need(malloc(length + 1));
  for (int i = 0; i < count; copied += parts[i].iov_len, i++)
    memcpy(c->fresh + copied, parts[i].iov_base, parts[i].iov_len);
  written = at < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev64)(fd, parts, count, at);
  int error = errno;
  c->fresh_len = written < 0 ? 0 : (size_t)written;
  if (c->old_len > c->fresh_len) c->old_len = c->fresh_len;
  c->size_after = place + (off_t)c->fresh_len > s.st_size ? place + (off_t)c->fresh_len : s.st_size;
  if (written < 0) c->size_after = s.st_size;
  add_change(c);
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (!looks_tracked(fd)) return REAL(write)(fd, bytes, length);
  return write_below(fd, &(struct iovec){ (void *)bytes, length }, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  return looks_tracked(fd) ? write_below(fd, parts, count, -1) : REAL(writev)(fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  if (!looks_tracked(fd)) return REAL(pwrite)(fd, bytes, length, at);
  return write_below(fd, &(struct iovec){ (void *)bytes, length }, 1, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return looks_tracked(fd) ? write_below(fd, parts, count, at) : REAL(pwritev)(fd, parts, count, at);
}

ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off64_t) __attribute__((alias("pwritev")));

int ftruncate(int fd, off_t size) {
  if (!looks_tracked(fd)) return REAL(ftruncate)(fd, size);
  pthread_mutex_lock(&lock);
  struct stat s;
  int index = tracked(fd, &s);
  struct change *c = NULL;
  if (index >= 0) {
    size_t lost = size < s.st_size ? (size_t)(s.st_size - size) : 0;
    c = new_change(index, fd, size < s.st_size ? size : s.st_size, lost, s.st_size);
  }
  int result = REAL(ftruncate)(fd, size);
  int error = errno;
  if (c) {
    c->size_after = result == 0 ? size : s.st_size;
    add_change(c);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int ftruncate64(int, off64_t) __attribute__((alias("ftruncate")));

int truncate(const char *path, off_t size) {
  if (is_below(path)) give_up("truncate is not modelled");
  return REAL(truncate)(path, size);
}

int truncate64(const char *, off64_t) __attribute__((alias("truncate")));

int fallocate(int fd, int mode, off_t from, off_t length) {
  if (looks_tracked(fd)) give_up("fallocate is not modelled");
  return REAL(fallocate)(fd, mode, from, length);
}

int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));

int posix_fallocate(int fd, off_t from, off_t length) {
  if (looks_tracked(fd)) give_up("posix_fallocate is not modelled");
  return REAL(posix_fallocate)(fd, from, length);
}

int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));

void *mmap(void *place, size_t length, int protection, int flags, int fd, off_t from) {
  if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && !(flags & MAP_ANONYMOUS) && looks_tracked(fd))
    give_up("a shared writable mapping is not modelled");
  return REAL(mmap)(place, length, protection, flags, fd, from);
}

void *mmap64(void *, size_t, int, int, int, off64_t) __attribute__((alias("mmap")));

/* ---------------------------------------------------------------- reads: nobody sees a cut half done */

ssize_t read(int fd, void *bytes, size_t length) {
  if (!looks_tracked(fd)) return REAL(read)(fd, bytes, length);
  pthread_mutex_lock(&lock);
  ssize_t n = REAL(read)(fd, bytes, length);
  pthread_mutex_unlock(&lock);
  return n;
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
  if (!looks_tracked(fd)) return REAL(pread)(fd, bytes, length, at);
  pthread_mutex_lock(&lock);
  ssize_t n = REAL(pread)(fd, bytes, length, at);
  pthread_mutex_unlock(&lock);
  return n;
}

ssize_t pread64(int, void *, size_t, off64_t) __attribute__((alias("pread")));

/* ---------------------------------------------------------------- sync */

/* Covers what was written before it began; what others write meanwhile is not durable after it. */
static void sync_now(int index, const char *folder) {
  pthread_mutex_lock(&lock);
  uint64_t until = last_seq, number = ++sync_count;
  useconds_t takes = (useconds_t)random_below(MAX_SYNC_US);
  if (number == cut_before) cut();
  pthread_mutex_unlock(&lock);
  usleep(takes); /* a disk takes its time, and the power may go meanwhile */
  pthread_mutex_lock(&lock);
  if (!ignore_sync && folder) forget_names(folder, until);
  if (!ignore_sync && !folder) forget_changes(index, until);
  if (number == cut_after) cut();
  pthread_mutex_unlock(&lock);
}

/* True when the descriptor is a file or folder of ours: then this was its sync. */
static int synced(int fd) {
  struct stat s;
  pthread_mutex_lock(&lock);
  int index = active ? tracked(fd, &s) : -1;
  int is_active = active;
  pthread_mutex_unlock(&lock);
  if (index >= 0) {
    sync_now(index, NULL);
    return 1;
  }
  char name[64], path[PATH_MAX];
  if (!is_active || fstat(fd, &s) || !S_ISDIR(s.st_mode)) return 0;
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  if (strncmp(path, root, root_len) != 0 || (path[root_len] != '/' && path[root_len] != '\0')) return 0;
  sync_now(-1, path);
  return 1;
}

int fsync(int fd) { return synced(fd) ? 0 : REAL(fsync)(fd); }
int fdatasync(int fd) { return synced(fd) ? 0 : REAL(fdatasync)(fd); }
