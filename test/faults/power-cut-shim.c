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
 *                        some: random sectors of 512 bytes, so writes are torn and reordered
 * POWER_CUT_SEED         of the random choices
 * POWER_CUT_IGNORE_SYNC  1: fsync and fdatasync do nothing and say they did
 *
 * Not modelled, and ended with a message when a file below the folder meets it: shared writable mappings,
 * fallocate, truncate by name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) \
  ({ static __typeof__(&name) fn; if (!fn) fn = (__typeof__(&name))dlsym(RTLD_NEXT, #name); fn; })

enum { MAX_FDS = 65536, MAX_FILES = 4096, SECTOR = 512, MAX_SYNC_US = 1500, CUT_STATUS = 86 };
static const size_t MAX_HELD_BYTES = (size_t)1 << 30;

struct file { dev_t dev; ino_t ino; int keeper; };

/* A write (at >= 0) or a truncation (fresh is NULL) of a file. */
struct change {
  struct change *next;
  uint64_t seq;
  int file;
  off_t at, size_before, size_after;
  size_t fresh_len, old_len;
  char *fresh, *old;
};

/* A change of a folder's names: created (from is empty), or moved. An unlinked file is moved out of sight. */
struct naming {
  struct naming *next; /* the one before it */
  uint64_t seq;
  char from[PATH_MAX], to[PATH_MAX];
  int hidden; /* `to` is out of sight */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX];
static size_t root_len;
static int ignore_sync, active;
static int file_of_fd[MAX_FDS]; /* index + 1 */
static struct file files[MAX_FILES];
static int file_count;
static struct change *changes; /* the youngest first */
static struct naming *namings; /* the youngest first */
static size_t held_bytes;
static uint64_t last_seq, random_state, sync_count, cut_before, cut_after;

static void say(const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (length > 0) REAL(write)(2, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static void give_up(const char *what) {
  say("power-cut shim: %s\n", what);
  abort();
}

static uint64_t random_below(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return limit == 0 ? 0 : (random_state >> 11) % limit;
}

static void *need(void *memory) {
  if (!memory) give_up("out of memory");
  return memory;
}

/* ---------------------------------------------------------------- the cut */

static void write_fully(int fd, const char *bytes, size_t length, off_t at) {
  while (length > 0) {
    ssize_t n = REAL(pwrite64)(fd, bytes, length, at);
    if (n <= 0) give_up("cannot take a write back");
    bytes += n;
    at += n;
    length -= (size_t)n;
  }
}

static void take_back(const struct change *c) {
  int fd = files[c->file].keeper;
  if (c->size_before != c->size_after && REAL(ftruncate64)(fd, c->size_before)) give_up("cannot take a size back");
  write_fully(fd, c->old, c->old_len, c->at);
}

/* Puts back what the disk had written: `chance` of 100 for each sector. Returns the sectors put back. */
static size_t put_back(const struct change *c, unsigned chance) {
  int fd = files[c->file].keeper;
  if (!c->fresh) {
    if (random_below(100) < chance && REAL(ftruncate64)(fd, c->size_after)) give_up("cannot truncate again");
    return 0;
  }
  size_t kept = 0;
  for (size_t from = 0; from < c->fresh_len;) {
    size_t length = SECTOR - (size_t)((c->at + (off_t)from) % SECTOR);
    if (length > c->fresh_len - from) length = c->fresh_len - from;
    if (random_below(100) < chance) {
      write_fully(fd, c->fresh + from, length, c->at + (off_t)from);
      kept++;
    }
    from += length;
  }
  return kept;
}

static size_t cut_contents(const char *keep) {
  size_t count = 0, kept = 0;
  for (struct change *c = changes; c; c = c->next) {
    take_back(c);
    count++;
  }
  if (strcmp(keep, "none") == 0 || count == 0) return count;
  struct change **in_order = need(malloc(count * sizeof *in_order));
  size_t at = count;
  for (struct change *c = changes; c; c = c->next) in_order[--at] = c;
  int whole = strcmp(keep, "order") == 0;
  size_t until = whole ? random_below(count + 1) : count;
  unsigned chance = whole ? 100 : 10 + (unsigned)random_below(81);
  for (size_t i = 0; i < until; i++) kept += put_back(in_order[i], chance);
  say("power cut: %zu sectors were written all the same\n", kept);
  return count;
}

/* Names come and go in order, as in a journal: those after a random one are taken back. */
static size_t cut_names(const char *keep) {
  size_t count = 0;
  for (struct naming *n = namings; n; n = n->next) count++;
  size_t back = strcmp(keep, "none") == 0 ? count : random_below(count + 1);
  size_t left = back;
  for (struct naming *n = namings; n; n = n->next) {
    if (left == 0) {
      if (n->hidden) REAL(unlink)(n->to);
      continue;
    }
    left--;
    if (n->from[0] == '\0') REAL(unlink)(n->to);
    else REAL(rename)(n->to, n->from);
  }
  return back;
}

/* With the lock held, so that nobody else writes any more. */
static void cut(void) {
  const char *keep = getenv("POWER_CUT_KEEP");
  if (!keep) keep = "none";
  size_t count = cut_contents(keep);
  size_t names = cut_names(keep);
  say("power cut: %zu changes were not synced, %zu names forgotten\n", count, names);
  _exit(CUT_STATUS);
}

static void obey(const char *command) {
  unsigned long long k;
  if (strncmp(command, "cut", 3) == 0) cut();
  if (sscanf(command, "before %llu", &k) == 1) cut_before = sync_count + k;
  if (sscanf(command, "after %llu", &k) == 1) cut_after = sync_count + k;
}

static void *listen_to_control(void *path) {
  int fd = REAL(open)(path, O_RDWR | O_CLOEXEC); /* not O_RDONLY: that would end with the first writer */
  char text[64];
  for (;;) {
    ssize_t n = fd < 0 ? -1 : REAL(read)(fd, text, sizeof text - 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) give_up("cannot read POWER_CUT_CONTROL");
    text[n] = '\0';
    pthread_mutex_lock(&lock);
    obey(text);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

/* ---------------------------------------------------------------- what is below the folder */

static void start(void) {
  const char *folder = getenv("POWER_CUT_ROOT");
  if (!folder) return;
  root_len = strlen(folder);
  if (root_len == 0 || root_len >= sizeof root - 1) give_up("POWER_CUT_ROOT is no folder");
  memcpy(root, folder, root_len + 1);
  const char *seed = getenv("POWER_CUT_SEED");
  random_state = 0x9e3779b97f4a7c15u ^ (seed ? strtoull(seed, NULL, 10) * 0x2545f4914f6cdd1du : 1);
  if (random_state == 0) random_state = 1;
  ignore_sync = getenv("POWER_CUT_IGNORE_SYNC") != NULL;
}

/* Only in a process that opens something below the folder: the launcher's shell has no part in it. */
static void activate(void) {
  if (active) return;
  active = 1;
  const char *at = getenv("POWER_CUT_AT");
  if (at) obey(at);
  char *control = getenv("POWER_CUT_CONTROL");
  if (!control) return;
  if (mkfifo(control, 0600) && errno != EEXIST) give_up("cannot make POWER_CUT_CONTROL");
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); /* the process's signals are not this thread's */
  pthread_t thread;
  if (pthread_create(&thread, NULL, listen_to_control, control)) give_up("cannot start a thread");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int is_below(const char *path) {
  pthread_once(&once, start);
  if (root_len == 0 || strncmp(path, root, root_len) != 0 || path[root_len] != '/') return 0;
  size_t length = strlen(path);
  return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static int file_index(const struct stat *s) {
  for (int i = 0; i < file_count; i++)
    if (files[i].dev == s->st_dev && files[i].ino == s->st_ino) return i;
  if (file_count == MAX_FILES) give_up("too many files");
  files[file_count] = (struct file){ s->st_dev, s->st_ino, -1 };
  return file_count++;
}

/* The file of a descriptor, or -1; `s` is filled. A descriptor that now means something else is forgotten. */
static int tracked(int fd, struct stat *s) {
  if (fd < 0 || fd >= MAX_FDS || file_of_fd[fd] == 0) return -1;
  int index = file_of_fd[fd] - 1;
  if (fstat(fd, s) == 0 && files[index].dev == s->st_dev && files[index].ino == s->st_ino) return index;
  file_of_fd[fd] = 0;
  return -1;
}

static int looks_tracked(int fd) { return fd >= 0 && fd < MAX_FDS && file_of_fd[fd] != 0; }

/* The keeper is never closed: closing any descriptor of a file drops SQLite's locks on it. */
static struct change *new_change(int index, int fd, off_t at, size_t old_len, off_t size) {
  if (files[index].keeper < 0) files[index].keeper = fcntl(fd, F_DUPFD_CLOEXEC, 200);
  if (files[index].keeper < 0) give_up("cannot keep a file open");
  struct change *c = need(calloc(1, sizeof *c));
  *c = (struct change){ .file = index, .at = at, .old_len = old_len, .size_before = size };
  c->old = need(malloc(old_len + 1));
  for (size_t done = 0; done < old_len;) {
    ssize_t n = REAL(pread64)(fd, c->old + done, old_len - done, at + (off_t)done);
    if (n <= 0) give_up("cannot read what a write replaces");
    done += (size_t)n;
  }
  return c;
}

static void add_change(struct change *c) {
  held_bytes += c->old_len + c->fresh_len + sizeof *c;
  if (held_bytes > MAX_HELD_BYTES) give_up("more than 1 GB was never synced");
  c->seq = ++last_seq;
  c->next = changes;
  changes = c;
}

static void forget_changes(int index, uint64_t until) {
  for (struct change **link = &changes; *link;) {
    struct change *c = *link;
    if (c->file != index || c->seq > until) {
      link = &c->next;
      continue;
    }
    *link = c->next;
    held_bytes -= c->old_len + c->fresh_len + sizeof *c;
    free(c->old);
    free(c->fresh);
    free(c);
  }
}

static int in_folder(const char *path, const char *folder, size_t length) {
  return strncmp(path, folder, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/');
}

static void forget_names(const char *folder, uint64_t until) {
  size_t length = strlen(folder);
  for (struct naming **link = &namings; *link;) {
    struct naming *n = *link;
    if (!in_folder(n->to, folder, length) || n->seq > until) {
      link = &n->next;
      continue;
    }
    *link = n->next;
    if (n->hidden) REAL(unlink)(n->to);
    free(n);
  }
}

static void add_naming(const char *from, const char *to, int hidden) {
  struct naming *n = need(calloc(1, sizeof *n));
  snprintf(n->from, sizeof n->from, "%s", from);
  snprintf(n->to, sizeof n->to, "%s", to);
  n->hidden = hidden;
  n->seq = ++last_seq;
  n->next = namings;
  namings = n;
}

/* Moves a file out of sight instead of removing it, so that it can come back. */
static int hide(const char *path) {
  char hidden[PATH_MAX];
  if (snprintf(hidden, sizeof hidden, "%s.unlinked-%llu", path, (unsigned long long)++last_seq) >= PATH_MAX)
    give_up("a name is too long");
  int result = REAL(rename)(path, hidden);
  if (result == 0) add_naming(path, hidden, 1);
  return result;
}

__attribute__((destructor)) static void drop_hidden(void) {
  for (struct naming *n = namings; n; n = n->next)
    if (n->hidden) REAL(unlink)(n->to);
}

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
