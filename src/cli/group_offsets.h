// The offsets that groups have committed, and the partitions' own ends, for the group commands.
#pragma once

#include "base/arena.h"
#include "cli/group_view.h"

// All that the group has committed, sorted by topic and partition, in the arena. A group that is
// not there has none.
MUST_CHECK enum err group_offsets_fetch(struct session *session, struct slice group,
                                        struct arena *arena, struct group_offset **offsets,
                                        int32_t *count, struct message *error);
// Runs a lookup of offsets by time to its end; ERR_CANCELLED: a signal came.
MUST_CHECK enum err group_offsets_lookup(struct session *session, struct offset_query *queries,
                                         int32_t count);
int group_offsets_compare(const void *a, const void *b);  // for qsort, by topic and partition
