// What a command that talks to a cluster stands on: the real world with one reactor on this thread,
// and a client. Blocking: a call runs the loop until its answer is there.
#pragma once

#include "cli/cli.h"
#include "client/client.h"

struct session {
    struct cli *cli;
    struct env *env;
    struct client *client;
    bool interrupted;  // SIGINT or SIGTERM came
};

// 0, or the exit code after the sentence was printed.
MUST_CHECK int session_open(struct session *session, struct cli *cli);
// Topics that are asked for are created where the brokers allow it (auto.create.topics.enable).
MUST_CHECK int session_open_creating(struct session *session, struct cli *cli);
void session_close(struct session *session);

// Runs the call to its end. The response lives until client_call_release.
MUST_CHECK enum err session_call(struct session *session, struct client_call *call);
// The sentence of a failed call on standard error; returns the exit code 1.
int session_failed(const struct session *session, const struct client_call *call, enum err err);

// One pass of the loop; waits for at most `wait_ms`.
void session_pass(struct session *session, uint64_t wait_ms);

// Waits until the topic's partitions are known. ERR_UNKNOWN_TOPIC_OR_PARTITION, or why the cluster
// could not be asked. The topic stays wanted.
MUST_CHECK enum err session_topic(struct session *session, struct slice name,
                                  struct client_topic **topic);
// The node that leads a partition; waits for a leader.
MUST_CHECK enum err session_leader(struct session *session, struct slice topic, int32_t partition,
                                   int32_t *leader);
// Asks the leader for an offset of a partition: ListOffsets with a timestamp, or -1 (end), -2
// (begin).
MUST_CHECK enum err session_offset(struct session *session, struct slice topic, int32_t partition,
                                   int64_t timestamp, int64_t *offset);
