/*
 * librdkafka's producer over a file of values ({ length u32 big endian, value }...), in turn and again, as fast as it
 * goes. The library is loaded at run time, so that no headers of it are needed: the few functions and numbers below are
 * its stable C interface.
 *
 * Arguments: payload-file warm-up-seconds seconds topic property=value...
 * Prints `measuring` when the warm-up is over, in the end a line of JSON.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PRODUCER = 0, CONF_OK = 0, QUEUE_FULL = -184, PARTITION_ANY = -1, LATENCIES_MAX = 1 << 20 };
enum { LATENCY_EVERY = 1009, LOOK_EVERY = 1024, FLUSH_MS = 60000 };

/* The head of rd_kafka_message_t, as far as it is read. */
struct message {
  int error;
  void *topic;
  int32_t partition;
  void *payload;
  size_t length;
  void *key;
  size_t key_length;
  int64_t offset;
  void *opaque;
};

static void *(*conf_new)(void);
static int (*conf_set)(void *, const char *, const char *, char *, size_t);
static void (*conf_set_dr_msg_cb)(void *, void (*)(void *, const struct message *, void *));
static void *(*kafka_new)(int, void *, char *, size_t);
static void *(*topic_new)(void *, const char *, void *);
static int (*produce)(void *, int32_t, int, void *, size_t, const void *, size_t, void *);
static int (*last_error)(void);
static int (*poll_events)(void *, int);
static int (*flush)(void *, int);
static const char *(*version_str)(void);

static uint8_t **values;
static uint32_t *lengths;
static size_t value_count, next_value;
static uint64_t bytes, errors;
static double latencies[LATENCIES_MAX];
static size_t latency_count;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static void load(void) {
  void *library = dlopen("librdkafka.so.1", RTLD_NOW);
  if (library == NULL) die(dlerror());
  struct { const char *name; void **place; } wanted[] = {
      {"rd_kafka_conf_new", (void **)&conf_new},   {"rd_kafka_conf_set", (void **)&conf_set},
      {"rd_kafka_new", (void **)&kafka_new},       {"rd_kafka_conf_set_dr_msg_cb", (void **)&conf_set_dr_msg_cb},
      {"rd_kafka_topic_new", (void **)&topic_new}, {"rd_kafka_produce", (void **)&produce},
      {"rd_kafka_last_error", (void **)&last_error}, {"rd_kafka_poll", (void **)&poll_events},
      {"rd_kafka_flush", (void **)&flush},         {"rd_kafka_version_str", (void **)&version_str},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    *wanted[i].place = dlsym(library, wanted[i].name);
    if (*wanted[i].place == NULL) die(wanted[i].name);
  }
}

static void read_values(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) die("the payload file cannot be read");
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  uint8_t *all = malloc((size_t)size);
  values = malloc((size_t)size / 4 * sizeof *values);
  lengths = malloc((size_t)size / 4 * sizeof *lengths);
  if (all == NULL || values == NULL || lengths == NULL) die("no memory");
  if (fread(all, 1, (size_t)size, file) != (size_t)size) die("the payload file cannot be read");
  fclose(file);
  for (long at = 0; at + 4 <= size; value_count++) {
    uint32_t length = (uint32_t)all[at] << 24 | (uint32_t)all[at + 1] << 16 | (uint32_t)all[at + 2] << 8 | all[at + 3];
    values[value_count] = all + at + 4;
    lengths[value_count] = length;
    at += 4 + (long)length;
  }
  if (value_count == 0) die("the payload file is empty");
}

static void on_delivery(void *kafka, const struct message *message, void *opaque) {
  (void)kafka, (void)opaque;
  if (message->error != 0) errors++;
  if (message->opaque == NULL) return;
  double *sent = message->opaque;
  if (message->error == 0 && latency_count < LATENCIES_MAX) latencies[latency_count++] = (now() - *sent) * 1e3;
  free(sent);
}

static uint64_t run(void *kafka, void *topic, double seconds) {
  double end = now() + seconds;
  uint64_t sent = 0;
  while (now() < end) {
    for (int i = 0; i < LOOK_EVERY; i++, sent++) {
      double *at = NULL;
      if (sent % LATENCY_EVERY == 0 && (at = malloc(sizeof *at)) != NULL) *at = now();
      /* Without a copy: the values stay where they are. */
      while (produce(topic, PARTITION_ANY, 0, values[next_value], lengths[next_value], NULL, 0, at) != 0) {
        if (last_error() != QUEUE_FULL) die("rd_kafka_produce failed");
        poll_events(kafka, 1);
      }
      bytes += lengths[next_value];
      next_value = next_value + 1 == value_count ? 0 : next_value + 1;
    }
    poll_events(kafka, 0);
  }
  if (flush(kafka, FLUSH_MS) != 0) die("rd_kafka_flush: not delivered");
  return sent;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int count, char **args) {
  if (count < 5) die("payload-file warm-up-seconds seconds topic property=value...");
  load();
  read_values(args[1]);
  char error[512];
  void *conf = conf_new();
  for (int i = 5; i < count; i++) {
    char *value = strchr(args[i], '=');
    if (value == NULL) die(args[i]);
    *value++ = '\0';
    if (conf_set(conf, args[i], value, error, sizeof error) != CONF_OK) die(error);
  }
  conf_set_dr_msg_cb(conf, on_delivery);
  void *kafka = kafka_new(PRODUCER, conf, error, sizeof error);
  if (kafka == NULL) die(error);
  void *topic = topic_new(kafka, args[4], NULL);
  if (topic == NULL) die("rd_kafka_topic_new failed");
  run(kafka, topic, atof(args[2]));
  puts("measuring");
  fflush(stdout);
  bytes = 0;
  latency_count = 0;
  double started = now();
  uint64_t records = run(kafka, topic, atof(args[3]));
  double elapsed = now() - started;
  qsort(latencies, latency_count, sizeof *latencies, by_size);
  printf("{\"records\":%llu,\"bytes\":%llu,\"seconds\":%.4f,\"errors\":%llu,\"client\":\"librdkafka %s\",\"latencyMs\":",
         (unsigned long long)records, (unsigned long long)bytes, elapsed, (unsigned long long)errors, version_str());
  if (latency_count == 0) puts("null}");
  else printf("{\"p50\":%.3f,\"p99\":%.3f}}\n", latencies[latency_count / 2], latencies[latency_count * 99 / 100]);
  return 0;
}
