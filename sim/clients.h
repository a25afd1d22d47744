// The simulated clients. They run inside simulated nodes on net/ and client/, as programs would,
// and tell the ledger what they were told. Private to the scenarios.
#pragma once

#include "env/env.h"
#include "sim/cluster.h"
#include "sim/copy_ledger.h"
#include "sim/run.h"

// The partitions that groups divide among their members, numbered so that a set of them is one
// integer: those of CLIENT_TOPIC first, then four for each topic that a shifter made.
enum { PLACES_MAX = 63, PLACES_PER_TOPIC = 4, PLACE_TOPICS_MAX = 16 };

struct place_topic {
    struct uuid id;
    int32_t first;
};

// What clients share; it lives outside of the nodes.
struct clients {
    struct sim *sim;
    struct ledger *ledger;
    bool is_durable;
    int32_t partition_count;
    uint32_t retention_ms;  // of CLIENT_TOPIC; 0: for ever
    int32_t reader_count;
    int32_t producer_count;  // numbers given so far
    bool is_closing;         // nothing new is sent; what is under way ends
    int32_t busy;            // producers that are not at rest
    bool at_rest;
    bool topic_exists;       // the topic of the records
    int32_t topics_created;  // by admins: "extra-<n>"
    int32_t configs_altered;
    bool last_read_done;
    bool group_is_settled;
    bool consumers_are_settled;
    struct place_topic places[PLACE_TOPICS_MAX];  // known by their ids; [0] is CLIENT_TOPIC
    int32_t place_topic_count;
    struct copy_ledger *copies;
    FILE *history;           // of the copies, as tools/check_history.py reads it; NULL: nobody asks
    int32_t shifting_topic;  // the number of the one that is there just now, or was; -1: none
    int32_t copier_count;    // transactional ids that copy
    uint64_t records_places;  // of CLIENT_TOPIC
    uint64_t places_there;    // at the end: of all topics; 0: not known yet
};

#define CLIENT_TOPIC   "records"
#define COPY_TOPIC     "copies"
#define SHIFTING_TOPIC "shifting-%d"  // made, grown and deleted, one after the other

// The place of a partition; a topic that is not known yet gets its places. -1: no place is left.
int32_t place_of(struct clients *clients, struct uuid topic_id, int32_t partition);
// The partitions of clients->places[topic] in a set of places; returns how many.
int32_t places_in_topic(const struct clients *clients, int32_t topic, uint64_t places,
                        int32_t *partitions);

static inline void clients_rest(struct clients *clients) {
    if (--clients->busy == 0) clients->at_rest = true;
}

// A record's value: its id and a filler that follows from it, so that a reader knows a damaged one.
#define PAYLOAD_MAX 3000
size_t payload_fill(uint64_t id, uint8_t value[PAYLOAD_MAX]);
bool payload_read(struct slice value, uint64_t *id);

// Each of these is called as the node that the client lives on (sim_node_call) and allocates there.

enum writer_kind {
    WRITER_IDEMPOTENT,  // acks=all; sends what was acknowledged a second time now and then
    WRITER_PLAIN,       // acks=1, never again
    WRITER_SPOILER,     // a flipped bit under the CRC
};
void writer_start(struct env *env, struct clients *clients, enum writer_kind kind);
// Idempotent producer of the client library over all partitions.
void stream_start(struct env *env, struct clients *clients);
// Consumer of the client library over all partitions, from the beginning, for ever.
void reader_start(struct env *env, struct clients *clients);
// Reads everything once from the beginning; then last_read_done.
void last_reader_start(struct env *env, struct clients *clients);
// Creates the topic of the records (or of the copies); then topic_exists.
void topic_create_start(struct env *env, struct clients *clients);
void copy_topic_create_start(struct env *env, struct clients *clients);
// One copier for each of copier_count transactional ids. Twins have the same ids, and stop when the
// others close.
void copiers_start(struct env *env, struct clients *clients, bool are_twins);
// Any transactional request in any order, until closing.
void wild_start(struct env *env, struct clients *clients);
// Reads the copies with read_committed; the last one until all is read, then last_read_done.
void copy_reader_start(struct env *env, struct clients *clients, bool is_last);
// Sets transaction.version to 1, then topic_exists; or goes on changing it until closing.
void transaction_version_start(struct env *env, struct clients *clients, bool once);
// Creates one topic after the other and changes a configuration until closing.
void admin_start(struct env *env, struct clients *clients);
// Creates topics, adds partitions, deletes them, one after the other; at the end sets places_there.
void shifter_start(struct env *env, struct clients *clients);
// Deletes the oldest records of CLIENT_TOPIC until closing.
void trimmer_start(struct env *env, struct clients *clients);
struct group_ledger;
// A group of members of the classic protocol; at rest when it has settled after the closing.
void members_start(struct env *env, struct clients *clients, struct group_ledger *groups,
                   int32_t count);
// The same of the consumer protocol (KIP-848), with the session timeout that the broker is
// configured with.
#define CONSUMER_SESSION_MS 1500
void consumer_members_start(struct env *env, struct clients *clients, struct group_ledger *groups,
                            int32_t count);
// Fetches all committed offsets once; then last_read_done.
void last_offsets_start(struct env *env, struct clients *clients, struct group_ledger *groups);
// Checks that every topic and the last value that were acknowledged are there; then last_read_done.
void last_topics_start(struct env *env, struct clients *clients);
