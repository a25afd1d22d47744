// What the files of the client's core share: calls (call.c), nodes and metadata (client.c).
#pragma once

#include "client/client.h"

struct client_node {
    struct list link;
    int32_t id;
    char host[256];
    uint16_t port;
    struct peer *peer;
    bool listed;  // in the newest metadata
};

struct client {
    struct env *env;
    struct client_options options;
    char *bootstrap_text;
    char *client_id_text;
    struct list bootstrap;  // of client_node, id -1
    struct client_node *bootstrap_next;
    struct list nodes;      // of client_node
    struct env_task sweep;  // frees those that are listed no more
    struct list calls;      // of client_call, under way
    struct map topics;
    struct list listeners;
    struct env_task notify;
    struct client_call metadata;  // the refresh
    struct metadata_request metadata_request;
    struct arena metadata_arena;
    struct env_timer refresh;
    uint64_t refreshed_ns;
    bool refresh_wanted;
    struct message error;
};

// A connection for a call; NULL: the node is not known (yet).
struct peer *client_choose_peer(struct client *client, const struct client_call *call);
