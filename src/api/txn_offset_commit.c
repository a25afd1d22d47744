// TxnOffsetCommit, versions 0 to 6 (KIP-98; with the group's generation from v3 on, KIP-447; by
// topic id from v6 on): offsets of a group that count when the producer's transaction is committed.
#include "api/error_response_groups.h"
#include "api/group_route.h"
#include "api/partition_access.h"
#include "api/transaction_verify.h"
#include "config/config.h"

// The rows of topics and partitions that are not there keep their own error.
static enum err failed(struct api_call *call, enum err error) {
    const struct txn_offset_commit_request *request = call->request;
    struct txn_offset_commit_response *response = call->response;
    // Clients before 2.3 do not know that one.
    if (call->version < 2 && error == ERR_COORDINATOR_LOAD_IN_PROGRESS)
        error = ERR_COORDINATOR_NOT_AVAILABLE;
    fill_txn_offset_commit(call, err_wire(error), SLICE_EMPTY);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct txn_offset_commit_request_topic *t = &request->topics[i];
        for (int32_t j = 0; j < t->partitions_count; j++) {
            const struct topic_image *topic;
            enum err unknown = group_find_topic(call->node->image, t->name, t->topic_id,
                                                t->partitions[j].partition_index, &topic);
            if (unknown != ERR_NONE)
                response->topics[i].partitions[j].error_code = err_wire(unknown);
        }
    }
    return ERR_NONE;
}

// Before the offsets go to the group: whether the transaction is open in the partition that keeps
// them, and if not, the coordinator's word for it.
struct checked_commit {
    struct api_call *call;
    struct scatter scatter;
    struct scatter_part part;
    struct uuid topic_id;
    int32_t partition;
    bool is_open;
    uint32_t guard;
    struct transaction_verify verify;
};

static void go_on(struct checked_commit *c) {
    const struct txn_offset_commit_request *request = c->call->request;
    api_group_call_guarded(c->call, request->group_id, c->guard, failed);
}

static void verified(struct transaction_verify *verify) {
    struct checked_commit *c = container_of(verify, struct checked_commit, verify);
    if (verify->errors[0] == ERR_NONE) {
        go_on(c);
        return;
    }
    (void)failed(c->call, verify->errors[0]);
    api_reply(c->call);
}

// At the partition's owner.
static void look(struct scatter_part *part) {
    struct checked_commit *c = container_of(part, struct checked_commit, part);
    const struct txn_offset_commit_request *request = c->call->request;
    struct partition *partition;
    // What else is wrong the group's coordinator will say.
    if (partition_access(part->node, c->topic_id, c->partition, -1, &partition) == ERR_NONE) {
        c->is_open = log_transaction_is_open(partition->log, request->producer_id,
                                             request->producer_epoch, &c->guard);
    }
    scatter_finish(part);
}

static void looked(struct scatter *scatter) {
    struct checked_commit *c = container_of(scatter, struct checked_commit, scatter);
    scatter_part_deinit(&c->part);
    if (c->is_open) {
        go_on(c);
    } else {
        transaction_verify_start(&c->verify, c->call);
    }
}

static void check(struct api_call *call, const struct topic_image *topic) {
    const struct txn_offset_commit_request *request = call->request;
    struct checked_commit *c = arena_zalloc(call->arena, 1, sizeof *c);
    c->call = call;
    c->topic_id = topic->id;
    c->partition = group_partition_of(request->group_id, topic->partition_count);
    struct transaction_verify *v = &c->verify;
    v->client = call->version >= 5   ? TRANSACTION_CLIENT_TWO
                : call->version == 4 ? TRANSACTION_CLIENT_ABORTABLE
                                     : TRANSACTION_CLIENT_OLD;
    v->transactional_id = request->transactional_id;
    v->producer_id = request->producer_id;
    v->producer_epoch = request->producer_epoch;
    v->partitions = arena_zalloc(call->arena, 1, sizeof *v->partitions);
    v->partitions->topic = SLICE_LITERAL(GROUP_TOPIC);
    v->partitions->partition = c->partition;
    v->count = 1;
    v->done = verified;
    scatter_part_init(&c->part);
    scatter_init(&c->scatter, call->node, looked);
    scatter_start(&c->scatter, &c->part, node_owner_of(call->node, c->topic_id, c->partition),
                  call->arena, look);
    scatter_seal(&c->scatter);
}

void api_txn_offset_commit(struct api_call *call) {
    const struct txn_offset_commit_request *request = call->request;
    if (request->group_id.size == 0) {
        if (failed(call, ERR_INVALID_GROUP_ID) == ERR_NONE) api_reply(call);
        return;
    }
    const struct topic_image *topic = image_topic(call->node->image, SLICE_LITERAL(GROUP_TOPIC));
    bool verifies =
        call->version >= 5 ||
        config_bool(call->node->config, BROKER_TRANSACTION_PARTITION_VERIFICATION_ENABLE);
    if (topic != NULL && verifies) {
        check(call, topic);
    } else {
        api_group_call(call, request->group_id, failed);
    }
}
