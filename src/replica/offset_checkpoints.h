// The three offset checkpoints of the log directories (recovery point, log start, high watermark).
// A file holds the partitions of all reactors, so one object per node, on reactor 0, writes them:
// each reactor hands in a table of its partitions' offsets whenever some moved, and a job writes
// the union, one at a time, once every reactor has handed in one. An idle node writes nothing.
#pragma once

#include "env/env.h"
#include "storage/log_directory.h"

struct offset_checkpoints;

struct partition_offsets {
    struct slice topic;
    int32_t partition;
    int32_t directory;
    int64_t offsets[OFFSET_CHECKPOINT_COUNT];
};

// All partitions of one reactor. Memory is from `arena`.
struct offset_table {
    struct arena arena;
    struct partition_offsets *rows;
    int32_t count;
    int32_t reactor;
    uint32_t mask;  // which checkpoints are to be written: 1 << enum offset_checkpoint
    struct offset_checkpoints *checkpoints;
    struct env_message message;
};

// On reactor 0. Returns owned. `env` is reactor 0's.
struct offset_checkpoints *offset_checkpoints_new(struct env *env, int32_t reactor_count,
                                                  struct log_directory *const *directories,
                                                  int32_t directory_count);
// No job may be running: after offset_checkpoints_finish, or when nothing was handed in.
void offset_checkpoints_free(struct offset_checkpoints *checkpoints);

// Any reactor. Returns owned; fill it and hand it in.
struct offset_table *offset_table_new(struct offset_checkpoints *checkpoints, int32_t reactor);
// Any reactor; takes the table. It replaces the reactor's former one and is written soon.
void offset_table_hand_in(struct offset_table *table);

// The last writing of a clean stop, on reactor 0, after every reactor has stopped: writes what was
// handed in, then (with mark_clean) the clean-shutdown files with the broker epoch. Directories
// that failed are left alone.
void offset_checkpoints_finish(struct offset_checkpoints *checkpoints, bool mark_clean,
                               int64_t broker_epoch, void (*done)(void *context, enum err result),
                               void *context);
