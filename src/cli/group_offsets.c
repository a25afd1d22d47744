#include "cli/group_offsets.h"

#include <stdlib.h>

#include "cli/coordinated.h"
#include "wire/codec.h"

int group_offsets_compare(const void *a, const void *b) {
    const struct group_offset *x = a, *y = b;
    int order = slice_compare(x->id.topic, y->id.topic);
    if (order != 0) return order;
    return (x->id.partition > y->id.partition) - (x->id.partition < y->id.partition);
}

static void copy_offsets(const struct offset_fetch_response *answer, struct arena *arena,
                         struct group_offset **offsets, int32_t *count) {
    int32_t total = 0;
    for (int32_t t = 0; t < answer->topics_count; t++)
        total += answer->topics[t].partitions_count;
    struct group_offset *list = arena_zalloc(arena, (size_t)total, sizeof *list);
    *offsets = list;
    *count = 0;
    for (int32_t t = 0; t < answer->topics_count; t++) {
        struct slice name = arena_copy(arena, answer->topics[t].name);
        for (int32_t p = 0; p < answer->topics[t].partitions_count; p++) {
            const struct offset_fetch_response_partition *from = &answer->topics[t].partitions[p];
            if (from->committed_offset < 0) continue;
            list[(*count)++] = (struct group_offset){.id = {name, from->partition_index},
                                                     .offset = from->committed_offset,
                                                     .leader_epoch = from->committed_leader_epoch,
                                                     .metadata = arena_copy(arena, from->metadata)};
        }
    }
    qsort(list, (size_t)*count, sizeof *list, group_offsets_compare);
}

// Versions 2 to 7 answer for one group without wrapping, by names, and with all its topics when
// none is named.
enum err group_offsets_fetch(struct session *s, struct slice group, struct arena *arena,
                             struct group_offset **offsets, int32_t *count, struct message *error) {
    struct offset_fetch_request request;
    codec_init(&offset_fetch_request_codec, &request);
    request.group_id = group;
    request.topics_count = -1;
    struct coordinated c = {
        .call.call = {
            .api = API_OFFSET_FETCH, .version_min = 2, .version_max = 7, .message = &request}};
    enum err err = coordinated_run(s, &c, COORDINATOR_GROUP, group);
    const struct offset_fetch_response *answer = c.call.call.response;
    if (err == ERR_NONE) err = err_of_wire(answer->error_code);
    *offsets = NULL;
    *count = 0;
    if (err == ERR_NONE) {
        copy_offsets(answer, arena, offsets, count);
    } else if (err == ERR_GROUP_ID_NOT_FOUND) {
        err = ERR_NONE;
    } else {
        const char *why = c.call.call.error.text;
        message_set(error, "offsets of group %.*s: %s", SLICE_PRINT(group),
                    why[0] != '\0' ? why : err_text(err));
    }
    coordinated_end(&c);
    return err;
}

static void looked_up(void *context) {
    *(bool *)context = true;
}

enum err group_offsets_lookup(struct session *s, struct offset_query *queries, int32_t count) {
    if (count == 0) return ERR_NONE;
    bool over = false;
    struct offset_lookup *lookup =
        offset_lookup_start(s->client, queries, count, false, 0, looked_up, &over);
    while (!over && !s->interrupted)
        session_pass(s, 100);
    if (!over) offset_lookup_cancel(lookup);
    return over ? ERR_NONE : ERR_CANCELLED;
}
