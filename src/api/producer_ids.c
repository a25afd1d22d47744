#include "api/producer_ids.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/memory.h"

struct producer_ids {
    int64_t next;
    int64_t end;          // behind the last id of the block
    bool is_asking;       // the controller was asked for a block
    struct list waiting;  // of waiter
};

struct waiter {
    struct list link;
    struct api_call *call;
    void (*then)(void *context, enum err result, int64_t producer_id);
    void *context;
};

struct producer_ids *producer_ids_new(void) {
    struct producer_ids *ids = memory_zalloc(1, sizeof *ids);
    list_init(&ids->waiting);
    return ids;
}

void producer_ids_free(struct producer_ids *ids) {
    if (ids == NULL) return;
    assert(list_is_empty(&ids->waiting));
    memory_free(ids);
}

static void ask_controller(struct api_call *call);

// Serves those who wait; what is left of them when the block is used up begins the next round.
static void serve(struct producer_ids *ids) {
    while (!list_is_empty(&ids->waiting)) {
        struct waiter *waiter = container_of(ids->waiting.next, struct waiter, link);
        if (ids->next == ids->end) {
            if (!ids->is_asking) ask_controller(waiter->call);
            return;
        }
        list_remove(&waiter->link);
        waiter->then(waiter->context, ERR_NONE, ids->next++);
    }
}

static void fail_all(struct producer_ids *ids, enum err error) {
    struct list failed;
    list_append(&ids->waiting, &failed);
    list_remove(&ids->waiting);
    struct list *link;
    while ((link = list_pop(&failed)) != NULL) {
        struct waiter *waiter = container_of(link, struct waiter, link);
        waiter->then(waiter->context, error, -1);
    }
}

// The asking call is a waiter like the others; it only lends its memory.
static void block_came(struct api_call *call, enum err result, void *opaque) {
    struct producer_ids *ids = call->node->producer_ids;
    const struct allocate_producer_ids_response *response = opaque;
    ids->is_asking = false;
    if (result == ERR_NONE && response->error_code != 0) result = err_of_wire(response->error_code);
    if (result == ERR_NONE && response->producer_id_len > 0) {
        ids->next = response->producer_id_start;
        ids->end = response->producer_id_start + response->producer_id_len;
        serve(ids);
    } else {
        // Kafka's answer while it has no block: try again.
        fail_all(ids, ERR_COORDINATOR_LOAD_IN_PROGRESS);
    }
}

static void ask_controller(struct api_call *call) {
    struct allocate_producer_ids_request *request =
        arena_alloc(call->arena, codec_size(&allocate_producer_ids_request_codec));
    codec_init(&allocate_producer_ids_request_codec, request);
    request->broker_id = call->node->identity->node_id;
    request->broker_epoch = call->node->broker_epoch;
    call->node->producer_ids->is_asking = true;
    api_ask_controller(call, API_ALLOCATE_PRODUCER_IDS, 0, request, block_came);
}

void producer_ids_take(struct api_call *call,
                       void (*then)(void *context, enum err result, int64_t producer_id),
                       void *context) {
    struct producer_ids *ids = call->node->producer_ids;
    struct waiter *waiter = arena_zalloc(call->arena, 1, sizeof *waiter);
    waiter->call = call;
    waiter->then = then;
    waiter->context = context;
    list_append(&ids->waiting, &waiter->link);
    serve(ids);
}
