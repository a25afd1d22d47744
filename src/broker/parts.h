// Private to broker/: the parts of a node and who holds them.
#pragma once

#include "api/node.h"
#include "broker/broker.h"
#include "controller/controller.h"
#include "raft/raft.h"
#include "replica/replica_manager.h"

enum broker_state {
    BROKER_NEW,
    BROKER_LOADING,      // the metadata log is replayed, the controller becomes active
    BROKER_REGISTERING,  // the registration is on its way
    BROKER_UNFENCING,
    BROKER_RUNNING,
    BROKER_STOPPING,  // controlled shutdown, then part after part
    BROKER_STOPPED,
};

// What one reactor has of the node.
struct broker_reactor {
    struct broker *broker;
    struct node node;
    struct config *config;  // static and dynamic configuration; node.config
    struct replica_host replica_host;
    struct replica_apply apply;
    struct replica_stop stop;
    // One message at a time travels between this reactor and reactor 0, for each purpose.
    struct env_message message;
    struct env_message open;      // net_open, once
    struct env_message stopping;  // one step of a stop at a time
    int64_t next_epoch;
    int16_t next_kraft_version;  // of the broker, comes with the image
    struct config *next_config;  // comes with the image that is being applied; NULL: unchanged
};

struct broker {
    struct broker_options options;
    struct env *env;
    struct logger *logger;
    struct arena arena;  // what lives as long as the node
    struct node_identity identity;
    enum broker_state state;
    uint64_t start_ns;

    struct broker_reactor *reactors;
    struct node **nodes;
    struct net **nets;
    int32_t reactor_count;

    struct log_directory **directories;  // of log.dirs, in order
    int32_t directory_count;
    struct log_directory *metadata_directory;  // one of them, or one of its own
    bool metadata_directory_is_own;
    int64_t previous_epoch;  // of a clean stop; -1
    struct offset_checkpoints *checkpoints;

    struct net_listener *listeners;
    struct net_acceptor **acceptors;
    int32_t listener_count;
    struct net_quota *quota;

    struct raft *raft;  // owned by the controller once there is one
    struct controller *controller;
    struct controller_host host;

    // publish.c: images on their way to the reactors.
    struct image *published;
    struct image *applying;
    struct image *next;
    int32_t outstanding;
    bool strays_set_aside;

    struct assignments *assignments;  // assignments.c

    // lifecycle.c
    int64_t epoch;  // of the registration; -1
    struct controller_call call;
    struct arena call_arena;
    int32_t shutdown_tries;
    int32_t parts_left;  // reactors that have not finished this step of the stop
    void (*stop_next)(struct broker *broker);
    bool stop_wanted;
    struct env_timer stop_timer;
    enum err result;
    struct env_task stopped;
};

// directories.c
MUST_CHECK enum err broker_open_directories(struct broker *broker, struct message *error);
void broker_close_directories(struct broker *broker);

// listeners.c
MUST_CHECK enum err broker_bind(struct broker *broker, struct message *error);
void broker_close_listeners(struct broker *broker);

// publish.c
void broker_publish(struct controller_host *host, struct image *image);
void broker_replica_host_init(struct broker_reactor *reactor);
void broker_forget_images(struct broker *broker);

// lifecycle.c
void broker_active(struct controller_host *host, int32_t epoch);
void broker_metadata_failed(struct controller_host *host, enum err error, struct slice sentence);
// The node cannot go on: says why, and stops without the niceties of a clean stop.
void broker_fail(struct broker *broker, enum err error, const char *sentence);
void broker_lifecycle_init(struct broker *broker);

// assignments.c: where replicas lie that the metadata gave no log directory.
struct assignments *broker_assignments_new(struct broker *broker);
void broker_assignments_free(struct assignments *assignments);
// Tells the controller what is not told yet, once the broker runs.
void broker_assignments_send(struct broker *broker);
void broker_directory_chosen(struct replica_host *host, struct uuid topic_id, int32_t partition,
                             struct uuid directory_id);
