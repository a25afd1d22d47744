// What the files of the group consumer share: the member's states (group_consumer.c), the bytes of
// the protocol (group_protocol.c), offsets (group_offsets.c).
#pragma once

#include "client/coordinator.h"
#include "client/group_consumer.h"

enum group_state {
    GROUP_JOINING,    // JoinGroup is under way, or will be after a backoff
    GROUP_ASSIGNING,  // leader: waits for metadata of the members' topics
    GROUP_SYNCING,    // SyncGroup is under way
    GROUP_STABLE,
    GROUP_LEAVING,
    GROUP_FAILED,  // for good
};

// One partition that this member has.
struct owned_partition {
    struct topic_partition id;
    bool is_reading;     // its offset is known and it is assigned to the reader
    int64_t dealt_with;  // the position that a commit may say; -1 unknown
    int64_t committed;   // the last one that was committed; -1 unknown
};

struct group_consumer {
    struct env *env;
    struct client *client;        // of records
    struct client *group_client;  // of the coordinator
    struct coordinator coordinator;
    struct consumer *reader;
    struct group_consumer_options options;
    struct arena arena;  // of the options
    struct slice *topics;
    enum assignor *assignors;

    enum group_state state;
    struct slice member_id;  // in `member_memory`
    char member_memory[256];
    int32_t generation;
    enum assignor assignor;  // chosen by the group
    bool rejoin;             // when what is under way has ended
    struct slice pending_assignment;
    struct message failure;
    enum err failed_with;
    bool failure_told;

    // Topic by topic, in order of name and number; names are in `owned_arena`.
    struct owned_partition *owned;
    int32_t owned_count;
    struct arena owned_arena;
    // What it had before it joined: the eager sticky assignor tells the leader.
    struct topic_partition *previous;
    int32_t previous_count;

    // One request of each kind at a time; each with its own memory.
    struct coordinator_call join, sync, heartbeat, commit, fetch, leave;
    struct join_group_request join_request;
    struct sync_group_request sync_request;
    struct heartbeat_request heartbeat_request;
    struct offset_commit_request commit_request;
    struct offset_fetch_request fetch_request;
    struct leave_group_request leave_request;
    bool join_busy, sync_busy, heartbeat_busy, commit_busy, fetch_busy, leave_busy;
    struct arena join_arena, sync_arena, commit_arena, fetch_arena, leave_arena;
    struct env_timer join_timer, heartbeat_timer, commit_timer;
    void (*commit_done)(void *context, enum err result);
    void *commit_context;
    void (*after_commit)(struct group_consumer *g);  // a step that waits for the commit

    // Leader: the members of this generation and the topics that they want.
    struct assignor_member *members;
    int32_t member_count;
    struct client_topic **wanted;
    struct assignor_topic *wanted_topics;
    int32_t wanted_count;
    bool is_leader;
    struct client_listener listener;

    void (*ready)(void *context);
    void *ready_context;
    void (*closed)(void *context);
    void *closed_context;
    struct env_task closed_task;
};

// group_consumer.c
void group_fail(struct group_consumer *g, enum err error, const char *what);
void group_lose(struct group_consumer *g);  // the group has forgotten us: join anew
void group_rejoin(struct group_consumer *g);
void group_wake(struct group_consumer *g);

// group_protocol.c
struct slice group_subscription(struct group_consumer *g, enum assignor assignor,
                                struct arena *arena);
MUST_CHECK enum err group_parse_member(enum assignor assignor, struct slice metadata,
                                       struct arena *arena, struct assignor_member *member);
struct slice group_assignment_bytes(const struct assignor_member *member, struct arena *arena);
MUST_CHECK enum err group_parse_assignment(struct slice bytes, struct arena *arena,
                                           struct topic_partition **partitions, int32_t *count);

// group_offsets.c
// Commits what was dealt with and not committed yet. False: there was nothing to do; else `after`
// (may be NULL) follows.
bool group_commit_start(struct group_consumer *g, void (*after)(struct group_consumer *g));
// Asks for the committed offsets of partitions that are not read yet, and reads them from there.
void group_fetch_offsets(struct group_consumer *g);
// Remembers what the reader has handed out as dealt with.
void group_note_positions(struct group_consumer *g);
