// The image with its way back, and the frame of a decision.
//
// Before an operation's records are replayed the image is marked: a reference to it is kept with
// the offset up to which it holds. Persistent images make that free. What is committed drops older
// marks; a lost write goes back to the mark before it.
#include "controller/state.h"

#include "base/assert.h"
#include "base/memory.h"

void controller_state_init(struct controller_state *state, struct env *env,
                           const struct config *config, struct slice cluster_id) {
    *state = (struct controller_state){
        .env = env,
        .config = config,
        .cluster_id = cluster_id,
        .node_id = config_node_id(config),
        .image = image_new(),
    };
}

static void drop_marks(struct controller_state *state, int32_t from, int32_t count) {
    for (int32_t i = from; i < from + count; i++)
        image_unref(state->marks[i].image);
    memmove(state->marks + from, state->marks + from + count,
            (size_t)(state->mark_count - from - count) * sizeof *state->marks);
    state->mark_count -= count;
}

void controller_state_deinit(struct controller_state *state) {
    if (state->mark_count > 0) drop_marks(state, 0, state->mark_count);
    memory_free(state->marks);
    memory_free(state->sessions);
    image_unref(state->image);
}

void controller_state_reset(struct controller_state *state) {
    if (state->mark_count > 0) drop_marks(state, 0, state->mark_count);
    image_unref(state->image);
    state->image = image_new();
    state->session_count = 0;
}

enum err controller_state_replay(void *context, const struct runtime_record *record, int64_t offset,
                                 int32_t epoch) {
    struct controller_state *state = context;
    struct message error;
    message_init(&error);
    enum err err = image_apply(&state->image, (enum metadata_record_type)record->type,
                               record->decoded, offset, epoch, &error);
    if (err != ERR_NONE) {
        log_error(env_logger(state->env), "controller", "the record at offset %lld: %s",
                  (long long)offset, error.text);
    }
    return err;
}

void controller_state_mark(void *context, int64_t offset) {
    struct controller_state *state = context;
    if (state->mark_count == state->mark_capacity) {
        state->mark_capacity = MAX(16, state->mark_capacity * 2);
        state->marks =
            memory_realloc(state->marks, (size_t)state->mark_capacity, sizeof *state->marks);
    }
    state->marks[state->mark_count++] = (struct mark){offset, image_ref(state->image)};
}

// The first mark that is not below the offset; mark_count: none.
static int32_t find_mark(const struct controller_state *state, int64_t offset) {
    int32_t low = 0;
    int32_t high = state->mark_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (state->marks[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void controller_state_committed(void *context, int64_t offset) {
    struct controller_state *state = context;
    int32_t count = find_mark(state, offset);
    if (count > 0) drop_marks(state, 0, count);
}

void controller_state_rollback(void *context, int64_t offset) {
    struct controller_state *state = context;
    int32_t mark = find_mark(state, offset);
    if (mark == state->mark_count) return;
    image_unref(state->image);
    state->image = image_ref(state->marks[mark].image);
    drop_marks(state, mark, state->mark_count - mark);
}

struct image *controller_state_image_at(const struct controller_state *state, int64_t offset) {
    int32_t mark = find_mark(state, offset);
    return mark == state->mark_count ? state->image : state->marks[mark].image;
}

// ---- Decisions ----

void decision_init(struct decision *decision, struct controller_state *state,
                   struct runtime_result *result, struct arena *arena, struct message *error) {
    const struct feature_row *elr = feature_row(FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION);
    *decision = (struct decision){
        .state = state,
        .image = state->image,
        .metadata_version = image_metadata_version(state->image),
        .elr = image_feature(state->image, slice_cstring(elr->name)) > 0,
        .arena = arena,
        .result = result,
        .error = error,
    };
}

struct metadata_record decision_record(const struct decision *decision,
                                       enum metadata_record_type type, int16_t version) {
    return metadata_record_new(type, version, decision->result->arena);
}

void decision_add(struct decision *decision, const struct metadata_record *record) {
    struct slice value;
    struct message error;
    message_init(&error);
    enum err err = metadata_record_frame(record, decision->result->arena, &value, &error);
    if (err != ERR_NONE) fatal("a metadata record of our own does not encode: %s", error.text);
    runtime_result_add(decision->result, (struct runtime_record){
                                             .key = SLICE_NULL,
                                             .value = value,
                                             .type = (int32_t)record->type,
                                             .version = record->version,
                                             .decoded = record->message,
                                         });
}

enum err decision_check_broker_epoch(const struct decision *decision, int32_t broker_id,
                                     int64_t broker_epoch) {
    const struct broker_image *broker = image_broker(decision->image, broker_id);
    if (broker == NULL) {
        message_set(decision->error, "No broker registration found for broker id %d", broker_id);
        return ERR_STALE_BROKER_EPOCH;
    }
    if (broker->epoch != broker_epoch) {
        message_set(decision->error, "Expected broker epoch %lld, but got broker epoch %lld",
                    (long long)broker->epoch, (long long)broker_epoch);
        return ERR_STALE_BROKER_EPOCH;
    }
    return ERR_NONE;
}

enum err decision_check_size(const struct decision *decision) {
    if (!decision->bounded || decision->result->count <= RECORDS_PER_OPERATION_MAX) return ERR_NONE;
    message_set(decision->error, "Unable to perform excessively large batch operation.");
    return ERR_POLICY_VIOLATION;
}

void decision_truncate(struct decision *decision, int32_t count) {
    decision->result->count = count;
}

int16_t decision_error(const struct decision *decision, enum err err, const struct message *text,
                       struct slice *error_message) {
    *error_message = SLICE_NULL;
    if (err != ERR_NONE && text != NULL && text->text[0] != '\0') {
        *error_message = arena_copy(decision->arena, message_slice(text));
    }
    return err_wire(err);
}
