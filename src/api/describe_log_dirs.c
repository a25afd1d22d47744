// DescribeLogDirs, versions 1 to 5: every log directory of this node with the size of each
// partition in it.
//
// Every reactor lists its partitions; home groups them by directory and topic. Space and sizes are
// known without reading anything but the file system's own numbers.
#include <stdlib.h>

#include "api/call.h"
#include "api/scatter.h"
#include "replica/replica_manager.h"

struct dir_row {
    int32_t directory;
    struct slice topic;
    int32_t partition;
    int64_t size;
};

struct dirs_part {
    struct scatter_part scatter_part;
    struct describe_log_dirs *describe;
    struct dir_row *rows;  // in the part's arena
    int32_t count;
};

struct describe_log_dirs {
    struct api_call *call;
    struct scatter scatter;
    struct dirs_part *parts;  // by reactor
    struct dir_row *rows;     // of all, sorted
    int32_t count;
};

static void add_row(struct dirs_part *part, const struct partition *partition) {
    if (partition == NULL || partition->log == NULL) return;
    struct dir_row *row = &part->rows[part->count++];
    row->directory = partition->directory;
    row->topic = arena_copy(part->scatter_part.arena, partition->topic->name);
    row->partition = partition->index;
    row->size = log_size_bytes(partition->log);
}

static void new_rows(struct dirs_part *part, size_t capacity) {
    part->rows = arena_zalloc(part->scatter_part.arena, capacity, sizeof *part->rows);
}

static void add_all(struct dirs_part *part) {
    struct replica_manager *replicas = part->scatter_part.node->replicas;
    new_rows(part, (size_t)replica_partition_count(replicas));
    list_for_each(link, replica_partitions(replicas)) {
        add_row(part, container_of(link, struct partition, link));
    }
}

static void add_named(struct dirs_part *part, const struct describe_log_dirs_request *request) {
    struct node *node = part->scatter_part.node;
    size_t capacity = 0;
    for (int32_t t = 0; t < request->topics_count; t++) {
        capacity += (size_t)request->topics[t].partitions_count;
    }
    new_rows(part, capacity);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct topic_image *topic = image_topic(node->image, request->topics[t].topic);
        if (topic == NULL) continue;
        const struct replica_topic *ours = replica_topic_of(node->replicas, topic->id);
        for (int32_t p = 0; p < request->topics[t].partitions_count; p++) {
            add_row(part, replica_partition_of(ours, request->topics[t].partitions[p]));
        }
    }
}

static void run(struct scatter_part *scatter_part) {
    struct dirs_part *part = container_of(scatter_part, struct dirs_part, scatter_part);
    const struct describe_log_dirs_request *request = part->describe->call->request;
    if (request->topics_count < 0)
        add_all(part);  // null: all
    else
        add_named(part, request);
    scatter_finish(scatter_part);
}

static int compare_rows(const void *a, const void *b) {
    const struct dir_row *left = a, *right = b;
    if (left->directory != right->directory) return left->directory < right->directory ? -1 : 1;
    int order = slice_compare(left->topic, right->topic);
    if (order != 0) return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static void collect(struct describe_log_dirs *describe) {
    int32_t reactors = describe->call->node->reactor_count;
    for (int32_t i = 0; i < reactors; i++)
        describe->count += describe->parts[i].count;
    struct arena *arena = describe->call->arena;
    describe->rows = arena_zalloc(arena, (size_t)describe->count, sizeof *describe->rows);
    int32_t count = 0;
    for (int32_t i = 0; i < reactors; i++) {
        for (int32_t k = 0; k < describe->parts[i].count; k++) {
            describe->rows[count] = describe->parts[i].rows[k];
            describe->rows[count].topic = arena_copy(arena, describe->rows[count].topic);
            count++;
        }
    }
    qsort(describe->rows, (size_t)count, sizeof *describe->rows, compare_rows);
    // Who was named twice is shown once.
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++) {
        if (i > 0 && compare_rows(&describe->rows[i - 1], &describe->rows[i]) == 0) continue;
        describe->rows[kept++] = describe->rows[i];
    }
    describe->count = kept;
}

// The rows [from, to) are those of one directory.
static void fill_topics(struct describe_log_dirs *describe, int32_t from, int32_t to,
                        struct describe_log_dirs_response_result *out) {
    struct arena *arena = describe->call->arena;
    const struct dir_row *rows = describe->rows;
    int32_t topics = 0;
    for (int32_t i = from; i < to; i++) {
        if (i == from || !slice_equal(rows[i].topic, rows[i - 1].topic)) topics++;
    }
    out->topics = describe_log_dirs_response_topic_new(arena, topics);
    out->topics_count = topics;
    struct describe_log_dirs_response_topic *topic = out->topics;
    for (int32_t i = from, end; i < to; i = end, topic++) {
        for (end = i + 1; end < to && slice_equal(rows[end].topic, rows[i].topic); end++) {
        }
        topic->name = rows[i].topic;
        topic->partitions = describe_log_dirs_response_partition_new(arena, end - i);
        topic->partitions_count = end - i;
        for (int32_t k = i; k < end; k++) {
            topic->partitions[k - i].partition_index = rows[k].partition;
            topic->partitions[k - i].partition_size = rows[k].size;
        }
    }
}

static bool is_cordoned(const struct api_call *call, struct log_directory *directory) {
    const struct meta_properties *meta = log_directory_meta(directory);
    const struct broker_image *broker =
        image_broker(call->node->image, call->node->identity->node_id);
    for (int32_t i = 0; meta != NULL && broker != NULL && i < broker->cordoned_count; i++) {
        if (uuid_equal(broker->cordoned_directories[i], meta->directory_id)) return true;
    }
    return false;
}

static void fill_directory(struct describe_log_dirs *describe, int32_t index, int32_t *from,
                           struct describe_log_dirs_response_result *out) {
    struct api_call *call = describe->call;
    struct log_directory *directory = replica_directory(call->node->replicas, index);
    int32_t to = *from;
    while (to < describe->count && describe->rows[to].directory == index)
        to++;
    out->log_dir = log_directory_path(directory);
    uint64_t total, usable;
    if (log_directory_has_failed(directory)) {
        out->error_code = err_wire(ERR_KAFKA_STORAGE_ERROR);
    } else {
        if (log_directory_space(directory, &total, &usable) == ERR_NONE) {
            out->total_bytes = (int64_t)MIN(total, (uint64_t)INT64_MAX);
            out->usable_bytes = (int64_t)MIN(usable, (uint64_t)INT64_MAX);
        }
        out->is_cordoned = is_cordoned(call, directory);
        fill_topics(describe, *from, to, out);
    }
    *from = to;
}

static void gathered(struct scatter *scatter) {
    struct describe_log_dirs *describe = container_of(scatter, struct describe_log_dirs, scatter);
    struct api_call *call = describe->call;
    struct describe_log_dirs_response *response = call->response;
    collect(describe);
    int32_t directories = replica_directory_count(call->node->replicas);
    response->results = describe_log_dirs_response_result_new(call->arena, directories);
    response->results_count = directories;
    int32_t from = 0;
    for (int32_t d = 0; d < directories; d++)
        fill_directory(describe, d, &from, &response->results[d]);
    for (int32_t i = 0; i < call->node->reactor_count; i++) {
        scatter_part_deinit(&describe->parts[i].scatter_part);
    }
    api_reply(call);
}

void api_describe_log_dirs(struct api_call *call) {
    struct describe_log_dirs *describe = arena_zalloc(call->arena, 1, sizeof *describe);
    size_t reactors = (size_t)call->node->reactor_count;
    describe->call = call;
    describe->parts = arena_zalloc(call->arena, reactors, sizeof *describe->parts);
    scatter_init(&describe->scatter, call->node, gathered);
    for (size_t i = 0; i < reactors; i++) {
        struct dirs_part *part = &describe->parts[i];
        scatter_part_init(&part->scatter_part);
        part->describe = describe;
        scatter_start(&describe->scatter, &part->scatter_part, call->node->reactors[i], call->arena,
                      run);
    }
    scatter_seal(&describe->scatter);
}
