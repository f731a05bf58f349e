/* The disk of power-cut-shim.c: what was changed and not synced, and how it is lost. */
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

/* What was written stays, as the kernel keeps it; removed files that were only moved out of sight go. */
static void end_as_a_kill(void) {
  for (struct naming *n = namings; n; n = n->next)
    if (n->hidden) REAL(unlink)(n->to);
  say("killed\n");
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* With the lock held, so that nobody else writes any more. */
static void cut(void) {
  const char *keep = getenv("POWER_CUT_KEEP");
  if (!keep) keep = "none";
  if (strcmp(keep, "all") == 0) end_as_a_kill();
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
  say("power cut set: %s", command); /* whoever asked may have to wait for it */
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
