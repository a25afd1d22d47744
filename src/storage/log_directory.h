// One log directory of the node (an entry of log.dirs): its lock, its identity (meta.properties),
// the partition directories in it, the three offset checkpoints, the clean-shutdown file, the space
// left, and whether it has failed.
//
// Threads: opened and listed at start or in a job. What was read at open (meta, offsets, cleanness)
// does not change afterwards and may be read by any thread. log_directory_replace_file and
// log_directory_write_offsets block: jobs and start-up only, one writer per file at a time.
// log_directory_fail and the reserve belong to reactor 0 and to the job that it started.
//
// A failed directory (I/O error) stays failed until the process ends: nothing in it is trusted any
// more. A full one is not failed.
#pragma once

#include "storage/checkpoint.h"

struct log_directory;

#define LOG_DIRECTORY_LOCK           ".lock"
#define LOG_DIRECTORY_META           "meta.properties"
#define LOG_DIRECTORY_CLEAN_SHUTDOWN ".kafka_cleanshutdown"
#define LOG_DIRECTORY_RESERVE        "taccola-reserve"

enum offset_checkpoint {
    OFFSET_RECOVERY_POINT,  // recovery-point-offset-checkpoint
    OFFSET_LOG_START,       // log-start-offset-checkpoint
    OFFSET_HIGH_WATERMARK,  // replication-offset-checkpoint
    OFFSET_CHECKPOINT_COUNT,
};

// ---- Names of partition directories ----

enum partition_directory_kind {
    PARTITION_DIRECTORY_CURRENT,  // <topic>-<partition>
    PARTITION_DIRECTORY_DELETED,  // <topic>-<partition>.<uuid>-delete: a deletion that was
                                  // interrupted; remove it
    PARTITION_DIRECTORY_FUTURE,   // <topic>-<partition>.<uuid>-future: a move between log
                                  // directories
    PARTITION_DIRECTORY_STRAY,  // <topic>-<partition>.<uuid>-stray: set aside, kept for a person to
                                // look at
};

struct partition_directory {
    struct slice name;  // within the log directory
    struct slice topic;
    int32_t partition;
    enum partition_directory_kind kind;
};

// False when `name` is not the name of a partition directory. The slices point into `name`. A long
// topic's name is cut off in the three suffixed kinds (255 bytes in all), so there `topic` is for
// people only.
bool partition_directory_parse(struct slice name, struct partition_directory *out);
void partition_directory_format(struct slice topic, int32_t partition, struct string_buffer *out);
// With one of the three suffixes and 32 random hexadecimal digits, at most 255 bytes.
void partition_directory_format_suffixed(struct env *env, struct slice topic, int32_t partition,
                                         enum partition_directory_kind kind,
                                         struct string_buffer *out);

// ---- Opening ----

// Creates the directory when missing, locks it, reads its small files. The clean-shutdown file is
// read and then deleted durably, before anything in the directory changes. A checkpoint file that
// cannot be read costs time (recovery from the start), not the start: a warning is logged. Errors
// with a sentence: ERR_EXISTS (in use by another process), ERR_ACCESS, ERR_IO, ERR_CORRUPT
// (meta.properties).
MUST_CHECK enum err log_directory_open(struct env *env, struct slice path,
                                       struct log_directory **directory, struct message *error);
// As above for tools that only look at a directory: takes no lock, creates and deletes nothing.
MUST_CHECK enum err log_directory_open_read_only(struct env *env, struct slice path,
                                                 struct log_directory **directory,
                                                 struct message *error);
// Unlocks and frees. NULL is allowed.
void log_directory_close(struct log_directory *directory);

struct slice log_directory_path(const struct log_directory *directory);

// NULL when there is no meta.properties (the directory is not formatted).
const struct meta_properties *log_directory_meta(const struct log_directory *directory);
// Writes meta.properties; log_directory_meta shows it afterwards.
MUST_CHECK enum err log_directory_write_meta(struct log_directory *directory,
                                             const struct meta_properties *meta);

// True when the last process stopped cleanly: its broker epoch, or -1 when the file did not say.
bool log_directory_was_clean(const struct log_directory *directory, int64_t *broker_epoch);
// Marks a clean stop: the last thing written, after every log is closed and the offsets are
// written.
MUST_CHECK enum err log_directory_mark_clean(struct log_directory *directory, int64_t broker_epoch);

// Calls `visit` for each partition directory of any kind, in byte order of the names.
MUST_CHECK enum err log_directory_list(struct log_directory *directory,
                                       void (*visit)(void *context,
                                                     const struct partition_directory *partition),
                                       void *context);
// Renames a partition directory to its -stray (or -delete) form: it is not this node's any more.
MUST_CHECK enum err log_directory_set_aside(struct log_directory *directory,
                                            const struct partition_directory *partition,
                                            enum partition_directory_kind kind);
// Deletes all -delete directories that an earlier process left.
MUST_CHECK enum err log_directory_remove_deleted(struct log_directory *directory);
// Full path of a name in the directory.
void log_directory_join(const struct log_directory *directory, struct slice name,
                        struct string_buffer *out);

// ---- Offset checkpoints ----

// What the checkpoint said when the directory was opened; -1 when it has no line for the partition.
int64_t log_directory_offset(const struct log_directory *directory,
                             enum offset_checkpoint checkpoint, struct slice topic,
                             int32_t partition);
// Replaces the file. Partitions that are not in `entries` are forgotten.
MUST_CHECK enum err log_directory_write_offsets(struct log_directory *directory,
                                                enum offset_checkpoint checkpoint,
                                                const struct checkpoint_entry *entries,
                                                int32_t count);

// ---- Failure and space ----

bool log_directory_has_failed(const struct log_directory *directory);
// For good. Logs once.
void log_directory_fail(struct log_directory *directory, enum err error);

MUST_CHECK enum err log_directory_space(struct log_directory *directory, uint64_t *total,
                                        uint64_t *usable);

// The reserve: a preallocated file (LOG_DIRECTORY_RESERVE) that keeps the metadata log and small
// state files writable on a full disk. Its owner gives it up when a write answers ERR_NO_SPACE,
// tries again, and takes it back when there is room.
#define LOG_DIRECTORY_RESERVE_BYTES (4u << 20)
// Allocates the reserve; ERR_NO_SPACE when there is no room now (then there is none, which is not
// an error at start).
MUST_CHECK enum err log_directory_take_reserve(struct log_directory *directory);
// True when there was a reserve and its blocks are free now.
bool log_directory_release_reserve(struct log_directory *directory);
bool log_directory_has_reserve(const struct log_directory *directory);

// A small state file in the directory (`name` may contain a subdirectory): temp, sync, rename, sync
// of the directory; on a full disk the reserve is released and the write tried once more.
MUST_CHECK enum err log_directory_replace_file(struct log_directory *directory, struct slice name,
                                               struct slice contents);
