#include "api/transaction_ask.h"

#include "api/producer_ids.h"

static const struct topic_image *transaction_topic(const struct node *node) {
    return image_topic(node->image, SLICE_LITERAL(TRANSACTION_TOPIC));
}

int32_t transaction_partition_count(const struct node *node) {
    const struct topic_image *topic = transaction_topic(node);
    return topic == NULL ? 0 : topic->partition_count;
}

static void send(struct transaction_ask *ask);

static void done(struct transaction_call *call, enum err result) {
    struct transaction_ask *ask = container_of(call, struct transaction_ask, call);
    ask->result = result;
    scatter_finish(&ask->part);
}

static void run(struct scatter_part *part) {
    struct transaction_ask *ask = container_of(part, struct transaction_ask, part);
    ask->call.arena = part->arena;
    ask->call.done = done;
    if (part->node->transactions == NULL) {
        done(&ask->call, ERR_NOT_COORDINATOR);
    } else {
        transaction_call_start(part->node->transactions, &ask->call);
    }
}

// What was made in the other reactor's arena is copied before that goes.
static void bring_home(struct transaction_ask *ask) {
    struct transaction_call *call = &ask->call;
    struct arena *arena = ask->api->arena;
    if (ask->part.node == ask->api->node || ask->result != ERR_NONE) return;
    if (call->kind == TRANSACTION_VERIFY) {
        size_t size = (size_t)call->add.partition_count * sizeof *call->partition_errors;
        call->partition_errors = memcpy(arena_alloc(arena, size), call->partition_errors, size);
    } else if (call->kind == TRANSACTION_LIST) {
        size_t size = (size_t)call->list_count * sizeof *call->list;
        call->list = memcpy(arena_alloc(arena, size), call->list, size);
        for (int32_t i = 0; i < call->list_count; i++)
            call->list[i].transactional_id = arena_copy(arena, call->list[i].transactional_id);
    } else if (call->kind == TRANSACTION_DESCRIBE && call->described.partition_count > 0) {
        size_t size =
            (size_t)call->described.partition_count * sizeof(struct transaction_partition);
        struct transaction_partition *list =
            memcpy(arena_alloc(arena, size), call->described.partitions, size);
        for (int32_t i = 0; i < call->described.partition_count; i++)
            list[i].topic = arena_copy(arena, list[i].topic);
        call->described.partitions = list;
    }
}

static void got_id(void *context, enum err result, int64_t producer_id) {
    struct transaction_ask *ask = context;
    if (result != ERR_NONE) {
        ask->answered(ask, result);
        return;
    }
    ask->call.fresh_producer_id = producer_id;
    send(ask);
}

static void gathered(struct scatter *scatter) {
    struct transaction_ask *ask = container_of(scatter, struct transaction_ask, scatter);
    bring_home(ask);
    scatter_part_deinit(&ask->part);
    if (ask->result == ERR_NONE && ask->call.needs_producer_id) {
        producer_ids_take(ask->api, got_id, ask);
        return;
    }
    ask->answered(ask, ask->result);
}

static void send(struct transaction_ask *ask) {
    struct node *node = ask->api->node;
    const struct topic_image *topic = transaction_topic(node);
    if (topic == NULL || ask->call.partition >= topic->partition_count) {
        ask->answered(ask, ERR_NOT_COORDINATOR);
        return;
    }
    scatter_part_init(&ask->part);
    scatter_init(&ask->scatter, node, gathered);
    scatter_start(&ask->scatter, &ask->part, node_owner_of(node, topic->id, ask->call.partition),
                  ask->api->arena, run);
    scatter_seal(&ask->scatter);
}

void transaction_ask_partition(struct transaction_ask *ask, struct api_call *call,
                               int32_t partition,
                               void (*answered)(struct transaction_ask *ask, enum err result)) {
    ask->api = call;
    ask->answered = answered;
    ask->call.partition = partition;
    ask->call.fresh_producer_id = -1;
    send(ask);
}

void transaction_ask_start(struct transaction_ask *ask, struct api_call *call,
                           struct slice transactional_id,
                           void (*answered)(struct transaction_ask *ask, enum err result)) {
    int32_t count = transaction_partition_count(call->node);
    ask->call.transactional_id = transactional_id;
    transaction_ask_partition(
        ask, call, count == 0 ? 0 : transaction_partition_of(transactional_id, count), answered);
}
