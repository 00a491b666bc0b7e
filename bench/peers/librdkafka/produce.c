/*
 * librdkafka's producer over a file of values ({ length u32 big endian, value }...), in turn and again, as fast as it
 * goes; with the system's library.
 *
 * Arguments: payload-file warm-up-seconds seconds topic property=value...
 * Prints `measuring` when the warm-up is over, in the end a line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "librdkafka.h"

enum { LATENCIES_MAX = 1 << 20, LATENCY_EVERY = 1009, LOOK_EVERY = 1024, FLUSH_MS = 60000 };

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
      while (rd_produce(topic, PARTITION_ANY, 0, values[next_value], lengths[next_value], NULL, 0, at) != 0) {
        if (rd_last_error() != QUEUE_FULL) die("rd_kafka_produce failed");
        rd_poll(kafka, 1);
      }
      bytes += lengths[next_value];
      next_value = next_value + 1 == value_count ? 0 : next_value + 1;
    }
    rd_poll(kafka, 0);
  }
  if (rd_flush(kafka, FLUSH_MS) != 0) die("rd_kafka_flush: not delivered");
  return sent;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int count, char **args) {
  if (count < 5) die("payload-file warm-up-seconds seconds topic property=value...");
  const char *wrong = load_librdkafka("librdkafka.so.1");
  if (wrong != NULL) die(wrong);
  read_values(args[1]);
  char error[512];
  void *kafka = new_client(args + 5, count - 5, on_delivery, error, sizeof error);
  if (kafka == NULL) die(error);
  void *topic = rd_topic_new(kafka, args[4], NULL);
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
         (unsigned long long)records, (unsigned long long)bytes, elapsed, (unsigned long long)errors, rd_version_str());
  if (latency_count == 0) puts("null}");
  else printf("{\"p50\":%.3f,\"p99\":%.3f}}\n", latencies[latency_count / 2], latencies[latency_count * 99 / 100]);
  return 0;
}
