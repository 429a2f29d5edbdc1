/* A disk that fails on demand: put in front of the C library by LD_PRELOAD, of a process and of all that it starts.
 *
 * CAMPAIGN_FAULT names a file that is mapped into memory, so that it can be changed while the process runs. A call is
 * counted where its kind is among `kinds` and its path holds `path`; the counted ones from `first` to `last` fail with
 * `error`. Of a write `keep` bytes get through before (a short write), if it is not 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, OPEN = 4, RENAME = 8, MKDIR = 16, TRUNCATE = 32 };

struct fault {
  atomic_int on;
  int kinds, error, keep;
  atomic_int seen, failed;
  int first, last;
  char path[256];
};

static struct fault *fault;

/* The two variables, for processes that are started with an environment of their own. */
enum { MOST_VARIABLES = 200 };
static char preload[4096], named[4096];

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("CAMPAIGN_FAULT"), *library = getenv("LD_PRELOAD");
  if (name) snprintf(named, sizeof named, "CAMPAIGN_FAULT=%s", name);
  if (library) snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
  int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *found = mmap(NULL, sizeof(struct fault), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (found != MAP_FAILED) fault = found;
}

static int fails(int kind, const char *path) {
  if (!fault || !atomic_load(&fault->on) || !(fault->kinds & kind) || !path || !strstr(path, fault->path)) return 0;
  int number = atomic_fetch_add(&fault->seen, 1) + 1;
  if (number < fault->first || number > fault->last) return 0;
  atomic_fetch_add(&fault->failed, 1);
  errno = fault->error;
  return 1;
}

static int fails_on(int kind, int file) {
  if (!fault || !atomic_load(&fault->on) || !(fault->kinds & kind)) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return fails(kind, path);
}

#define REAL(name) ((__typeof__(&name))real(&real_##name, #name))
#define KNOWN(name) static void *real_##name

static void *real(void **known, const char *name) {
  if (!*known) *known = dlsym(RTLD_NEXT, name);
  return *known;
}

KNOWN(write); KNOWN(pwrite); KNOWN(pwrite64); KNOWN(writev); KNOWN(pwritev); KNOWN(fsync); KNOWN(fdatasync);
KNOWN(open); KNOWN(open64); KNOWN(openat); KNOWN(openat64); KNOWN(rename); KNOWN(mkdir); KNOWN(ftruncate);
KNOWN(ftruncate64); KNOWN(fallocate); KNOWN(fallocate64); KNOWN(posix_fallocate); KNOWN(posix_fallocate64);
KNOWN(sendfile); KNOWN(sendfile64); KNOWN(copy_file_range); KNOWN(execve);

__attribute__((constructor)) static void know(void) { real(&real_execve, "execve"); }

/* Between fork and here nothing may be allocated. */
int execve(const char *path, char *const arguments[], char *const variables[]) {
  char *more[MOST_VARIABLES + 3];
  int count = 0;
  if (!fault || !variables) return REAL(execve)(path, arguments, variables);
  for (; variables[count]; count++) {
    if (count == MOST_VARIABLES || !strncmp(variables[count], "LD_PRELOAD=", 11))
      return REAL(execve)(path, arguments, variables);
    more[count] = variables[count];
  }
  more[count++] = preload;
  more[count++] = named;
  more[count] = NULL;
  return REAL(execve)(path, arguments, more);
}

static size_t kept(size_t size) { return (size_t)fault->keep < size ? (size_t)fault->keep : size; }

ssize_t write(int file, const void *bytes, size_t size) {
  if (!fails_on(WRITE, file)) return REAL(write)(file, bytes, size);
  return fault->keep ? REAL(write)(file, bytes, kept(size)) : -1;
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t place) {
  if (!fails_on(WRITE, file)) return REAL(pwrite)(file, bytes, size, place);
  return fault->keep ? REAL(pwrite)(file, bytes, kept(size), place) : -1;
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t place) {
  if (!fails_on(WRITE, file)) return REAL(pwrite64)(file, bytes, size, place);
  return fault->keep ? REAL(pwrite64)(file, bytes, kept(size), place) : -1;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  return fails_on(WRITE, file) && !fault->keep ? -1 : REAL(writev)(file, parts, count);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t place) {
  return fails_on(WRITE, file) && !fault->keep ? -1 : REAL(pwritev)(file, parts, count, place);
}

ssize_t sendfile(int to, int from, off_t *place, size_t size) {
  return fails_on(WRITE, to) && !fault->keep ? -1 : REAL(sendfile)(to, from, place, size);
}

ssize_t sendfile64(int to, int from, off64_t *place, size_t size) {
  return fails_on(WRITE, to) && !fault->keep ? -1 : REAL(sendfile64)(to, from, place, size);
}

ssize_t copy_file_range(int from, off64_t *place, int to, off64_t *target, size_t size, unsigned flags) {
  return fails_on(WRITE, to) && !fault->keep ? -1 : REAL(copy_file_range)(from, place, to, target, size, flags);
}

int fsync(int file) { return fails_on(SYNC, file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails_on(SYNC, file) ? -1 : REAL(fdatasync)(file); }
int rename(const char *from, const char *to) { return fails(RENAME, to) ? -1 : REAL(rename)(from, to); }
int mkdir(const char *path, mode_t mode) { return fails(MKDIR, path) ? -1 : REAL(mkdir)(path, mode); }
int ftruncate(int file, off_t size) { return fails_on(TRUNCATE, file) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails_on(TRUNCATE, file) ? -1 : REAL(ftruncate64)(file, size); }

int fallocate(int file, int mode, off_t place, off_t size) {
  return fails_on(WRITE, file) && !fault->keep ? -1 : REAL(fallocate)(file, mode, place, size);
}

int fallocate64(int file, int mode, off64_t place, off64_t size) {
  return fails_on(WRITE, file) && !fault->keep ? -1 : REAL(fallocate64)(file, mode, place, size);
}

int posix_fallocate(int file, off_t place, off_t size) {
  return fails_on(WRITE, file) && !fault->keep ? fault->error : REAL(posix_fallocate)(file, place, size);
}

int posix_fallocate64(int file, off64_t place, off64_t size) {
  return fails_on(WRITE, file) && !fault->keep ? fault->error : REAL(posix_fallocate64)(file, place, size);
}

#define MODE(flags, mode)                    \
  mode_t mode = 0;                           \
  if ((flags) & (O_CREAT | O_TMPFILE)) {     \
    va_list more;                            \
    va_start(more, flags);                   \
    mode = va_arg(more, mode_t);             \
    va_end(more);                            \
  }

#define MAKES(flags) (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE)

int open(const char *path, int flags, ...) {
  MODE(flags, mode)
  return MAKES(flags) && fails(OPEN, path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags, mode)
  return MAKES(flags) && fails(OPEN, path) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  MODE(flags, mode)
  return MAKES(flags) && fails(OPEN, path) ? -1 : REAL(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
  MODE(flags, mode)
  return MAKES(flags) && fails(OPEN, path) ? -1 : REAL(openat64)(folder, path, flags, mode);
}
