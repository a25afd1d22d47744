// What the files of the blocking façade share: commands, sending and reading (taccola.c), settings
// (taccola_settings.c), groups and transactions (taccola_group.c).
#pragma once

#include "client/group_consumer.h"
#include "client/producer.h"
#include "client/taccola.h"
#include "env/env_foreign.h"
#include "wire/codec.h"

struct received {
    struct taccola_record *records;
    int32_t count, next;
    struct arena arena;
};

struct taccola {
    struct env_posix *posix;
    struct env *env;
    struct env_foreign *thread;
    struct env_event *event;
    struct message error;  // the caller's side

    // The reactor's side.
    struct client *client;
    struct client *reading;  // of consumer and group: a long poll holds up its connection
    struct producer *producer;
    struct consumer *consumer;
    struct client_listener listener;
    struct list backlog;  // of sending: the producer's buffer is full
    enum err send_error;  // the first since the last flush
    struct message send_error_text;
    struct command *waiting;  // for the producer or the consumer
    struct env_timer deadline;

    struct group_consumer_options group_options;
    char *group_text;              // what the options point to
    struct group_consumer *group;  // after taccola_subscribe
    bool is_yielding;              // the group waits until all that was received is dealt with
    bool is_transactional, has_producer_id;
    bool in_transaction;
    bool is_spoilt;  // partitions were taken away while this transaction was open
    bool is_lost;    // the group has forgotten us since the caller last asked for records

    // The caller's side.
    size_t unsynced;
    struct received received;
    struct position *positions;  // of what taccola_next has handed out
    int32_t position_count;
};

// How far the caller is with one partition.
struct position {
    char topic[250];
    int32_t partition;
    int64_t next;   // behind the last record that was handed out
    int64_t first;  // the first one since the transaction began; -1: none
    bool is_new;    // the reactor does not know yet
};

struct command {
    struct env_message message;
    struct taccola *t;
    void (*run)(struct command *command);    // on the reactor; ends with command_end, now or later
    void (*again)(struct command *command);  // something has changed (records, acknowledgements)
    uint64_t timeout_ns;
    enum err result;
    struct message error;
    // Arguments.
    struct slice topic;
    int32_t partition;
    int16_t replication_factor;
    int64_t offset;
    struct client_topic *meta;
    struct client_call call;
    union {
        struct create_topics_request create;
        struct delete_topics_request delete;
    } request;
    struct arena arena;
    const struct slice *topics;  // of a subscription
    int32_t topic_count;
    bool is_receiving;  // the caller waits for records, and has none
};

struct settings {
    struct client_options client;
    struct producer_options producer;
    struct consumer_options consumer;
    struct group_consumer_options group;
};

// taccola.c
// Runs the command on the reactor and waits for it. The sentence of a failure becomes the handle's.
int taccola_run(struct taccola *t, struct command *c);
void taccola_end(struct command *c, enum err result);
// Something may have changed for the command that waits.
void taccola_wake(void *context);
void taccola_start_deadline(struct command *c);

// taccola_settings.c
MUST_CHECK enum err taccola_parse_settings(struct settings *s, const char *text,
                                           struct arena *arena, struct message *error);

// taccola_group.c
// On the caller's side: the record was handed out.
void taccola_note(struct taccola *t, const struct taccola_record *record);
// On the reactor, when the caller asks for more: all that it has is dealt with.
void taccola_dealt_with(struct taccola *t);
void taccola_leave(struct taccola *t);
