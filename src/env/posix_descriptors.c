// The cache of file descriptors: there may be many more open files (struct file) than descriptors.
//
// A file counts the calls that use its descriptor; -1 means that it has none. A call takes one
// count by compare-and-swap and needs no lock while the descriptor is there. Without one it takes
// the lock, opens the file again by its path, and makes room by closing a descriptor that nobody
// uses. Which one: the second-chance clock. All files with a descriptor stand in a ring; the hand
// passes those used since its last visit, and closes the first other one by swapping its count from
// 0 to -1, which fails if somebody just took it.
//
// Opening again goes by path, so renames of a file or of a directory above it move the paths of all
// open files there.
#include "env/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"

// A path that a file had before; file_path may have handed out a slice of it.
struct posix_path {
    struct posix_path *next;
    char *text;
};

void posix_descriptors_init(struct posix_descriptors *descriptors, uint32_t max) {
    *descriptors = (struct posix_descriptors){.open_max = max};
    pthread_mutex_init(&descriptors->lock, NULL);
    list_init(&descriptors->files);
    list_init(&descriptors->open);
}

void posix_descriptors_deinit(struct posix_descriptors *descriptors) {
    pthread_mutex_destroy(&descriptors->lock);
}

// With the lock held. Closes until there is room for one more; when all are in use, the cache grows
// beyond its size.
static void make_room(struct posix_descriptors *descriptors) {
    uint32_t steps = 2 * descriptors->open_count;
    while (descriptors->open_count >= descriptors->open_max && steps-- > 0) {
        struct list *link = list_pop(&descriptors->open);
        struct posix_file *file = container_of(link, struct posix_file, open);
        int unused = 0;
        if (file->pinned || atomic_exchange(&file->recently_used, false) ||
            !atomic_compare_exchange_strong(&file->users, &unused, -1)) {
            list_append(&descriptors->open, link);
            continue;
        }
        close(file->descriptor);
        descriptors->open_count--;
    }
}

// With the lock held: the file has a descriptor now, and `users` callers.
static void publish(struct posix_descriptors *descriptors, struct posix_file *file, int descriptor,
                    int users) {
    file->descriptor = descriptor;
    list_append(&descriptors->open, &file->open);
    descriptors->open_count++;
    atomic_store(&file->users, users);
}

void posix_file_register(struct posix_file *file, int descriptor) {
    struct posix_descriptors *descriptors = &file->process->descriptors;
    list_init(&file->open);
    pthread_mutex_lock(&descriptors->lock);
    list_append(&descriptors->files, &file->all);
    make_room(descriptors);
    publish(descriptors, file, descriptor, 0);
    pthread_mutex_unlock(&descriptors->lock);
}

void posix_file_unregister(struct posix_file *file) {
    struct posix_descriptors *descriptors = &file->process->descriptors;
    pthread_mutex_lock(&descriptors->lock);
    int users = atomic_load(&file->users);
    assert(users <= 0);
    if (users == 0) {
        close(file->descriptor);
        list_remove(&file->open);
        descriptors->open_count--;
    }
    list_remove(&file->all);
    pthread_mutex_unlock(&descriptors->lock);
    while (file->old_paths != NULL) {
        struct posix_path *path = file->old_paths;
        file->old_paths = path->next;
        memory_free(path->text);
        memory_free(path);
    }
    memory_free(atomic_load(&file->path));
}

static bool take(struct posix_file *file) {
    int users = atomic_load(&file->users);
    while (users >= 0) {
        if (atomic_compare_exchange_weak(&file->users, &users, users + 1)) return true;
    }
    return false;
}

enum err posix_file_acquire(struct posix_file *file, int *descriptor) {
    if (!atomic_load_explicit(&file->recently_used, memory_order_relaxed)) {
        atomic_store_explicit(&file->recently_used, true, memory_order_relaxed);
    }
    enum err err = ERR_NONE;
    if (!take(file)) {
        struct posix_descriptors *descriptors = &file->process->descriptors;
        pthread_mutex_lock(&descriptors->lock);
        if (!take(file)) {  // nobody was faster
            make_room(descriptors);
            int opened = open(atomic_load(&file->path), file->flags);
            if (opened >= 0) {
                publish(descriptors, file, opened, 1);
            } else {
                // A file that is open here must be there: whatever the reason is, it is a failure
                // of the disk.
                err = errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_IO;
            }
        }
        pthread_mutex_unlock(&descriptors->lock);
    }
    if (err == ERR_NONE) *descriptor = file->descriptor;
    return err;
}

void posix_file_release(struct posix_file *file) {
    atomic_fetch_sub(&file->users, 1);
}

// With the lock held; takes `text`.
static void change_path(struct posix_file *file, char *text) {
    struct posix_path *old = memory_alloc(sizeof *old);
    old->text = atomic_exchange(&file->path, text);
    old->next = file->old_paths;
    file->old_paths = old;
}

static void move_paths(struct posix_descriptors *descriptors, const char *from, const char *to) {
    size_t from_size = strlen(from), to_size = strlen(to);
    list_for_each(link, &descriptors->files) {
        struct posix_file *file = container_of(link, struct posix_file, all);
        const char *path = atomic_load(&file->path);
        if (strncmp(path, from, from_size) != 0) continue;
        const char *rest = path + from_size;
        if (*rest != '\0' && *rest != '/') continue;
        size_t rest_size = strlen(rest);
        char *text = memory_alloc(to_size + rest_size + 1);
        memcpy(text, to, to_size);
        memcpy(text + to_size, rest, rest_size + 1);
        change_path(file, text);
    }
}

// Renames and moves the paths of open files as one step: nobody opens a descriptor again by an old
// path in between.
enum err posix_rename_tracked(struct posix_descriptors *descriptors, const char *from,
                              const char *to) {
    enum err err = ERR_NONE;
    pthread_mutex_lock(&descriptors->lock);
    if (rename(from, to) == 0) {
        move_paths(descriptors, from, to);
    } else {
        err = posix_error(errno);
    }
    pthread_mutex_unlock(&descriptors->lock);
    return err;
}
