/* Preloaded into librdkafka's tests: many ask for three replicas; one broker has one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

typedef void *new_topic_fn(const char *topic, int partitions, int replicas, char *error, size_t size);

void *rd_kafka_NewTopic_new(const char *topic, int partitions, int replicas, char *error, size_t size)
{
    new_topic_fn *real = (new_topic_fn *)dlsym(RTLD_NEXT, "rd_kafka_NewTopic_new");
    return real(topic, partitions, replicas == 2 || replicas == 3 ? 1 : replicas, error, size);
}
