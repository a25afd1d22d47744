// The bytes of a simulated disk.
//
// Each file has its bytes twice: live, as reads see them (the page cache), and durable, as they
// would be found after a power cut right now at worst. Writes change the live ones and mark sectors
// dirty; a sync copies dirty sectors and the size over. At a power cut each dirty sector falls to
// one side or the other by the seed, and so does the size: between the durable and the live one
// when the file grew (sectors in the new part that did not make it read as zeros), either of the
// two when it shrank. kill -9 leaves the live bytes as they are.
//
// A failed sync marks the sectors clean without copying them, as Linux does: reads go on showing
// what the next power cut takes away.
#include "sim/disk.h"

#include <stdlib.h>

#include "base/assert.h"

// ---- Byte arrays ----

static void bytes_resize(struct sim_bytes *bytes, size_t size) {
    if (size > bytes->capacity) {
        bytes->capacity = MAX(size, bytes->capacity * 2);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (bytes->data == NULL) fatal("out of memory in the simulation");
    }
    if (size > bytes->size) memset(bytes->data + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void mark_dirty(struct sim_inode *inode, uint64_t from, uint64_t to) {
    if (from >= to) return;
    size_t first = (size_t)(from / SIM_SECTOR), end = (size_t)((to + SIM_SECTOR - 1) / SIM_SECTOR);
    if (end > inode->dirty.size) bytes_resize(&inode->dirty, end);
    for (size_t i = first; i < end; i++)
        inode->dirty.data[i] = 1;
}

static void inode_truncate(struct sim_inode *inode, uint64_t size) {
    uint64_t before = inode->live.size;
    bytes_resize(&inode->live, (size_t)size);
    if (size < before) {
        mark_dirty(inode, size, before);
    } else {  // the sector that held the end is as it was
        mark_dirty(inode, (before + SIM_SECTOR - 1) / SIM_SECTOR * SIM_SECTOR, size);
    }
}

// ---- Inodes ----

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_directory) {
    struct sim_inode *inode = sim_alloc(sizeof *inode);
    inode->is_directory = is_directory;
    inode->changes_end = &inode->changes;
    list_append(&disk->inodes, &inode->all);
    return inode;
}

void sim_inode_unref(struct sim_disk *disk, struct sim_inode *inode) {
    if (--inode->references > 0) return;
    disk->used -= inode->charged;
    list_remove(&inode->all);
    if (inode->is_directory) sim_directory_clear(disk, inode);
    free(inode->live.data);
    free(inode->durable.data);
    free(inode->dirty.data);
    free(inode);
}

void sim_inode_charge(struct sim_disk *disk, struct sim_inode *inode) {
    uint64_t bytes = MAX((uint64_t)inode->live.size, inode->reserved);
    bytes = (bytes + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
    if (inode->is_directory || (inode->live_names == 0 && inode->open_count == 0)) bytes = 0;
    disk->used += bytes - inode->charged;
    inode->charged = bytes;
}

static void inode_sync(struct sim_inode *inode) {
    bytes_resize(&inode->durable, inode->live.size);
    for (size_t sector = 0; sector < inode->dirty.size; sector++) {
        if (!inode->dirty.data[sector]) continue;
        size_t from = sector * SIM_SECTOR;
        if (from < inode->live.size) {
            memcpy(inode->durable.data + from, inode->live.data + from,
                   MIN(SIM_SECTOR, inode->live.size - from));
        }
    }
    inode->dirty.size = 0;
}

static size_t size_after_power_cut(struct sim *sim, const struct sim_inode *inode) {
    size_t durable = inode->durable.size, live = inode->live.size;
    if (durable == live) return live;
    switch (sim_between(sim, 0, 2)) {
        case 0:
            return durable;
        case 1:
            return live;
        default:
            return live < durable ? live : durable + (size_t)sim_between(sim, 0, live - durable);
    }
}

void sim_inode_lose_unsynced(struct sim_disk *disk, struct sim_inode *inode) {
    struct sim *sim = disk->sim;
    size_t size = size_after_power_cut(sim, inode);
    size_t both = MAX(inode->live.size, inode->durable.size);
    bytes_resize(&inode->durable, both);  // zeros where nothing was written
    bytes_resize(&inode->live, both);
    // Mostly a mixture; sometimes all or nothing, which some bugs need.
    uint64_t keep_of_4 = sim_between(sim, 0, 4);
    for (size_t sector = 0; sector < inode->dirty.size; sector++) {
        size_t from = sector * SIM_SECTOR;
        if (!inode->dirty.data[sector] || from >= both) continue;
        bool kept = sim_between(sim, 0, 3) < keep_of_4;
        if (kept) {
            memcpy(inode->durable.data + from, inode->live.data + from,
                   MIN(SIM_SECTOR, both - from));
            sim->counts.sectors_kept++;
        } else {
            sim->counts.sectors_lost++;
        }
    }
    bytes_resize(&inode->durable, size);
    bytes_resize(&inode->live, 0);
    bytes_resize(&inode->live, size);
    if (size > 0) memcpy(inode->live.data, inode->durable.data, size);
    inode->dirty.size = 0;
    sim_inode_charge(disk, inode);
}

// ---- The disk ----

struct sim_disk *sim_disk_new(struct sim_node *node, uint64_t capacity) {
    struct sim_disk *disk = sim_alloc(sizeof *disk);
    disk->sim = node->sim;
    disk->node = node;
    disk->capacity = capacity;
    list_init(&disk->inodes);
    list_init(&disk->files);
    disk->root = sim_inode_new(disk, true);
    disk->root->references = 1;
    return disk;
}

void sim_disk_free(struct sim_disk *disk) {
    sim_inode_unref(disk, disk->root);
    assert(list_is_empty(&disk->inodes));
    free(disk);
}

struct sim_disk *sim_disk_of(struct env *env) {
    return sim_reactor_of(env)->node->disk;
}

bool sim_disk_operation(struct sim_disk *disk) {
    if (disk->frozen) return false;
    if (disk->crash_in == 0 || --disk->crash_in > 0) return true;
    disk->frozen = true;
    sim_node_doom(disk->node, disk->crash_by_power);
    return false;
}

bool sim_disk_faults(struct sim_disk *disk, enum sim_fault fault) {
    if (disk->fail_in[fault] == 0 || --disk->fail_in[fault] > 0) return false;
    disk->sim->counts.faults++;
    return true;
}

void sim_disk_crash_at(struct sim_disk *disk, uint64_t n, bool power_cut) {
    disk->crash_in = n;
    disk->crash_by_power = power_cut;
    disk->frozen = false;
}

static void file_free(struct sim_disk *disk, struct sim_file *file) {
    list_remove(&file->open);
    file->inode->open_count--;
    if (file->holds_lock) file->inode->is_locked = false;
    sim_inode_charge(disk, file->inode);
    sim_inode_unref(disk, file->inode);
    while (file->old_paths != NULL) {
        struct sim_old_path *old = file->old_paths;
        file->old_paths = old->next;
        free(old->path);
        free(old);
    }
    free(file->path);
    free(file);
}

void sim_disk_close_all(struct sim_disk *disk) {
    while (!list_is_empty(&disk->files)) {
        file_free(disk, container_of(disk->files.next, struct sim_file, open));
    }
}

void sim_disk_lose_unsynced(struct sim_disk *disk) {
    // Names first: what no name leads to afterwards is gone. All inodes are held meanwhile.
    list_for_each(link, &disk->inodes) container_of(link, struct sim_inode, all)->references++;
    list_for_each(link, &disk->inodes) {
        struct sim_inode *inode = container_of(link, struct sim_inode, all);
        if (inode->is_directory) sim_directory_lose_unsynced(disk, inode);
    }
    list_for_each(link, &disk->inodes) {
        struct sim_inode *inode = container_of(link, struct sim_inode, all);
        if (!inode->is_directory) sim_inode_lose_unsynced(disk, inode);
    }
    list_for_each_safe(link, &disk->inodes) {
        sim_inode_unref(disk, container_of(link, struct sim_inode, all));
    }
}

// ---- Files ----

static struct sim_file *file_of(const struct file *file) {
    return container_of(file, struct sim_file, file);
}

static struct sim_file *handle_new(struct env *env, struct sim_disk *disk, struct sim_inode *inode,
                                   struct slice path) {
    struct sim_file *file = sim_alloc(sizeof *file);
    world_file_init(&file->file, env);
    file->inode = inode;
    file->path = sim_text(path);
    inode->references++;
    inode->open_count++;
    list_append(&disk->files, &file->open);
    return file;
}

static enum err open_inode(struct env *env, struct slice path, enum file_mode mode,
                           struct sim_file **out) {
    struct sim_disk *disk = sim_disk_of(env);
    struct sim_inode *directory;
    struct slice name;
    if (path.data == NULL || memchr(path.data, '\0', path.size) != NULL) return ERR_INVALID;
    struct sim_inode *inode = sim_path_find(disk, path, &directory, &name);
    bool creates = mode == FILE_CREATE || mode == FILE_CREATE_NEW;
    if (inode != NULL && mode == FILE_CREATE_NEW) return ERR_EXISTS;
    if (inode != NULL && inode->is_directory) return ERR_IO;
    if (inode == NULL && (!creates || directory == NULL)) return ERR_NOT_FOUND;
    if (inode == NULL) {
        if (!sim_disk_operation(disk)) return ERR_IO;
        if (disk->used + SIM_BLOCK > disk->capacity) {
            disk->sim->counts.writes_refused_full++;
            return ERR_NO_SPACE;
        }
        inode = sim_inode_new(disk, false);
        sim_directory_add(disk, directory, name, inode);
    }
    *out = handle_new(env, disk, inode, path);
    return ERR_NONE;
}

enum err sim_file_open(struct env *env, struct slice path, enum file_mode mode,
                       struct file **file) {
    struct sim_file *opened;
    enum err err = open_inode(env, path, mode, &opened);
    if (err == ERR_NONE) *file = &opened->file;
    return err;
}

enum err sim_file_lock(struct env *env, struct slice path, struct file **file) {
    struct sim_file *opened;
    enum err err = open_inode(env, path, FILE_CREATE, &opened);
    if (err != ERR_NONE) return err;
    if (opened->inode->is_locked) {
        file_free(sim_disk_of(env), opened);
        return ERR_ACCESS_LOCKED;
    }
    opened->inode->is_locked = opened->holds_lock = true;
    *file = &opened->file;
    return ERR_NONE;
}

void sim_file_close(struct file *file) {
    file_free(sim_disk_of(file->env), file_of(file));
}

enum err sim_file_rename(struct file *file, struct slice path) {
    return sim_rename(file->env, slice_cstring(file_of(file)->path), path);
}

struct slice sim_file_path(const struct file *file) {
    return slice_cstring(file_of(file)->path);
}

enum err sim_file_size(struct file *file, uint64_t *size) {
    *size = file_of(file)->inode->live.size;
    return ERR_NONE;
}

enum err sim_file_read(struct file *file, uint64_t position, void *data, size_t size, size_t *got) {
    const struct sim_bytes *live = &file_of(file)->inode->live;
    if (sim_disk_faults(sim_disk_of(file->env), SIM_FAULT_READ)) return ERR_IO;
    size_t there = position < live->size ? live->size - (size_t)position : 0;
    size_t n = MIN(size, there);
    if (n > 0) memcpy(data, live->data + position, n);
    *got = n;
    return ERR_NONE;
}

// How much of a write that ends at `end` finds room.
static uint64_t end_that_fits(const struct sim_disk *disk, const struct sim_inode *inode,
                              uint64_t end) {
    uint64_t room = disk->capacity > disk->used ? disk->capacity - disk->used : 0;
    uint64_t limit = inode->charged + room / SIM_BLOCK * SIM_BLOCK;
    return MIN(end, limit);
}

enum err sim_file_write(struct file *file, uint64_t position, const struct slice *parts,
                        size_t part_count) {
    struct sim_disk *disk = sim_disk_of(file->env);
    struct sim_inode *inode = file_of(file)->inode;
    struct sim *sim = disk->sim;
    if (!sim_disk_operation(disk)) return ERR_IO;
    if (sim_disk_faults(disk, SIM_FAULT_WRITE)) return ERR_IO;
    sim->counts.writes++;
    for (size_t i = 0; i < part_count; i++) {
        uint64_t end = position + parts[i].size;
        uint64_t fits = MAX(end_that_fits(disk, inode, end), position);
        size_t size = (size_t)(fits - position);
        if (size > 0) {
            if (fits > inode->live.size) inode_truncate(inode, fits);
            memcpy(inode->live.data + position, parts[i].data, size);
            mark_dirty(inode, position, fits);
            sim_inode_charge(disk, inode);
        }
        sim_mix_bytes(sim, parts[i].data, size);
        sim->counts.bytes_written += size;
        if (fits < end) {
            sim->counts.writes_refused_full++;
            return ERR_NO_SPACE;
        }
        position = end;
    }
    return ERR_NONE;
}

enum err sim_file_truncate(struct file *file, uint64_t size) {
    struct sim_disk *disk = sim_disk_of(file->env);
    struct sim_inode *inode = file_of(file)->inode;
    if (!sim_disk_operation(disk)) return ERR_IO;
    sim_mix(disk->sim, size);
    inode_truncate(inode, size);
    inode->reserved = MIN(inode->reserved, size);
    sim_inode_charge(disk, inode);
    return ERR_NONE;
}

enum err sim_file_allocate(struct file *file, uint64_t size) {
    struct sim_disk *disk = sim_disk_of(file->env);
    struct sim_inode *inode = file_of(file)->inode;
    if (!sim_disk_operation(disk)) return ERR_IO;
    if (end_that_fits(disk, inode, size) < size) {
        disk->sim->counts.writes_refused_full++;
        return ERR_NO_SPACE;
    }
    inode->reserved = MAX(inode->reserved, size);
    sim_inode_charge(disk, inode);
    return ERR_NONE;
}

enum err sim_file_sync(struct file *file) {
    struct sim_disk *disk = sim_disk_of(file->env);
    struct sim_inode *inode = file_of(file)->inode;
    if (!sim_disk_operation(disk)) return ERR_IO;
    disk->sim->counts.syncs++;
    if (sim_disk_faults(disk, SIM_FAULT_SYNC)) {
        inode->dirty.size = 0;
        inode->sync_failed = true;
        return ERR_IO;
    }
    inode_sync(inode);
    return ERR_NONE;
}

// What is clean but differs is what a failed sync gave up. The size is the inode's, which was not
// written either.
void sim_file_drop_cache(struct file *file) {
    struct sim_disk *disk = sim_disk_of(file->env);
    struct sim_inode *inode = file_of(file)->inode;
    if (!inode->sync_failed) return;
    inode->sync_failed = false;
    for (size_t sector = 0; sector * SIM_SECTOR < inode->live.size; sector++) {
        bool is_dirty = sector < inode->dirty.size && inode->dirty.data[sector];
        size_t from = sector * SIM_SECTOR, size = MIN(SIM_SECTOR, inode->live.size - from);
        if (is_dirty) continue;
        size_t there = from < inode->durable.size ? MIN(size, inode->durable.size - from) : 0;
        if (there > 0) memcpy(inode->live.data + from, inode->durable.data + from, there);
        memset(inode->live.data + from + there, 0, size - there);
    }
    sim_mix(disk->sim, inode->live.size);
}

bool sim_file_is_resident(struct file *file, uint64_t position, size_t size) {
    (void)position;
    (void)size;
    return sim_between(sim_disk_of(file->env)->sim, 0, 7) != 0;
}

// ---- What scenarios do to a disk ----

void sim_disk_fail(struct sim_node *node, enum sim_fault fault, uint64_t n) {
    node->disk->fail_in[fault] = n;
}
void sim_disk_set_capacity(struct sim_node *node, uint64_t bytes) {
    node->disk->capacity = bytes;
}
uint64_t sim_disk_used(const struct sim_node *node) {
    return node->disk->used;
}

static struct sim_inode *file_at(struct sim_node *node, const char *path) {
    struct sim_inode *inode = sim_path_find(node->disk, slice_cstring(path), NULL, NULL);
    return inode == NULL || inode->is_directory ? NULL : inode;
}

bool sim_disk_flip_bit(struct sim_node *node, const char *path, uint64_t position, int bit) {
    struct sim_inode *inode = file_at(node, path);
    if (inode == NULL || position >= inode->live.size) return false;
    inode->live.data[position] ^= (uint8_t)(1 << bit);
    if (position < inode->durable.size) inode->durable.data[position] ^= (uint8_t)(1 << bit);
    return true;
}

bool sim_disk_set_size(struct sim_node *node, const char *path, uint64_t size) {
    struct sim_inode *inode = file_at(node, path);
    if (inode == NULL) return false;
    inode_truncate(inode, size);
    inode_sync(inode);
    sim_inode_charge(node->disk, inode);
    return true;
}

const uint8_t *sim_disk_contents(struct sim_node *node, const char *path, uint64_t *size) {
    struct sim_inode *inode = file_at(node, path);
    if (inode == NULL) return NULL;
    *size = inode->live.size;
    return inode->live.size == 0 ? (const uint8_t *)"" : inode->live.data;
}
