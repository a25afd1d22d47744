// Taccola's client library for C programs: a Kafka client with blocking calls. Works with any Kafka
// cluster, Taccola's or Apache's.
//
//     struct taccola *t = taccola_open("127.0.0.1:9092", NULL);
//     taccola_send(t, &(struct taccola_record){.topic = "payments", .value = "hello", .value_size =
//     5}); taccola_flush(t, 10000); taccola_close(t);
//
// A handle may be used by one thread at a time. Behind it one thread does the talking, so records
// leave and arrive while the caller is busy. Functions return 0 or a Kafka error code (below 1000)
// or one of the library's own (from 1000 on); taccola_error_text explains the last failure in a
// sentence. Needs no other header; link with libtaccola's archives as docs/client.md shows.
#ifndef TACCOLA_H
#define TACCOLA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct taccola;

struct taccola_header {
    const char *name;
    const void *value;  // NULL: none
    size_t value_size;
};

struct taccola_record {
    const char *topic;
    int32_t partition;  // of a received record
    int64_t offset;     // of a received record
    int64_t timestamp;  // ms since 1970; to send: 0 is now
    const void *key;    // NULL: none
    size_t key_size;
    const void *value;  // NULL: none (a tombstone)
    size_t value_size;
    const struct taccola_header *headers;
    size_t header_count;
};

// Settings, as "key=value" lines with Kafka's names: client.id, acks, enable.idempotence,
// compression.type, linger.ms, batch.size, delivery.timeout.ms, request.timeout.ms,
// isolation.level, auto.offset.reset, max.partition.fetch.bytes; group.id, group.protocol,
// group.instance.id, enable.auto.commit, session.timeout.ms, heartbeat.interval.ms;
// transactional.id, transaction.timeout.ms. NULL: Kafka's defaults (acks=all,
// idempotent), with isolation.level=read_committed and auto.offset.reset=earliest.
// Returns NULL when the address or a setting makes no sense; `error` (may be NULL, 512 bytes) gets
// the sentence.
struct taccola *taccola_open_with(const char *bootstrap_servers, const char *settings, char *error);
struct taccola *taccola_open(const char *bootstrap_servers, char *error);
// What was not flushed is lost. NULL is allowed.
void taccola_close(struct taccola *taccola);
// The sentence of the last call that failed; valid until the next call.
const char *taccola_error_text(const struct taccola *taccola);

// ---- Writing ----

// Takes a copy and returns; waits only while the buffer is full. The key decides on the partition,
// as with Kafka's own client; a record without a key goes to any.
int taccola_send(struct taccola *taccola, const struct taccola_record *record);
int taccola_send_to(struct taccola *taccola, int32_t partition,
                    const struct taccola_record *record);
// Waits until everything sent was acknowledged, for at most `timeout_ms`. Returns the first error
// of any record since the last flush.
int taccola_flush(struct taccola *taccola, int64_t timeout_ms);

// ---- Reading, by assignment ----

#define TACCOLA_LATEST   (-1)
#define TACCOLA_EARLIEST (-2)
// Reads this partition from `offset` on; with partition -1 all that the topic has now.
int taccola_assign(struct taccola *taccola, const char *topic, int32_t partition, int64_t offset);
// The next record; its memory is valid until the next call of this function. 0: *record is filled;
// TACCOLA_NOTHING: none came within `timeout_ms`; else an error.
#define TACCOLA_NOTHING (-100)
int taccola_next(struct taccola *taccola, struct taccola_record *record, int64_t timeout_ms);

// ---- Reading, as a member of a group (setting group.id) ----

// Shares these topics with the other members. taccola_next reads them, from the group's committed
// offsets on. Asking for the next record says that those before were dealt with: partitions are
// given up to another member only inside taccola_next, when all that was received is dealt with,
// and (unless enable.auto.commit=false or there is a transactional.id) are committed then and every
// five seconds.
int taccola_subscribe(struct taccola *taccola, const char *const *topics, size_t count);
// Commits the offsets of all that taccola_next has returned, and waits for it.
int taccola_commit_offsets(struct taccola *taccola);

// ---- Transactions (setting transactional.id) ----
//
// What is sent between taccola_begin and taccola_commit is seen by all (read_committed) readers, or
// by none. With a group, the offsets of what taccola_next returned meanwhile are committed in the
// same step: a program that reads, sends and commits does every record exactly once, whatever dies.

// The first time also gets the producer's id: an older process with this transactional.id is
// fenced.
int taccola_begin(struct taccola *taccola);
// An error: call taccola_abort, and go on; when that fails too, this handle is done with (another
// process has the transactional.id), and only taccola_close is left.
int taccola_commit(struct taccola *taccola);
// What was sent is forgotten, and what taccola_next returned since taccola_begin comes again.
int taccola_abort(struct taccola *taccola);

// ---- Administration ----

// replication_factor -1, partitions -1: the cluster's defaults.
int taccola_create_topic(struct taccola *taccola, const char *topic, int32_t partitions,
                         int16_t replication_factor);
int taccola_delete_topic(struct taccola *taccola, const char *topic);

#ifdef __cplusplus
}
#endif
#endif
