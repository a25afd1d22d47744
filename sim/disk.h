// Private to sim/disk.c and sim/directory.c: what is on a simulated disk.
#pragma once

#include "sim/internal.h"

#define SIM_SECTOR ((size_t)512)
#define SIM_BLOCK  ((uint64_t)4096)

struct sim_inode;

struct sim_entry {
    char *name;
    struct sim_inode *inode;
};

struct sim_table {
    struct sim_entry *entries;
    size_t count;
    size_t capacity;
};

// What was done in a directory since it was synced, in order. Power cuts keep some first ones.
enum sim_change_kind { SIM_CHANGE_ADD, SIM_CHANGE_REMOVE, SIM_CHANGE_RENAME };
struct sim_change {
    struct sim_change *next;
    enum sim_change_kind kind;
    char *name;
    char *to;                 // RENAME
    struct sim_inode *inode;  // ADD
};

struct sim_bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct sim_inode {
    struct list all;
    uint32_t references;  // by tables, changes and open files
    bool is_directory;
    // A file: as reads see it, as a power cut leaves it, and which sectors differ for want of a
    // sync.
    struct sim_bytes live;
    struct sim_bytes durable;
    struct sim_bytes dirty;  // one byte per sector
    uint64_t reserved;       // by file_allocate
    uint64_t charged;        // bytes of the disk's capacity
    uint32_t live_names;
    uint32_t open_count;
    bool is_locked;
    bool sync_failed;  // live bytes may be neither dirty nor durable
    // A directory.
    struct sim_table live_names_in;
    struct sim_table durable_names_in;
    struct sim_change *changes;
    struct sim_change **changes_end;
};

struct sim_file {
    struct file file;
    struct sim_inode *inode;
    struct list open;  // in disk->files
    char *path;
    struct sim_old_path *old_paths;
    bool holds_lock;
};

struct sim_old_path {
    struct sim_old_path *next;
    char *path;
};

struct sim_disk {
    struct sim *sim;
    struct sim_node *node;
    struct list inodes;
    struct sim_inode *root;
    struct list files;  // open ones
    uint64_t capacity;
    uint64_t used;
    uint64_t crash_in;  // operations until the crash; 0: none is planned
    bool crash_by_power;
    bool frozen;  // the crash has come; the event that met it is still running
    uint64_t fail_in[SIM_FAULT_SYNC + 1];
};

struct sim_disk *sim_disk_of(struct env *env);

// Counts an operation that changes something; false when the disk is frozen by a crash and it must
// do nothing.
bool sim_disk_operation(struct sim_disk *disk);
bool sim_disk_faults(struct sim_disk *disk, enum sim_fault fault);

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_directory);
void sim_inode_unref(struct sim_disk *disk, struct sim_inode *inode);
void sim_inode_charge(struct sim_disk *disk, struct sim_inode *inode);
void sim_inode_lose_unsynced(struct sim_disk *disk, struct sim_inode *inode);

// directory.c
// The inode at a path (NULL: none) and, if asked for, the directory that holds or would hold it,
// and its last name.
struct sim_inode *sim_path_find(struct sim_disk *disk, struct slice path,
                                struct sim_inode **directory, struct slice *name);
void sim_directory_add(struct sim_disk *disk, struct sim_inode *directory, struct slice name,
                       struct sim_inode *inode);
void sim_directory_lose_unsynced(struct sim_disk *disk, struct sim_inode *directory);
void sim_directory_clear(struct sim_disk *disk, struct sim_inode *directory);
void sim_paths_moved(struct sim_disk *disk, struct slice from, struct slice to);
char *sim_text(struct slice s);
