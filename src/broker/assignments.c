// KIP-858: a node with several log directories tells the controller in which one it has put a
// replica that the metadata had not assigned to any. The choices of all reactors are collected on
// reactor 0 and go to the controller in one AssignReplicasToDirs at a time; one that is refused is
// told again at the next start, because it is chosen again then.
#include "base/memory.h"
#include "broker/parts.h"

struct choice {
    struct list link;
    struct env_message message;
    struct broker *broker;
    struct uuid topic_id;
    int32_t partition;
    struct uuid directory_id;
};

struct assignments {
    struct list waiting;  // of choice
    bool is_asking;
    struct broker *broker;
    struct controller_call call;
    struct arena arena;  // of the call under way
};

struct assignments *broker_assignments_new(struct broker *broker) {
    struct assignments *assignments = memory_zalloc(1, sizeof *assignments);
    list_init(&assignments->waiting);
    arena_init(&assignments->arena);
    assignments->broker = broker;
    return assignments;
}

void broker_assignments_free(struct assignments *assignments) {
    if (assignments == NULL) return;
    list_for_each_safe(link, &assignments->waiting) {
        memory_free(container_of(link, struct choice, link));
    }
    arena_deinit(&assignments->arena);
    memory_free(assignments);
}

static void answered(struct controller_call *call, enum err result) {
    struct assignments *assignments = container_of(call, struct assignments, call);
    struct broker *broker = assignments->broker;
    const struct assign_replicas_to_dirs_response *response = call->response;
    if (result == ERR_NONE) result = err_of_wire(response->error_code);
    if (result != ERR_NONE) {
        log_warn(broker->logger, "broker", "log directories of replicas were not recorded: %s",
                 err_text(result));
    }
    assignments->is_asking = false;
    broker_assignments_send(broker);
}

// Moves the choices of one directory into the request.
static void fill_directory(struct assignments *assignments,
                           struct assign_replicas_to_dirs_request_directory *out) {
    struct arena *arena = &assignments->arena;
    int32_t count = 0;
    list_for_each(link, &assignments->waiting) {
        count += uuid_equal(container_of(link, struct choice, link)->directory_id, out->id);
    }
    out->topics = assign_replicas_to_dirs_request_topic_new(arena, count);
    list_for_each_safe(link, &assignments->waiting) {
        struct choice *choice = container_of(link, struct choice, link);
        if (!uuid_equal(choice->directory_id, out->id)) continue;
        struct assign_replicas_to_dirs_request_topic *topic = &out->topics[out->topics_count++];
        topic->topic_id = choice->topic_id;
        topic->partitions = assign_replicas_to_dirs_request_partition_new(arena, 1);
        topic->partitions_count = 1;
        topic->partitions[0].partition_index = choice->partition;
        list_remove(&choice->link);
        memory_free(choice);
    }
}

void broker_assignments_send(struct broker *broker) {
    struct assignments *assignments = broker->assignments;
    if (broker->state != BROKER_RUNNING || assignments->is_asking) return;
    if (list_is_empty(&assignments->waiting)) return;
    struct arena *arena = &assignments->arena;
    arena_reset(arena);
    struct assign_replicas_to_dirs_request *request =
        arena_alloc(arena, codec_size(&assign_replicas_to_dirs_request_codec));
    codec_init(&assign_replicas_to_dirs_request_codec, request);
    request->broker_id = broker->identity.node_id;
    request->broker_epoch = broker->epoch;
    request->directories =
        assign_replicas_to_dirs_request_directory_new(arena, broker->directory_count);
    while (!list_is_empty(&assignments->waiting)) {
        struct choice *choice = container_of(assignments->waiting.next, struct choice, link);
        struct assign_replicas_to_dirs_request_directory *directory =
            &request->directories[request->directories_count++];
        directory->id = choice->directory_id;
        fill_directory(assignments, directory);
    }
    assignments->call = (struct controller_call){
        .api = API_ASSIGN_REPLICAS_TO_DIRS,
        .request = request,
        .arena = arena,
        .response = arena_alloc(arena, codec_size(&assign_replicas_to_dirs_response_codec)),
        .done = answered,
    };
    codec_init(&assign_replicas_to_dirs_response_codec, assignments->call.response);
    assignments->is_asking = true;
    controller_call(broker->controller, &assignments->call);
}

static void choice_arrived(struct env_message *message) {
    struct choice *choice = container_of(message, struct choice, message);
    struct broker *broker = choice->broker;
    list_append(&broker->assignments->waiting, &choice->link);
    broker_assignments_send(broker);
}

void broker_directory_chosen(struct replica_host *host, struct uuid topic_id, int32_t partition,
                             struct uuid directory_id) {
    struct broker_reactor *reactor = container_of(host, struct broker_reactor, replica_host);
    struct choice *choice = memory_zalloc(1, sizeof *choice);
    list_init(&choice->link);
    choice->broker = reactor->broker;
    choice->topic_id = topic_id;
    choice->partition = partition;
    choice->directory_id = directory_id;
    choice->message.deliver = choice_arrived;
    env_post(reactor->broker->env, &choice->message);
}
