/*
 * As much of librdkafka's stable C interface as the programs here use. The library is loaded at run time, so that no headers of it
 * are needed. Functions are `rd_…` for `rd_kafka_…`; what it calls rd_kafka_t, rd_kafka_topic_t and so on are plain pointers.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PRODUCER = 0, CONSUMER = 1, CONF_OK = 0, NO_ERROR = 0, QUEUE_FULL = -184, PARTITION_ANY = -1, OFFSET_BEGINNING = -2 };

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

#define LIBRDKAFKA(F)                                                                            \
  F(const char *, version_str, (void))                                                           \
  F(const char *, err2str, (int))                                                                \
  F(int, last_error, (void))                                                                     \
  F(void *, conf_new, (void))                                                                    \
  F(int, conf_set, (void *, const char *, const char *, char *, size_t))                         \
  F(void, conf_set_dr_msg_cb, (void *, void (*)(void *, const struct message *, void *)))        \
  F(void *, new, (int, void *, char *, size_t))                                                  \
  F(void *, topic_new, (void *, const char *, void *))                                           \
  F(int, produce, (void *, int32_t, int, void *, size_t, const void *, size_t, void *))          \
  F(int, poll, (void *, int))                                                                    \
  F(int, flush, (void *, int))                                                                   \
  F(int, outq_len, (void *))                                                                     \
  F(int, query_watermark_offsets, (void *, const char *, int32_t, int64_t *, int64_t *, int))    \
  F(void *, queue_new, (void *))                                                                 \
  F(int, consume_start_queue, (void *, int32_t, int64_t, void *))                                \
  F(ptrdiff_t, consume_batch_queue, (void *, int, struct message **, size_t))                    \
  F(void, message_destroy, (struct message *))

#define DECLARE(type, name, arguments) static type(*rd_##name) arguments;
LIBRDKAFKA(DECLARE)
#undef DECLARE

/* NULL, or what is wrong with the library of this name. */
static const char *load_librdkafka(const char *name) {
  void *library = dlopen(name, RTLD_NOW);
  if (library == NULL) return dlerror();
#define LOAD(type, name, arguments) \
  if ((*(void **)&rd_##name = dlsym(library, "rd_kafka_" #name)) == NULL) return dlerror();
  LIBRDKAFKA(LOAD)
#undef LOAD
  return NULL;
}

typedef void on_delivery_t(void *kafka, const struct message *message, void *opaque);

/* A client with these property=value, or NULL and why. A producer tells `on_delivery` of every record. */
static void *new_client(char **properties, int count, on_delivery_t *on_delivery, char *why, size_t why_size) {
  void *conf = rd_conf_new();
  for (int i = 0; i < count; i++) {
    char *value = strchr(properties[i], '=');
    if (value == NULL) {
      snprintf(why, why_size, "%s is no property=value", properties[i]);
      return NULL;
    }
    *value++ = '\0';
    if (rd_conf_set(conf, properties[i], value, why, why_size) != CONF_OK) return NULL;
  }
  if (on_delivery != NULL) rd_conf_set_dr_msg_cb(conf, on_delivery);
  return rd_new(on_delivery == NULL ? CONSUMER : PRODUCER, conf, why, why_size);
}
