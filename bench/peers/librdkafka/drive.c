/*
 * librdkafka as a driver: a process that speaks bench/drivers/protocol.ts, in lines of JSON over the channel that Node.js opens to its
 * children. Phases, values and sums are those of producing.ts, payloads.ts and peer-consumer.ts.
 *
 * Arguments: library kind topic partitions warm-up-seconds records seconds, then of a producer seed value-bytes pool-bytes, of a consumer
 * its mode; then property=value for librdkafka.
 * Its result has its readings and latencies one by one: the harness makes a series and a histogram of them.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "librdkafka.h"

enum { LATENCY_EVERY = 1009, LATENCIES_MAX = 1 << 20, LOOK_EVERY = 1024, TAKEN_MAX = 10000, WAIT_MS = 20 };
enum { READ_EVERY_MS = 125, READINGS_MAX = 1 << 16, PROGRESS_EVERY_MS = 500, DRAIN_MS_MAX = 60000, QUERY_MS_MAX = 10000 };

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The channel. */

static int channel;

static void say(const char *text) {
  for (size_t left = strlen(text); left > 0;) {
    ssize_t written = write(channel, text, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) exit(1);
    text += written, left -= (size_t)written;
  }
}

static void fail(const char *format, ...) {
  char why[1024], line[2048];
  va_list rest;
  va_start(rest, format);
  vsnprintf(why, sizeof why, format, rest);
  va_end(rest);
  for (char *c = why; *c != '\0'; c++)
    if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '\'';
  snprintf(line, sizeof line, "{\"type\":\"error\",\"message\":\"librdkafka: %s\"}\n", why);
  say(line);
  exit(1);
}

static bool is_started, is_told_to_measure, is_told_to_end;
static uint64_t wanted = UINT64_MAX;

static void understand(const char *line) {
  const char *records = strstr(line, "\"records\":");
  if (strstr(line, "\"start\"") != NULL) is_started = true;
  else if (strstr(line, "\"measure\"") != NULL) is_told_to_measure = true;
  else if (strstr(line, "\"measured\"") != NULL) is_told_to_end = true;
  else if (strstr(line, "\"finish\"") != NULL && records != NULL) wanted = strtoull(records + 10, NULL, 10);
}

/* What the harness has said by now, or waits until it says something. A driver whose harness is gone ends at once. */
static void hear(bool waits) {
  static char line[4096];
  static size_t length;
  struct pollfd readable = {.fd = channel, .events = POLLIN};
  while (poll(&readable, 1, waits ? -1 : 0) > 0) {
    char *free_part = line + length;
    ssize_t got = read(channel, free_part, sizeof line - 1 - length);
    if (got <= 0) exit(1);
    length += (size_t)got;
    line[length] = '\0';
    for (char *end; (end = strchr(line, '\n')) != NULL;) {
      *end = '\0';
      understand(line);
      length -= (size_t)(end + 1 - line);
      memmove(line, end + 1, length + 1);
    }
    waits = false;
  }
}

/* Sums over records: payloads.ts says of what. */

static struct { uint64_t records, bytes, first_bytes, sampled; } sums;

static uint32_t crc32c(const uint8_t *bytes, size_t length) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
  }
  return ~crc;
}

static void sum(const uint8_t *value, size_t length) {
  sums.records++;
  sums.bytes += length;
  sums.first_bytes += value[0];
  if (value[0] == 0x5a && (length < 2 || value[1] < 16)) sums.sampled += crc32c(value, length);
}

/* Readings of a count in the measured phase, and what the harness is told of it. */

static struct { double ms; uint64_t count; } readings[READINGS_MAX];
static size_t reading_count;
static double started_ms, progress_ms;
static bool is_measuring;

static void take_reading(double ms, uint64_t count) {
  if (reading_count == READINGS_MAX) return;
  readings[reading_count].ms = ms - started_ms;
  readings[reading_count++].count = count;
}

static void look(uint64_t count) {
  double ms = now_ms();
  hear(false);
  if (!is_measuring) return;
  if (ms - started_ms - readings[reading_count - 1].ms >= READ_EVERY_MS) take_reading(ms, count);
  if (ms - progress_ms < PROGRESS_EVERY_MS) return;
  char line[128];
  snprintf(line, sizeof line, "{\"type\":\"progress\",\"records\":%llu}\n", (unsigned long long)count);
  say(line);
  progress_ms = ms;
}

static void begin(uint64_t count) {
  say("{\"type\":\"measuring\"}\n");
  started_ms = progress_ms = now_ms();
  is_measuring = true;
  take_reading(started_ms, count);
}

/* Seconds since it began. */
static double end(uint64_t count) {
  double ms = now_ms();
  take_reading(ms, count);
  is_measuring = false;
  say("{\"type\":\"measured\"}\n");
  return (ms - started_ms) / 1e3;
}

/* Librdkafka. */

static void *kafka, *topic;

static double sent_ms[LATENCIES_MAX], latencies_ms[LATENCIES_MAX];
static size_t timed_count, latency_count;
static uint64_t delivered, failed;

static void on_delivery(void *its_kafka, const struct message *message, void *opaque) {
  (void)its_kafka, (void)opaque;
  if (message->error != NO_ERROR) failed++;
  else delivered++;
  uintptr_t timed = (uintptr_t)message->opaque;
  if (timed > 0 && message->error == NO_ERROR) latencies_ms[latency_count++] = now_ms() - sent_ms[timed - 1];
}

static void connect_to(const char *topic_name, char **properties, int count, bool produces) {
  char why[512];
  kafka = new_client(properties, count, produces ? on_delivery : NULL, why, sizeof why);
  if (kafka == NULL) fail("%s", why);
  topic = rd_topic_new(kafka, topic_name, NULL);
  if (topic == NULL) fail("%s", rd_err2str(rd_last_error()));
}

static void tell_result(uint64_t records, double seconds, bool is_part) {
  char *text;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (out == NULL) fail("no memory");
  fprintf(out, "{\"type\":\"result\",\"result\":{\"records\":%llu,\"seconds\":%.6f,\"isPart\":%s,\"errors\":%llu,\"retries\":0,",
          (unsigned long long)records, seconds, is_part ? "true" : "false", (unsigned long long)failed);
  fprintf(out, "\"checksum\":{\"records\":%llu,\"bytes\":%llu,\"firstBytes\":%llu,\"sampled\":%llu},\"readings\":[",
          (unsigned long long)sums.records, (unsigned long long)sums.bytes, (unsigned long long)sums.first_bytes,
          (unsigned long long)sums.sampled);
  for (size_t i = 0; i < reading_count; i++)
    fprintf(out, "%s{\"atMs\":%.1f,\"count\":%llu}", i == 0 ? "" : ",", readings[i].ms, (unsigned long long)readings[i].count);
  fprintf(out, "],\"latenciesMs\":[");
  for (size_t i = 0; i < latency_count; i++) fprintf(out, "%s%.3f", i == 0 ? "" : ",", latencies_ms[i]);
  fprintf(out, "]}}\n");
  if (fclose(out) != 0) fail("no memory");
  say(text);
  free(text);
}

/* Producing. */

static uint8_t *pool;
static uint64_t value_bytes, pool_values, next_value;

static void make_values(uint32_t seed, uint64_t pool_bytes) {
  pool_values = pool_bytes / value_bytes + (pool_bytes % value_bytes != 0);
  uint64_t words = (pool_values * value_bytes + 3) / 4;
  uint32_t *filled = malloc(words * 4);
  if (filled == NULL) fail("no memory");
  uint32_t x = seed == 0 ? 1 : seed;
  for (uint64_t i = 0; i < words; i++) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    filled[i] = x;
  }
  pool = (uint8_t *)filled;
}

static void send_one(uint64_t number) {
  uint8_t *value = pool + next_value * value_bytes;
  next_value = next_value + 1 == pool_values ? 0 : next_value + 1;
  uintptr_t timed = 0;
  if (number % LATENCY_EVERY == 0 && timed_count < LATENCIES_MAX) {
    sent_ms[timed_count] = now_ms();
    timed = ++timed_count;
  }
  /* Without a copy: the values stay where they are. */
  while (rd_produce(topic, PARTITION_ANY, 0, value, value_bytes, NULL, 0, (void *)timed) != 0) {
    if (rd_last_error() != QUEUE_FULL) fail("%s", rd_err2str(rd_last_error()));
    rd_poll(kafka, 1);
    look(delivered);
  }
  sum(value, value_bytes);
}

static uint64_t send_until(uint64_t records_max, double seconds) {
  double end_ms = now_ms() + seconds * 1e3;
  uint64_t sent = 0;
  while (sent < records_max && now_ms() < end_ms) {
    for (uint64_t burst = least(LOOK_EVERY, records_max - sent); burst > 0; burst--) send_one(sent++);
    rd_poll(kafka, 0);
    look(delivered);
  }
  double drain_until_ms = now_ms() + DRAIN_MS_MAX;
  while (rd_outq_len(kafka) > 0) {
    rd_poll(kafka, 1);
    look(delivered);
    if (now_ms() > drain_until_ms) fail("%d records are not acknowledged", rd_outq_len(kafka));
  }
  return sent;
}

static void run_producer(uint64_t records, double warm_up_seconds, double seconds) {
  say("{\"type\":\"ready\"}\n");
  while (!is_started) hear(true);
  if (warm_up_seconds > 0) send_until(UINT64_MAX, warm_up_seconds);
  timed_count = latency_count = 0;
  begin(delivered);
  uint64_t sent = send_until(records, seconds);
  tell_result(sent, end(delivered), false);
}

/* Consuming: what is stored once, or each record as it comes. */

static uint64_t stored_records(const char *topic_name, int partitions) {
  uint64_t stored = 0;
  for (int32_t partition = 0; partition < partitions; partition++) {
    int64_t low, high;
    int error = rd_query_watermark_offsets(kafka, topic_name, partition, &low, &high, QUERY_MS_MAX);
    if (error != NO_ERROR) fail("%s", rd_err2str(error));
    stored += (uint64_t)(high - low);
  }
  return stored;
}

static void take(void *queue) {
  static struct message *messages[TAKEN_MAX];
  ptrdiff_t taken = rd_consume_batch_queue(queue, WAIT_MS, messages, TAKEN_MAX);
  if (taken < 0) fail("%s", rd_err2str(rd_last_error()));
  for (ptrdiff_t i = 0; i < taken; i++) {
    if (messages[i]->error != NO_ERROR) fail("%s", rd_err2str(messages[i]->error));
    sum(messages[i]->payload, messages[i]->length);
    rd_message_destroy(messages[i]);
  }
}

static void *assigned(int partitions) {
  void *queue = rd_queue_new(kafka);
  for (int32_t partition = 0; partition < partitions; partition++) {
    if (rd_consume_start_queue(topic, partition, OFFSET_BEGINNING, queue) != 0)
      fail("%s", rd_err2str(rd_last_error()));
  }
  return queue;
}

/* The warm-up takes a quarter of what is stored at most. */
static void read_stored(void *queue, uint64_t stored, uint64_t records, double warm_up_seconds, double seconds) {
  double warm_until_ms = 0, measured_seconds = 0;
  uint64_t from = 0;
  bool is_over = false;
  while (!is_over) {
    take(queue);
    look(sums.records);
    if (sums.records == 0) continue;
    double ms = now_ms();
    if (warm_until_ms == 0) warm_until_ms = ms + warm_up_seconds * 1e3;
    is_over = sums.records >= stored;
    if (is_measuring) {
      is_over = is_over || sums.records - from >= records || ms - started_ms >= seconds * 1e3;
      if (is_over) measured_seconds = end(sums.records);
    } else if (!is_over && (ms >= warm_until_ms || sums.records >= stored / 4)) {
      from = sums.records;
      begin(from);
    }
  }
  tell_result(sums.records - from, measured_seconds, sums.records < stored);
}

static void follow(void *queue) {
  uint64_t from = 0, to = 0;
  double seconds = 0;
  bool has_begun = false;
  while (sums.records < wanted) {
    take(queue);
    look(sums.records);
    if (is_told_to_measure && !has_begun) {
      has_begun = true;
      from = sums.records;
      begin(from);
    }
    if (is_told_to_end && is_measuring) {
      to = sums.records;
      seconds = end(to);
    }
  }
  tell_result(to - from, seconds, false);
}

static void run_consumer(const char *topic_name, int partitions, bool follows, uint64_t records, double warm_up_seconds, double seconds) {
  uint64_t stored = follows ? 0 : stored_records(topic_name, partitions);
  say("{\"type\":\"ready\"}\n");
  while (!is_started) hear(true);
  void *queue = assigned(partitions);
  if (follows) follow(queue);
  else read_stored(queue, stored, records, warm_up_seconds, seconds);
}

int main(int count, char **arguments) {
  const char *descriptor = getenv("NODE_CHANNEL_FD");
  if (descriptor == NULL || count < 9) {
    fprintf(stderr, "this is a driver: the harness of the benchmarks starts it\n");
    return 2;
  }
  channel = atoi(descriptor);
  const char *wrong = load_librdkafka(arguments[1]);
  if (wrong != NULL) fail("%s", wrong);
  char **args = arguments + 2;
  bool produces = strcmp(args[0], "producer") == 0;
  int own = produces ? 9 : 7;
  if (count - 2 < own) fail("%d arguments are too few", count);
  connect_to(args[1], args + own, count - 2 - own, produces);
  uint64_t records = strtoull(args[4], NULL, 10);
  double warm_up_seconds = atof(args[3]), seconds = atof(args[5]);
  if (produces) {
    value_bytes = strtoull(args[7], NULL, 10);
    make_values((uint32_t)strtoul(args[6], NULL, 10), strtoull(args[8], NULL, 10));
    run_producer(records, warm_up_seconds, seconds);
  } else {
    run_consumer(args[1], atoi(args[2]), strcmp(args[6], "follow") == 0, records, warm_up_seconds, seconds);
  }
  /* What it used is read once all that were measured together have ended: it lives until the harness ends it. */
  for (;;) hear(true);
}
