// DescribeQuorum (KIP-595, 836, 853): what raft knows of the metadata quorum, asked on reactor 0
// and copied home.
#include "api/call.h"
#include "api/scatter.h"
#include "raft/raft.h"

#define METADATA_TOPIC SLICE_LITERAL("__cluster_metadata")

struct quorum_question {
    struct scatter scatter;
    struct scatter_part part;
    struct api_call *call;
    bool known;
    struct raft_description description;  // in the part's arena
};

// Kafka answers for exactly one topic with exactly one partition.
static bool names_the_metadata_log(const struct describe_quorum_request *request) {
    return request->topics_count == 1 &&
           slice_equal(request->topics[0].topic_name, METADATA_TOPIC) &&
           request->topics[0].partitions_count == 1 &&
           request->topics[0].partitions[0].partition_index == 0;
}

// The partitions of the request, all with one error.
static void answer_partition_error(struct api_call *call, enum err error) {
    const struct describe_quorum_request *request = call->request;
    struct describe_quorum_response *response = call->response;
    response->topics = describe_quorum_response_topic_new(call->arena, request->topics_count);
    response->topics_count = request->topics_count;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct describe_quorum_request_topic *from = &request->topics[t];
        struct describe_quorum_response_topic *to = &response->topics[t];
        to->topic_name = from->topic_name;
        to->partitions_count = from->partitions_count;
        to->partitions =
            describe_quorum_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].error_code = err_wire(error);
            to->partitions[p].error_message = slice_cstring(err_text(error));
        }
    }
    api_reply(call);
}

static void fill_replicas(struct api_call *call, const struct raft_replica *replicas, int32_t count,
                          struct describe_quorum_response_replica_state **out, int32_t *out_count) {
    *out = describe_quorum_response_replica_state_new(call->arena, count);
    *out_count = count;
    for (int32_t i = 0; i < count; i++) {
        (*out)[i].replica_id = replicas[i].id;
        if (call->version >= 2) (*out)[i].replica_directory_id = replicas[i].directory_id;
        (*out)[i].log_end_offset = replicas[i].log_end_offset;
        (*out)[i].last_fetch_timestamp = replicas[i].last_fetch_timestamp_ms;
        (*out)[i].last_caught_up_timestamp = replicas[i].last_caught_up_timestamp_ms;
    }
}

static void fill_nodes(struct api_call *call, const struct raft_voters *voters) {
    struct describe_quorum_response *response = call->response;
    response->nodes = describe_quorum_response_node_new(call->arena, voters->count);
    response->nodes_count = voters->count;
    for (int32_t i = 0; i < voters->count; i++) {
        const struct raft_voter *voter = &voters->voters[i];
        struct describe_quorum_response_node *node = &response->nodes[i];
        node->node_id = voter->id;
        node->listeners = describe_quorum_response_listener_new(call->arena, voter->endpoint_count);
        node->listeners_count = voter->endpoint_count;
        for (int32_t l = 0; l < voter->endpoint_count; l++) {
            node->listeners[l].name = voter->endpoints[l].listener;
            node->listeners[l].host = voter->endpoints[l].host;
            node->listeners[l].port = voter->endpoints[l].port;
        }
    }
}

static void quorum_known(struct scatter *scatter) {
    struct quorum_question *q = container_of(scatter, struct quorum_question, scatter);
    struct api_call *call = q->call;
    struct describe_quorum_response *response = call->response;
    const struct raft_description *d = &q->description;
    if (!q->known || d->leader_id != call->node->identity->node_id) {
        scatter_part_deinit(&q->part);
        answer_partition_error(call, ERR_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    response->topics = describe_quorum_response_topic_new(call->arena, 1);
    response->topics_count = 1;
    response->topics[0].topic_name = METADATA_TOPIC;
    struct describe_quorum_response_partition *p =
        describe_quorum_response_partition_new(call->arena, 1);
    response->topics[0].partitions = p;
    response->topics[0].partitions_count = 1;
    p->leader_id = d->leader_id;
    p->leader_epoch = d->leader_epoch;
    p->high_watermark = d->high_watermark;
    fill_replicas(call, d->voters, d->voter_count, &p->current_voters, &p->current_voters_count);
    fill_replicas(call, d->observers, d->observer_count, &p->observers, &p->observers_count);
    if (call->version >= 2) fill_nodes(call, &d->nodes);
    // Encoding copies: what came from reactor 0 may go afterwards; the call itself lives until the
    // pass ends.
    api_reply(call);
    scatter_part_deinit(&q->part);
}

static void ask_quorum(struct scatter_part *part) {
    struct quorum_question *q = container_of(part, struct quorum_question, part);
    if (part->node->raft != NULL) {
        raft_describe(part->node->raft, part->arena, &q->description);
        q->known = true;
    }
    scatter_finish(part);
}

void api_describe_quorum(struct api_call *call) {
    if (!names_the_metadata_log(call->request)) {
        answer_partition_error(call, ERR_UNKNOWN_TOPIC_OR_PARTITION);
        return;
    }
    struct quorum_question *q = arena_zalloc(call->arena, 1, sizeof *q);
    q->call = call;
    scatter_init(&q->scatter, call->node, quorum_known);
    scatter_part_init(&q->part);
    scatter_start(&q->scatter, &q->part, call->node->reactors[0], call->arena, ask_quorum);
    scatter_seal(&q->scatter);
}
