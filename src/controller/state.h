// The controller's state machine, seen from inside: what a rule reads and how it decides. For the
// files of this folder only.
//
// A rule is the function of one API. It reads the image (what is not yet committed included) and
// fills the response; the changes that it decides on are records, added to the decision. It changes
// nothing itself.
#pragma once

#include "controller/controller.h"
#include "metadata/features.h"

// Kafka's bound of the records of one user operation.
#define RECORDS_PER_OPERATION_MAX 10000

struct session {
    int32_t broker_id;
    int64_t broker_epoch;
    uint64_t contact_ns;
};

struct mark {
    int64_t offset;
    struct image *image;
};

struct controller_state {
    struct env *env;
    const struct config *config;  // static
    struct slice cluster_id;
    int32_t node_id;
    int16_t kraft_version;
    struct image *image;  // owned
    // Images to go back to, oldest first.
    struct mark *marks;
    int32_t mark_count;
    int32_t mark_capacity;
    // Brokers that were heard of. Not in the log: a new controller gives everybody a new session.
    struct session *sessions;
    int32_t session_count;
    int32_t session_capacity;
};

void controller_state_init(struct controller_state *state, struct env *env,
                           const struct config *config, struct slice cluster_id);
void controller_state_deinit(struct controller_state *state);
// Empty again.
void controller_state_reset(struct controller_state *state);
// The functions of struct runtime_machine but `failed`.
enum err controller_state_replay(void *state, const struct runtime_record *record, int64_t offset,
                                 int32_t epoch);
void controller_state_mark(void *state, int64_t offset);
void controller_state_committed(void *state, int64_t offset);
void controller_state_rollback(void *state, int64_t offset);
// The image after the record at `offset`, which is committed or the last one. Borrowed.
struct image *controller_state_image_at(const struct controller_state *state, int64_t offset);

// ---- Deciding ----

struct decision {
    struct controller_state *state;
    const struct image *image;
    int16_t metadata_version;  // 0: not finalised yet
    int16_t api_version;
    bool elr;                       // eligible leader replicas are on (KIP-966)
    struct arena *arena;            // of the response
    struct runtime_result *result;  // with an arena that lives until the records are written
    bool bounded;                   // more than RECORDS_PER_OPERATION_MAX records are refused
    struct message *error;          // the sentence when the rule returns an error
    struct directory_load *load;    // of this node's log directories; assignment.c's own
};

// Prepares a decision of an operation.
void decision_init(struct decision *decision, struct controller_state *state,
                   struct runtime_result *result, struct arena *arena, struct message *error);

// A record to fill, in the operation's arena. Nothing is decided before decision_add.
struct metadata_record decision_record(const struct decision *decision,
                                       enum metadata_record_type type, int16_t version);
// Frames the record and adds it. Its message must not change any more.
void decision_add(struct decision *decision, const struct metadata_record *record);
// ERR_STALE_BROKER_EPOCH with Kafka's sentence when the broker is not registered with this epoch.
enum err decision_check_broker_epoch(const struct decision *decision, int32_t broker_id,
                                     int64_t broker_epoch);
// ERR_NONE, or the refusal of an operation that grew too large.
enum err decision_check_size(const struct decision *decision);

// Forgets the records from `count` on: an item of a batch failed after it had added some.
void decision_truncate(struct decision *decision, int32_t count);

// An item's error as it goes into a response: the wire code and Kafka's text for a code that comes
// without a sentence of its own.
int16_t decision_error(const struct decision *decision, enum err err, const struct message *text,
                       struct slice *error_message);

// ---- Rules, by API. `request` and `response` are the API's structs. ----

typedef enum err controller_rule(struct decision *decision, const void *request, void *response);

controller_rule rule_create_topics;
controller_rule rule_delete_topics;
controller_rule rule_create_partitions;
controller_rule rule_incremental_alter_configs;
controller_rule rule_alter_configs;
controller_rule rule_update_features;
controller_rule rule_elect_leaders;
controller_rule rule_alter_partition_reassignments;
controller_rule rule_list_partition_reassignments;
controller_rule rule_alter_client_quotas;
controller_rule rule_unregister_broker;
controller_rule rule_unregister_controller;
controller_rule rule_allocate_producer_ids;
controller_rule rule_broker_registration;
controller_rule rule_broker_heartbeat;
controller_rule rule_alter_partition;
controller_rule rule_assign_replicas_to_dirs;
controller_rule rule_controller_registration;

// What this node writes when it becomes the leader: the bootstrap records when the log is empty,
// the end of a transaction that its predecessor left open. `values` are framed records.
enum err rule_activate(struct decision *decision, const struct slice *bootstrap, int32_t count);

// Fences brokers (other than this node) that were silent for too long; returns when to look again,
// 0: not at all.
uint64_t rule_fence_silent_brokers(struct decision *decision);
void sessions_begin(struct controller_state *state);
void session_touch(struct controller_state *state, int32_t broker_id, int64_t broker_epoch);
bool session_is_valid(const struct controller_state *state, int32_t broker_id,
                      int64_t broker_epoch);
