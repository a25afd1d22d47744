// A session over librdkafka's C API (Debian's 2.0.2 and later): produce with several settings, read by assignment, offsets by time. Prints
// PASS or FAIL lines. Usage: session <bootstrap>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 1000 };

static const char *bootstrap;
static char error_text[512];

static void report(const char *name, int ok, const char *why) {
    if (ok) {
        printf("PASS %s\n", name);
    } else {
        printf("FAIL %s: %s\n", name, why);
    }
    fflush(stdout);
}

static int set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    return rd_kafka_conf_set(conf, key, value, error_text, sizeof error_text) == RD_KAFKA_CONF_OK;
}

struct delivery {
    int acknowledged, failed;
    int64_t first_offset, last_offset;
    char why[256];
};

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    struct delivery *d = opaque;
    if (m->err) {
        d->failed++;
        snprintf(d->why, sizeof d->why, "%s", rd_kafka_err2str(m->err));
        return;
    }
    if (d->acknowledged++ == 0) d->first_offset = m->offset;
    d->last_offset = m->offset;
}

// `settings`: key, value, …, NULL.
static rd_kafka_t *client(rd_kafka_type_t type, struct delivery *d, const char *const *settings) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    if (type == RD_KAFKA_CONSUMER) set(conf, "group.id", "not-used");
    for (; settings != NULL && *settings != NULL; settings += 2) {
        if (!set(conf, settings[0], settings[1])) return NULL;
    }
    if (d != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
        rd_kafka_conf_set_opaque(conf, d);
    }
    return rd_kafka_new(type, conf, error_text, sizeof error_text);
}

static int produce(const char *topic, const char *const *settings, char *why, size_t why_size) {
    struct delivery d = {0};
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, &d, settings);
    if (rk == NULL) {
        snprintf(why, why_size, "%s", error_text);
        return 0;
    }
    for (int i = 0; i < RECORDS; i++) {
        char key[32], value[64];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "value %d", i);
        rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
        rd_kafka_header_add(headers, "n", -1, key, -1);
        rd_kafka_resp_err_t err = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(key, strlen(key)),
            RD_KAFKA_V_VALUE(value, strlen(value)), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (err) d.failed++;
        rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, 20000);
    rd_kafka_destroy(rk);
    snprintf(why, why_size, "%d acknowledged, %d failed: %s", d.acknowledged, d.failed, d.why);
    return d.acknowledged == RECORDS && d.failed == 0;
}

// Reads partition 0 from `offset` and checks that the records of one produce stand there, in order.
static int read_back(const char *topic, int64_t offset, char *why, size_t why_size) {
    // Assigned partitions only: committing offsets would need a group's coordinator.
    static const char *const no_commits[] = {"enable.auto.commit", "false", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, NULL, no_commits);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    int seen = 0, wrong = 0;
    for (int idle = 0; seen < RECORDS && idle < 20;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 1000);
        if (m == NULL) {
            idle++;
            continue;
        }
        if (m->err) {
            snprintf(why, why_size, "%s", rd_kafka_message_errstr(m));
            wrong++;
        } else {
            char want[64];
            rd_kafka_headers_t *headers;
            int size = snprintf(want, sizeof want, "value %d", seen);
            wrong += (int)m->len != size || memcmp(m->payload, want, m->len) != 0;
            wrong += rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR;
            seen++;
        }
        rd_kafka_message_destroy(m);
        if (wrong) break;
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    if (!wrong) snprintf(why, why_size, "%d of %d", seen, RECORDS);
    return seen == RECORDS && !wrong;
}

static void round_trip(const char *name, const char *topic, const char *const *settings) {
    char why[600], check[64];
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, NULL);
    int64_t low = 0, high = 0;
    rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high, 10000);
    rd_kafka_destroy(rk);
    snprintf(check, sizeof check, "%s-produce", name);
    report(check, produce(topic, settings, why, sizeof why), why);
    snprintf(check, sizeof check, "%s-read", name);
    report(check, read_back(topic, high, why, sizeof why), why);
}

static void watermarks_and_times(const char *topic) {
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, NULL);
    int64_t low = -1, high = -1;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high, 10000);
    report("watermarks", !err && low == 0 && high >= RECORDS, rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 1;  // ms
    err = rd_kafka_offsets_for_times(rk, list, 10000);
    report("offsets-for-times", !err && list->elems[0].offset == 0, rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    bootstrap = argv[1];
    char topic[64];
    snprintf(topic, sizeof topic, "rdk-%d", rand() % 1000000);
    static const char *const plain[] = {"acks", "all", NULL};
    static const char *const leader[] = {"acks", "1", "linger.ms", "0", NULL};
    static const char *const idempotent[] = {"enable.idempotence", "true", NULL};
    static const char *const gzip[] = {"compression.type", "gzip", NULL};
    static const char *const snappy[] = {"compression.type", "snappy", NULL};
    static const char *const lz4[] = {"compression.type", "lz4", "enable.idempotence", "true", NULL};
    static const char *const zstd[] = {"compression.type", "zstd", NULL};
    round_trip("defaults", topic, NULL);
    round_trip("acks-all", topic, plain);
    round_trip("acks-1", topic, leader);
    round_trip("idempotent", topic, idempotent);
    round_trip("gzip", topic, gzip);
    round_trip("snappy", topic, snappy);
    round_trip("lz4-idempotent", topic, lz4);
    round_trip("zstd", topic, zstd);
    watermarks_and_times(topic);
    return 0;
}
