// quorum-state. Kafka writes it with Jackson, fields in the order of its schema, data_version last:
//
//   {"leaderId":1,"leaderEpoch":4,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
//   {"clusterId":"","leaderId":1,"leaderEpoch":2,"votedId":-1,"appliedOffset":0,
//    "currentVoters":[{"voterId":1}],"data_version":0}                      (one line)
//
// Kafka reads whatever JSON object has these fields; so do we.
#include "raft/quorum_state.h"

#include <jansson.h>

#include "base/memory.h"

struct quorum_state quorum_state_empty(int16_t data_version) {
    return (struct quorum_state){
        .leader_id = -1, .leader_epoch = 0, .voted_id = -1, .data_version = data_version};
}

static enum err damaged(struct message *error, const char *what) {
    message_set(error, "quorum-state: %s", what);
    return ERR_CORRUPT;
}

static enum err read_int(const json_t *object, const char *name, int64_t min, int64_t max,
                         int64_t *value, struct message *error) {
    const json_t *field = json_object_get(object, name);
    if (!json_is_integer(field)) {
        message_set(error, "quorum-state: no integer field %s", name);
        return ERR_CORRUPT;
    }
    json_int_t found = json_integer_value(field);
    if (found < min || found > max) {
        message_set(error, "quorum-state: %s is %lld", name, (long long)found);
        return ERR_CORRUPT;
    }
    *value = found;
    return ERR_NONE;
}

static enum err read_object(const json_t *object, struct quorum_state *state,
                            struct message *error) {
    int64_t version, leader, epoch, voted;
    enum err err = read_int(object, "data_version", 0, 1, &version, error);
    if (err == ERR_NONE) err = read_int(object, "leaderId", -1, INT32_MAX, &leader, error);
    if (err == ERR_NONE) err = read_int(object, "leaderEpoch", 0, INT32_MAX, &epoch, error);
    if (err == ERR_NONE) err = read_int(object, "votedId", -1, INT32_MAX, &voted, error);
    if (err != ERR_NONE) return err;
    struct uuid directory = UUID_ZERO;
    if (version == 1) {
        const json_t *field = json_object_get(object, "votedDirectoryId");
        if (!json_is_string(field) ||
            !uuid_parse(slice_of(json_string_value(field), json_string_length(field)), &directory))
            return damaged(error, "votedDirectoryId is no uuid");
    }
    *state = (struct quorum_state){.leader_id = (int32_t)leader,
                                   .leader_epoch = (int32_t)epoch,
                                   .voted_id = (int32_t)voted,
                                   .voted_directory_id = directory,
                                   .data_version = (int16_t)version};
    return ERR_NONE;
}

enum err quorum_state_parse(struct slice text, struct quorum_state *state, struct message *error) {
    if (text.size > QUORUM_STATE_MAX) return damaged(error, "the file is too large");
    json_t *root = json_loadb((const char *)text.data, text.size, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return damaged(error, "not a JSON object");
    }
    enum err err = read_object(root, state, error);
    json_decref(root);
    return err;
}

void quorum_state_format(const struct quorum_state *state, const int32_t *voters,
                         int32_t voter_count, struct string_buffer *out) {
    if (state->data_version == 1) {
        char directory[UUID_TEXT_SIZE];
        string_buffer_format(out,
                             "{\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":%d,"
                             "\"votedDirectoryId\":\"%s\",\"data_version\":1}",
                             state->leader_id, state->leader_epoch, state->voted_id,
                             uuid_format(state->voted_directory_id, directory));
        return;
    }
    string_buffer_format(out,
                         "{\"clusterId\":\"\",\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":%d,"
                         "\"appliedOffset\":0,\"currentVoters\":[",
                         state->leader_id, state->leader_epoch, state->voted_id);
    for (int32_t i = 0; i < voter_count; i++)
        string_buffer_format(out, "%s{\"voterId\":%d}", i == 0 ? "" : ",", voters[i]);
    string_buffer_format(out, "],\"data_version\":0}");
}

static void file_name(struct slice directory, struct string_buffer *path) {
    string_buffer_init(path);
    string_buffer_append(path, directory);
    string_buffer_format(path, "/%s", QUORUM_STATE_NAME);
}

enum err quorum_state_load(struct env *env, struct slice directory, struct quorum_state *state,
                           struct message *error) {
    struct string_buffer path;
    file_name(directory, &path);
    uint8_t *data;
    size_t size;
    enum err err = env_read_file(env, string_buffer_slice(&path), QUORUM_STATE_MAX, &data, &size);
    if (err == ERR_NONE) {
        err = quorum_state_parse(slice_of(data, size), state, error);
        memory_free(data);
    } else if (err == ERR_LIMIT) {
        err = damaged(error, "the file is too large");
    } else if (err != ERR_NOT_FOUND) {
        message_set(error, "cannot read %s: %s", path.text, err_text(err));
    }
    string_buffer_deinit(&path);
    return err;
}
