// The names of a simulated disk.
//
// A directory has its names twice, live and durable, and the changes between the two in order.
// Syncing the directory makes all of them durable. A power cut keeps the first few of them, by the
// seed: file systems write changes of names in order. Syncing a file does not make its name
// durable: ext4 does that, POSIX does not promise it.
#include "sim/disk.h"

#include <stdlib.h>

#include "base/assert.h"

char *sim_text(struct slice s) {
    char *text = sim_alloc(s.size + 1);
    if (s.size > 0) memcpy(text, s.data, s.size);
    return text;
}

// ---- Tables of names ----

static struct sim_entry *table_find(const struct sim_table *table, struct slice name) {
    for (size_t i = 0; i < table->count; i++) {
        if (slice_equal_cstring(name, table->entries[i].name)) return &table->entries[i];
    }
    return NULL;
}

static void table_put(struct sim_table *table, struct slice name, struct sim_inode *inode) {
    assert(table_find(table, name) == NULL);
    if (table->count == table->capacity) {
        table->capacity = MAX(table->capacity * 2, 8);
        table->entries = realloc(table->entries, table->capacity * sizeof *table->entries);
        if (table->entries == NULL) fatal("out of memory in the simulation");
    }
    table->entries[table->count++] = (struct sim_entry){sim_text(name), inode};
    inode->references++;
}

// Returns the inode with the table's reference; NULL when there is none.
static struct sim_inode *table_take(struct sim_table *table, struct slice name) {
    struct sim_entry *entry = table_find(table, name);
    if (entry == NULL) return NULL;
    struct sim_inode *inode = entry->inode;
    free(entry->name);
    *entry = table->entries[--table->count];
    return inode;
}

static void table_clear(struct sim_disk *disk, struct sim_table *table) {
    while (table->count > 0) {
        struct sim_entry *entry = &table->entries[--table->count];
        free(entry->name);
        sim_inode_unref(disk, entry->inode);
    }
    free(table->entries);
    *table = (struct sim_table){0};
}

// ---- Changes ----

static void change_free(struct sim_disk *disk, struct sim_change *change) {
    if (change->inode != NULL) sim_inode_unref(disk, change->inode);
    free(change->name);
    free(change->to);
    free(change);
}

static void change_note(struct sim_inode *directory, enum sim_change_kind kind, struct slice name,
                        struct slice to, struct sim_inode *inode) {
    struct sim_change *change = sim_alloc(sizeof *change);
    *change = (struct sim_change){NULL, kind, sim_text(name), sim_text(to), inode};
    if (inode != NULL) inode->references++;
    *directory->changes_end = change;
    directory->changes_end = &change->next;
}

static void table_apply(struct sim_disk *disk, struct sim_table *table,
                        const struct sim_change *change) {
    struct slice name = slice_cstring(change->name), to = slice_cstring(change->to);
    struct sim_inode *gone = NULL;
    switch (change->kind) {
        case SIM_CHANGE_ADD:
            table_put(table, name, change->inode);
            break;
        case SIM_CHANGE_REMOVE:
            gone = table_take(table, name);
            break;
        case SIM_CHANGE_RENAME: {
            struct sim_inode *moved = table_take(table, name);
            gone = table_take(table, to);
            table_put(table, to, moved);
            sim_inode_unref(disk, moved);
            break;
        }
    }
    if (gone != NULL) sim_inode_unref(disk, gone);
}

// Makes the first `count` changes durable and forgets the others.
static void directory_settle(struct sim_disk *disk, struct sim_inode *directory, size_t count) {
    struct sim_change *change = directory->changes;
    while (change != NULL) {
        struct sim_change *next = change->next;
        if (count > 0) {
            count--;
            table_apply(disk, &directory->durable_names_in, change);
        }
        change_free(disk, change);
        change = next;
    }
    directory->changes = NULL;
    directory->changes_end = &directory->changes;
}

void sim_directory_lose_unsynced(struct sim_disk *disk, struct sim_inode *directory) {
    size_t count = 0, kept;
    for (struct sim_change *c = directory->changes; c != NULL; c = c->next)
        count++;
    switch (sim_between(disk->sim, 0, 2)) {
        case 0:
            kept = 0;
            break;
        case 1:
            kept = count;
            break;
        default:
            kept = (size_t)sim_between(disk->sim, 0, count);
            break;
    }
    disk->sim->counts.names_lost += count - kept;
    directory_settle(disk, directory, kept);
    for (size_t i = 0; i < directory->live_names_in.count; i++) {
        directory->live_names_in.entries[i].inode->live_names--;
    }
    table_clear(disk, &directory->live_names_in);
    for (size_t i = 0; i < directory->durable_names_in.count; i++) {
        struct sim_entry *entry = &directory->durable_names_in.entries[i];
        table_put(&directory->live_names_in, slice_cstring(entry->name), entry->inode);
        entry->inode->live_names++;
    }
}

void sim_directory_clear(struct sim_disk *disk, struct sim_inode *directory) {
    directory_settle(disk, directory, 0);
    table_clear(disk, &directory->live_names_in);
    table_clear(disk, &directory->durable_names_in);
}

void sim_directory_add(struct sim_disk *disk, struct sim_inode *directory, struct slice name,
                       struct sim_inode *inode) {
    table_put(&directory->live_names_in, name, inode);
    inode->live_names++;
    change_note(directory, SIM_CHANGE_ADD, name, SLICE_EMPTY, inode);
    sim_inode_charge(disk, inode);
}

static void directory_remove(struct sim_disk *disk, struct sim_inode *directory,
                             struct slice name) {
    struct sim_inode *inode = table_take(&directory->live_names_in, name);
    inode->live_names--;
    sim_inode_charge(disk, inode);
    change_note(directory, SIM_CHANGE_REMOVE, name, SLICE_EMPTY, NULL);
    sim_inode_unref(disk, inode);
}

// ---- Paths ----

struct sim_inode *sim_path_find(struct sim_disk *disk, struct slice path,
                                struct sim_inode **directory, struct slice *name) {
    struct sim_inode *at = disk->root, *above = NULL;
    struct slice last = SLICE_EMPTY;
    size_t i = 0;
    for (;;) {
        while (i < path.size && path.data[i] == '/')
            i++;
        size_t end = i;
        while (end < path.size && path.data[end] != '/')
            end++;
        if (end == i) break;
        struct slice part = slice_sub(path, i, end - i);
        i = end;
        if (slice_equal_cstring(part, ".")) continue;
        above = at != NULL && at->is_directory ? at : NULL;
        last = part;
        struct sim_entry *entry = above == NULL ? NULL : table_find(&above->live_names_in, part);
        at = entry == NULL ? NULL : entry->inode;
    }
    if (directory != NULL) *directory = above;
    if (name != NULL) *name = last;
    return at;
}

void sim_paths_moved(struct sim_disk *disk, struct slice from, struct slice to) {
    list_for_each(link, &disk->files) {
        struct sim_file *file = container_of(link, struct sim_file, open);
        struct slice path = slice_cstring(file->path);
        if (!slice_starts_with(path, from)) continue;
        struct slice rest = slice_sub(path, from.size, path.size - from.size);
        if (rest.size > 0 && rest.data[0] != '/') continue;
        struct sim_old_path *old = sim_alloc(sizeof *old);
        *old = (struct sim_old_path){file->old_paths, file->path};
        file->old_paths = old;
        file->path = sim_alloc(to.size + rest.size + 1);
        memcpy(file->path, to.data, to.size);
        memcpy(file->path + to.size, rest.data, rest.size);
    }
}

// ---- The world's functions ----

enum err sim_stat(struct env *env, struct slice path, struct env_stat *stat) {
    struct sim_inode *inode = sim_path_find(sim_disk_of(env), path, NULL, NULL);
    if (inode == NULL) return ERR_NOT_FOUND;
    *stat = (struct env_stat){inode->is_directory, inode->live.size};
    return ERR_NONE;
}

enum err sim_make_directory(struct env *env, struct slice path) {
    struct sim_disk *disk = sim_disk_of(env);
    struct sim_inode *directory;
    struct slice name;
    if (sim_path_find(disk, path, &directory, &name) != NULL) return ERR_EXISTS;
    if (directory == NULL) return ERR_NOT_FOUND;
    if (!sim_disk_operation(disk)) return ERR_IO;
    if (disk->used + SIM_BLOCK > disk->capacity) return ERR_NO_SPACE;
    sim_directory_add(disk, directory, name, sim_inode_new(disk, true));
    return ERR_NONE;
}

enum err sim_remove_directory(struct env *env, struct slice path) {
    struct sim_disk *disk = sim_disk_of(env);
    struct sim_inode *directory;
    struct slice name;
    struct sim_inode *inode = sim_path_find(disk, path, &directory, &name);
    if (inode == NULL) return ERR_NOT_FOUND;
    if (!inode->is_directory || directory == NULL) return ERR_IO;
    if (inode->live_names_in.count > 0) return ERR_EXISTS;
    if (!sim_disk_operation(disk)) return ERR_IO;
    directory_remove(disk, directory, name);
    return ERR_NONE;
}

enum err sim_unlink(struct env *env, struct slice path) {
    struct sim_disk *disk = sim_disk_of(env);
    struct sim_inode *directory;
    struct slice name;
    struct sim_inode *inode = sim_path_find(disk, path, &directory, &name);
    if (inode == NULL) return ERR_NOT_FOUND;
    if (inode->is_directory) return ERR_IO;
    if (inode->open_count > 0)
        fatal("unlinked while open (env.h forbids it): %.*s", SLICE_PRINT(path));
    if (!sim_disk_operation(disk)) return ERR_IO;
    directory_remove(disk, directory, name);
    return ERR_NONE;
}

// Across directories everything is durable at once: a lenient corner that nothing uses.
static void move_between(struct sim_disk *disk, struct sim_inode *from, struct slice from_name,
                         struct sim_inode *to, struct slice to_name, struct sim_inode *inode) {
    inode->references++;
    directory_remove(disk, from, from_name);
    if (table_find(&to->live_names_in, to_name) != NULL) directory_remove(disk, to, to_name);
    sim_directory_add(disk, to, to_name, inode);
    directory_settle(disk, from, SIZE_MAX);
    directory_settle(disk, to, SIZE_MAX);
    sim_inode_unref(disk, inode);
}

static void move_within(struct sim_disk *disk, struct sim_inode *directory, struct slice from,
                        struct slice to) {
    struct sim_inode *moved = table_take(&directory->live_names_in, from);
    struct sim_inode *replaced = table_take(&directory->live_names_in, to);
    table_put(&directory->live_names_in, to, moved);
    sim_inode_unref(disk, moved);
    change_note(directory, SIM_CHANGE_RENAME, from, to, NULL);
    if (replaced == NULL) return;
    replaced->live_names--;
    sim_inode_charge(disk, replaced);
    sim_inode_unref(disk, replaced);
}

enum err sim_rename(struct env *env, struct slice from, struct slice to) {
    struct sim_disk *disk = sim_disk_of(env);
    struct sim_inode *from_directory, *to_directory;
    struct slice from_name, to_name;
    struct sim_inode *inode = sim_path_find(disk, from, &from_directory, &from_name);
    struct sim_inode *target = sim_path_find(disk, to, &to_directory, &to_name);
    if (inode == NULL || to_directory == NULL) return ERR_NOT_FOUND;
    if (inode == target) return ERR_NONE;
    if (target != NULL && target->is_directory && target->live_names_in.count > 0)
        return ERR_EXISTS;
    if (!sim_disk_operation(disk)) return ERR_IO;
    if (from_directory == to_directory) {
        move_within(disk, from_directory, from_name, to_name);
    } else {
        move_between(disk, from_directory, from_name, to_directory, to_name, inode);
    }
    sim_paths_moved(disk, from, to);
    return ERR_NONE;
}

enum err sim_sync_directory(struct env *env, struct slice path) {
    struct sim_disk *disk = sim_disk_of(env);
    struct sim_inode *inode = sim_path_find(disk, path, NULL, NULL);
    if (inode == NULL || !inode->is_directory) return ERR_NOT_FOUND;
    if (!sim_disk_operation(disk)) return ERR_IO;
    if (sim_disk_faults(disk, SIM_FAULT_SYNC)) return ERR_IO;
    directory_settle(disk, inode, SIZE_MAX);
    return ERR_NONE;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum err sim_list_directory(struct env *env, struct slice path,
                            void (*entry)(void *context, struct slice name), void *context) {
    struct sim_inode *inode = sim_path_find(sim_disk_of(env), path, NULL, NULL);
    if (inode == NULL || !inode->is_directory) return ERR_NOT_FOUND;
    size_t count = inode->live_names_in.count;
    if (count == 0) return ERR_NONE;
    char **names = sim_alloc(count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = sim_text(slice_cstring(inode->live_names_in.entries[i].name));
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++)
        entry(context, slice_cstring(names[i]));
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return ERR_NONE;
}

enum err sim_disk_space(struct env *env, struct slice path, uint64_t *total, uint64_t *usable) {
    (void)path;
    const struct sim_disk *disk = sim_disk_of(env);
    *total = disk->capacity;
    *usable = disk->capacity > disk->used ? disk->capacity - disk->used : 0;
    return ERR_NONE;
}
