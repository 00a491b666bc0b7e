/*
 * Limit probes: what this machine can do at best with the system calls that a log has to make, so that a measured rate
 * can be given as a share of the limit. No record, checksum, protocol or acknowledgement: only the kernel's copies.
 * Every end is a process of its own, joined by loopback TCP.
 *
 *   limit-probes produce  BYTES CHUNK DIRECTORY [WARM-UP]   send -> recv -> buffered write to a file
 *   limit-probes consume  BYTES CHUNK DIRECTORY             page-cached file -> sendfile -> recv
 *   limit-probes both     BYTES CHUNK DIRECTORY [WARM-UP]   send -> recv -> write, and the growing file -> sendfile -> recv
 *   limit-probes replicate BYTES CHUNK DIRECTORY [WARM-UP]  send -> recv -> write, and the growing file -> sendfile -> recv -> write, twice
 *   limit-probes echo     COUNT BYTES DIRECTORY             one message at a time: send -> recv -> write -> send -> recv
 *   limit-probes buffered-writes BYTES CHUNK DIRECTORY [WARM-UP]   write to a fresh file, nothing else: one process, no socket
 *
 * WARM-UP bytes go first and are not counted, as in the tests: a machine may be faster while the page cache takes memory
 * that was in use a moment ago than when it has to take new memory.
 *
 * Prints one line of JSON: { "probe", "bytes", "chunk", "seconds", "mebibytesPerSecond", "cpuSeconds" }, for replicate
 * "leaderSeconds" too, until the first of the three files was whole ("seconds": until all were), for echo
 * { "probe", "count", "bytes", "seconds", "microseconds": { "p50", "p90", "p99", "p999", "max" } }.
 * The clock runs from the first byte sent (the last of the warm-up written) to the last byte written or received. Bounded: at most 64 GiB and 120 s; its
 * file is unlinked before the first byte, so nothing stays whatever happens. Linux only (sendfile): elsewhere it says so.
 */
#ifndef __linux__
#include <stdio.h>
int main(void) {
  fprintf(stderr, "limit-probes: Linux only\n");
  return 2;
}
#else
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MAX (64ull << 30)
#define SECONDS_MAX 120
#define ECHO_COUNT_MAX 10000000ull

/* What the processes tell each other: monotonic times, in shared memory. */
struct shared {
  volatile double started;
  volatile double ended[3]; /* 0: written, 1: received (by the first follower), 2: by the second */
};

static struct shared *shared;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "limit-probes: %s: %s\n", what, strerror(errno));
  _exit(1);
}

/* Seeded bytes that no file system can compress or find zeros in. */
static unsigned char *random_bytes(size_t length) {
  unsigned char *bytes = malloc(length + 8);
  if (!bytes) die("malloc");
  uint64_t x = 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < length; i += 8) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memcpy(bytes + i, &x, 8);
  }
  return bytes;
}

static int open_file(const char *directory) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/limit-probe-XXXXXX", directory) >= (int)sizeof path) die("path");
  int fd = mkstemp(path);
  if (fd < 0) die(path);
  if (unlink(path) < 0) die("unlink");
  return fd;
}

static int listen_on_loopback(struct sockaddr_in *address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof *address;
  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)address, length) < 0 || listen(fd, 4) < 0) die("listen");
  if (getsockname(fd, (struct sockaddr *)address, &length) < 0) die("getsockname");
  // As the broker's: whatever the machine's congestion control, nothing is paced (native/socket_options.h).
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
  return fd;
}

static void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int connect_to(const struct sockaddr_in *address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) die("connect");
  no_delay(fd);
  return fd;
}

static int accept_from(int listener) {
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) die("accept");
  no_delay(fd);
  return fd;
}

static void send_all(int fd, const unsigned char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) die("send");
    bytes += n;
    length -= (size_t)n;
  }
}

static void write_all(int fd, const unsigned char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) die("write");
    bytes += n;
    length -= (size_t)n;
  }
}

/* One call's worth; 0 is an error here, for nobody closes early. */
static size_t receive(int fd, unsigned char *bytes, size_t length) {
  for (;;) {
    ssize_t n = recv(fd, bytes, length, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) die("recv");
    return (size_t)n;
  }
}

static void run_sender(const struct sockaddr_in *address, uint64_t total, size_t chunk) {
  /* Distinct bytes: 64 MiB of them, as the drivers have, not one warm buffer. */
  size_t pool = 64u << 20;
  unsigned char *bytes = random_bytes(pool + chunk);
  int fd = connect_to(address);
  size_t position = 0;
  shared->started = now();
  for (uint64_t left = total; left > 0;) {
    size_t length = left < chunk ? (size_t)left : chunk;
    send_all(fd, bytes + position, length);
    left -= length;
    position = position + length >= pool ? 0 : position + length;
  }
  /* Until the receiver has closed: it may still be reading. */
  unsigned char end;
  if (recv(fd, &end, 1, 0) < 0) die("recv");
  _exit(0);
}

/* The first `uncounted` bytes are the warm-up: the clock starts when they are written. */
static void run_writer(int listener, int file, uint64_t total, uint64_t uncounted, size_t chunk) {
  unsigned char *buffer = malloc(chunk);
  if (!buffer) die("malloc");
  memset(buffer, 1, chunk);
  int fd = accept_from(listener);
  for (uint64_t left = total; left > 0;) {
    size_t length = receive(fd, buffer, left < chunk ? (size_t)left : chunk);
    write_all(file, buffer, length);
    left -= length;
    uint64_t written = total - left;
    if (written >= uncounted && written - length < uncounted) shared->started = now();
  }
  shared->ended[0] = now();
  _exit(0);
}

/* Sends what the file has, waiting for it to grow; a whole file never waits. */
static void run_file_sender(int listener, int file, uint64_t total, size_t chunk, int starts_clock) {
  int fd = accept_from(listener);
  off_t position = 0;
  if (starts_clock) shared->started = now();
  while ((uint64_t)position < total) {
    uint64_t left = total - (uint64_t)position;
    ssize_t n = sendfile(fd, file, &position, left < chunk ? (size_t)left : chunk);
    if (n < 0 && errno != EINTR && errno != EAGAIN) die("sendfile");
    if (n == 0) {
      struct timespec pause = {0, 50000};
      nanosleep(&pause, NULL);
    }
  }
  unsigned char end;
  if (recv(fd, &end, 1, 0) < 0) die("recv");
  _exit(0);
}

static void run_reader(const struct sockaddr_in *address, uint64_t total, size_t chunk) {
  unsigned char *buffer = malloc(chunk);
  if (!buffer) die("malloc");
  memset(buffer, 1, chunk);
  int fd = connect_to(address);
  for (uint64_t left = total; left > 0;) left -= receive(fd, buffer, left < chunk ? (size_t)left : chunk);
  shared->ended[1] = now();
  _exit(0);
}

/* A follower: what the leader's file has, into a file of its own. */
static void run_follower(const struct sockaddr_in *address, int file, uint64_t total, size_t chunk, int number) {
  unsigned char *buffer = malloc(chunk);
  if (!buffer) die("malloc");
  memset(buffer, 1, chunk);
  int fd = connect_to(address);
  for (uint64_t left = total; left > 0;) {
    size_t length = receive(fd, buffer, left < chunk ? (size_t)left : chunk);
    write_all(file, buffer, length);
    left -= length;
  }
  shared->ended[number] = now();
  _exit(0);
}

static void run_echo_server(int listener, int file, uint64_t count, size_t length) {
  unsigned char *buffer = malloc(length);
  int fd = accept_from(listener);
  if (!buffer) die("malloc");
  for (uint64_t i = 0; i < count; i++) {
    for (size_t got = 0; got < length;) got += receive(fd, buffer + got, length - got);
    write_all(file, buffer, length);
    send_all(fd, buffer, length);
  }
  _exit(0);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void run_echo_client(const struct sockaddr_in *address, uint64_t count, size_t length) {
  unsigned char *bytes = random_bytes(length);
  double *times = malloc((size_t)count * sizeof *times);
  if (!times) die("malloc");
  int fd = connect_to(address);
  double started = now();
  for (uint64_t i = 0; i < count; i++) {
    double sent = now();
    send_all(fd, bytes, length);
    for (size_t got = 0; got < length;) got += receive(fd, bytes + got, length - got);
    times[i] = (now() - sent) * 1e6;
  }
  double seconds = now() - started;
  qsort(times, (size_t)count, sizeof *times, by_value);
#define AT(q) times[(size_t)((double)(count - 1) * (q))]
  printf("{\"probe\":\"echo\",\"count\":%llu,\"bytes\":%zu,\"seconds\":%.6f,\"microseconds\":"
         "{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f}}\n",
         (unsigned long long)count, length, seconds, AT(0.5), AT(0.9), AT(0.99), AT(0.999), times[count - 1]);
  fflush(stdout);
  _exit(0);
}

/* A fresh page-cached file of `total` bytes: written before the clock starts, its write-back not waited for. */
static void fill(int file, uint64_t total) {
  size_t chunk = 1u << 20;
  unsigned char *bytes = random_bytes(chunk);
  for (uint64_t left = total; left > 0;) {
    size_t length = left < chunk ? (size_t)left : chunk;
    write_all(file, bytes, length);
    left -= length;
  }
  free(bytes);
}

/* What an append at best is: the copy into the page cache, out of 64 MiB of distinct bytes. */
static double run_buffered_writes(int file, uint64_t total, uint64_t uncounted, size_t chunk) {
  size_t pool = 64u << 20;
  unsigned char *bytes = random_bytes(pool + chunk);
  size_t position = 0;
  double started = now();
  for (uint64_t written = 0; written < uncounted + total; written += chunk) {
    if (written >= uncounted && written - chunk < uncounted) started = now();
    write_all(file, bytes + position, chunk);
    position = position + chunk >= pool ? 0 : position + chunk;
  }
  return now() - started;
}

static pid_t children[6];
static int child_count;

/* True in the child, which never returns from what it runs. */
static int in_child(void) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    alarm(SECONDS_MAX);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return 1;
  }
  children[child_count++] = pid;
  return 0;
}

static int wait_for_children(void) {
  int failed = 0;
  for (int left = child_count; left > 0; left--) {
    int status = 0;
    if (wait(&status) < 0) die("wait");
    if ((!WIFEXITED(status) || WEXITSTATUS(status) != 0) && !failed) {
      failed = 1;
      for (int i = 0; i < child_count; i++) kill(children[i], SIGKILL);
    }
  }
  return failed;
}

static double cpu_seconds_of_children(void) {
  struct rusage use;
  getrusage(RUSAGE_CHILDREN, &use);
  return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
         ((double)use.ru_utime.tv_usec + (double)use.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 6) {
    fprintf(stderr,
            "usage: limit-probes produce|consume|both|replicate|buffered-writes BYTES CHUNK DIRECTORY [WARM-UP] | echo COUNT BYTES "
            "DIRECTORY\n");
    return 2;
  }
  const char *probe = argv[1];
  uint64_t total = strtoull(argv[2], NULL, 10);
  size_t chunk = (size_t)strtoull(argv[3], NULL, 10);
  uint64_t uncounted = argc == 6 ? strtoull(argv[5], NULL, 10) : 0;
  int is_produce = !strcmp(probe, "produce"), is_consume = !strcmp(probe, "consume");
  int is_both = !strcmp(probe, "both"), is_echo = !strcmp(probe, "echo");
  int is_writes = !strcmp(probe, "buffered-writes"), is_replicate = !strcmp(probe, "replicate");
  if (!is_produce && !is_consume && !is_both && !is_echo && !is_writes && !is_replicate) {
    fprintf(stderr, "limit-probes: unknown probe %s\n", probe);
    return 2;
  }
  if (total == 0 || chunk == 0 || chunk > (64u << 20) || total > (is_echo ? ECHO_COUNT_MAX : BYTES_MAX) ||
      uncounted > (is_produce || is_both || is_replicate || is_writes ? BYTES_MAX - total : 0)) {
    fprintf(stderr, "limit-probes: sizes out of bounds\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  /* Nobody reads what we print once whoever started us is gone; the ends go with us the same way. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) die("mmap");
  int file = open_file(argv[4]);
  if (is_writes) {
    alarm(SECONDS_MAX);
    double seconds = run_buffered_writes(file, total, uncounted, chunk);
    printf("{\"probe\":\"buffered-writes\",\"bytes\":%llu,\"chunk\":%zu,\"seconds\":%.6f}\n", (unsigned long long)total,
           chunk, seconds);
    return 0;
  }
  struct sockaddr_in in, out;
  int listener = listen_on_loopback(&in);
  int second = listen_on_loopback(&out);

  if (is_consume) fill(file, total);
  if (is_echo) {
    if (in_child()) run_echo_server(listener, file, total, chunk);
    if (in_child()) run_echo_client(&in, total, chunk);
    return wait_for_children();
  }
  if (is_produce || is_both || is_replicate) {
    if (in_child()) run_writer(listener, file, uncounted + total, uncounted, chunk);
    if (in_child()) run_sender(&in, uncounted + total, chunk);
  }
  if (is_consume || is_both) {
    if (in_child()) run_file_sender(second, file, uncounted + total, chunk, is_consume);
    if (in_child()) run_reader(&out, uncounted + total, chunk);
  }
  if (is_replicate) {
    struct sockaddr_in third_address;
    int third = listen_on_loopback(&third_address);
    int files[2] = {open_file(argv[4]), open_file(argv[4])};
    for (int i = 0; i < 2; i++) {
      if (in_child()) run_file_sender(i == 0 ? second : third, file, uncounted + total, chunk, 0);
      if (in_child()) run_follower(i == 0 ? &out : &third_address, files[i], uncounted + total, chunk, i + 1);
    }
  }
  if (wait_for_children()) return 1;
  double ended = shared->ended[0];
  for (int i = 1; i < 3; i++)
    if (shared->ended[i] > ended) ended = shared->ended[i];
  double seconds = ended - shared->started;
  if (is_replicate) {
    printf("{\"probe\":\"%s\",\"bytes\":%llu,\"chunk\":%zu,\"seconds\":%.6f,\"leaderSeconds\":%.6f,"
           "\"mebibytesPerSecond\":%.2f,\"cpuSeconds\":%.3f}\n",
           probe, (unsigned long long)total, chunk, seconds, shared->ended[0] - shared->started,
           (double)total / 1048576.0 / seconds, cpu_seconds_of_children());
    return 0;
  }
  printf("{\"probe\":\"%s\",\"bytes\":%llu,\"chunk\":%zu,\"seconds\":%.6f,\"mebibytesPerSecond\":%.2f,\"cpuSeconds\":%.3f}\n",
         probe, (unsigned long long)total, chunk, seconds, (double)total / 1048576.0 / seconds, cpu_seconds_of_children());
  return 0;
}
#endif
