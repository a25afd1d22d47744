// DescribeCluster (KIP-700, 919, 1073): on a broker listener the brokers, on a controller listener
// the controllers.
#include "api/cluster_view.h"
#include "api/scatter.h"
#include "raft/raft.h"

enum endpoint_type { ENDPOINT_BROKER = 1, ENDPOINT_CONTROLLER = 2 };

static const char *endpoint_type_name(int8_t type) {
    return type == ENDPOINT_CONTROLLER ? "CONTROLLER" : "BROKER";
}

// False: answered.
static bool check_endpoint_type(struct api_call *call, int8_t expected) {
    const struct describe_cluster_request *request = call->request;
    int8_t wanted = request->endpoint_type;
    if (wanted == expected) return true;
    struct message text;
    enum err e;
    if (wanted != ENDPOINT_BROKER && wanted != ENDPOINT_CONTROLLER) {
        e = ERR_UNSUPPORTED_ENDPOINT_TYPE;
        message_set(&text, "Unsupported endpoint type %d", wanted);
    } else {
        e = ERR_MISMATCHED_ENDPOINT_TYPE;
        message_set(
            &text,
            "The request was sent to an endpoint of type %s, but we wanted an endpoint of type %s",
            endpoint_type_name(expected), endpoint_type_name(wanted));
    }
    api_reply_error(call, call->version == 0 ? ERR_INVALID_REQUEST : e, &text);
    return false;
}

static void fill_brokers(const struct api_call *call, struct describe_cluster_response *response) {
    const struct describe_cluster_request *request = call->request;
    const struct image *image = call->node->image;
    const struct broker_image *b;
    int32_t count = 0;
    for (b = image_broker_after(image, -1); b != NULL; b = image_broker_after(image, b->id)) {
        count++;
    }
    response->brokers = describe_cluster_response_broker_new(call->arena, count);
    for (b = image_broker_after(image, -1); b != NULL; b = image_broker_after(image, b->id)) {
        const struct endpoint_image *endpoint = view_endpoint(call, b->id);
        if (endpoint == NULL || (b->fenced && !request->include_fenced_brokers)) continue;
        struct describe_cluster_response_broker *out =
            &response->brokers[response->brokers_count++];
        out->broker_id = b->id;
        out->host = endpoint->host;
        out->port = endpoint->port;
        out->rack = b->rack;
        out->is_fenced = b->fenced;
    }
    response->controller_id = view_controller_id(call);
}

static void fill_controllers(const struct api_call *call,
                             struct describe_cluster_response *response, int32_t leader) {
    const struct image *image = call->node->image;
    const struct controller_image *c;
    int32_t count = 0;
    for (c = image_controller_after(image, -1); c != NULL;
         c = image_controller_after(image, c->id)) {
        count++;
    }
    response->brokers = describe_cluster_response_broker_new(call->arena, count);
    for (c = image_controller_after(image, -1); c != NULL;
         c = image_controller_after(image, c->id)) {
        for (int32_t i = 0; i < c->endpoint_count; i++) {
            if (!slice_equal(c->endpoints[i].name, call->net->listener->name)) continue;
            struct describe_cluster_response_broker *out =
                &response->brokers[response->brokers_count++];
            out->broker_id = c->id;
            out->host = c->endpoints[i].host;
            out->port = c->endpoints[i].port;
            if (c->id == leader) response->controller_id = leader;
            break;
        }
    }
}

static void describe_cluster_answer(struct api_call *call, int32_t leader) {
    const struct describe_cluster_request *request = call->request;
    struct describe_cluster_response *response = call->response;
    bool is_controller = call->net->listener->is_controller;
    response->cluster_id = call->node->identity->cluster_id;
    response->endpoint_type = is_controller ? ENDPOINT_CONTROLLER : ENDPOINT_BROKER;
    if (request->include_cluster_authorized_operations) {
        response->cluster_authorized_operations = OPERATIONS_OF_CLUSTER;
    }
    if (is_controller) {
        fill_controllers(call, response, leader);
    } else {
        fill_brokers(call, response);
    }
    api_reply(call);
}

// The leader of the metadata quorum is known on reactor 0.
struct leader_question {
    struct scatter scatter;
    struct scatter_part part;
    struct api_call *call;
    int32_t leader;
};

static void ask_leader(struct scatter_part *part) {
    struct leader_question *q = container_of(part, struct leader_question, part);
    struct raft_description description = {.leader_id = -1};
    if (part->node->raft != NULL) raft_describe(part->node->raft, part->arena, &description);
    q->leader = description.leader_id;
    scatter_finish(part);
}

static void leader_known(struct scatter *scatter) {
    struct leader_question *q = container_of(scatter, struct leader_question, scatter);
    scatter_part_deinit(&q->part);
    describe_cluster_answer(q->call, q->leader);
}

void api_describe_cluster(struct api_call *call) {
    bool is_controller = call->net->listener->is_controller;
    if (!check_endpoint_type(call, is_controller ? ENDPOINT_CONTROLLER : ENDPOINT_BROKER)) return;
    if (!is_controller) {
        describe_cluster_answer(call, -1);
        return;
    }
    struct leader_question *q = arena_zalloc(call->arena, 1, sizeof *q);
    q->call = call;
    scatter_init(&q->scatter, call->node, leader_known);
    scatter_part_init(&q->part);
    scatter_start(&q->scatter, &q->part, call->node->reactors[0], call->arena, ask_leader);
    scatter_seal(&q->scatter);
}
