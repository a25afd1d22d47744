// Names in directories.
#include "env/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"

char *posix_path(struct slice path) {
    if (path.data == NULL || memchr(path.data, '\0', path.size) != NULL) return NULL;
    char *text = memory_alloc(path.size + 1);
    memcpy(text, path.data, path.size);
    text[path.size] = '\0';
    return text;
}

enum err posix_stat(struct env *env, struct slice path, struct env_stat *out) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    struct stat status;
    enum err err = stat(text, &status) == 0 ? ERR_NONE : posix_error(errno);
    if (err == ERR_NONE)
        *out = (struct env_stat){S_ISDIR(status.st_mode), (uint64_t)status.st_size};
    memory_free(text);
    return err;
}

enum err posix_make_directory(struct env *env, struct slice path) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    enum err err = mkdir(text, 0755) == 0 ? ERR_NONE : posix_error(errno);
    memory_free(text);
    return err;
}

enum err posix_remove_directory(struct env *env, struct slice path) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    enum err err = rmdir(text) == 0 ? ERR_NONE : posix_error(errno);
    memory_free(text);
    return err;
}

enum err posix_rename(struct env *env, struct slice from, struct slice to) {
    char *from_text = posix_path(from), *to_text = posix_path(to);
    enum err err = ERR_INVALID;
    if (from_text != NULL && to_text != NULL) {
        err = posix_rename_tracked(&reactor_of(env)->process->descriptors, from_text, to_text);
    }
    memory_free(from_text);
    memory_free(to_text);
    return err;
}

enum err posix_unlink(struct env *env, struct slice path) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    enum err err = unlink(text) == 0 ? ERR_NONE : posix_error(errno);
    memory_free(text);
    return err;
}

enum err posix_sync_directory(struct env *env, struct slice path) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    int descriptor = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memory_free(text);
    if (descriptor < 0) return posix_error(errno);
    enum err err = fsync(descriptor) == 0 ? ERR_NONE : posix_error(errno);
    close(descriptor);
    return err;
}

struct names {
    char **text;
    size_t count;
    size_t capacity;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err read_names(const char *path, struct names *names) {
    DIR *directory = opendir(path);
    if (directory == NULL) return posix_error(errno);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (names->count == names->capacity) {
            names->capacity = MAX(names->capacity * 2, 64);
            names->text = memory_realloc(names->text, names->capacity, sizeof *names->text);
        }
        names->text[names->count++] = posix_path(slice_cstring(entry->d_name));
    }
    enum err err = posix_error(errno);
    closedir(directory);
    return err;
}

enum err posix_list_directory(struct env *env, struct slice path,
                              void (*entry)(void *context, struct slice name), void *context) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    struct names names = {0};
    enum err err = read_names(text, &names);
    if (err == ERR_NONE && names.count > 0) {
        qsort(names.text, names.count, sizeof *names.text, compare_names);
        for (size_t i = 0; i < names.count; i++)
            entry(context, slice_cstring(names.text[i]));
    }
    for (size_t i = 0; i < names.count; i++)
        memory_free(names.text[i]);
    memory_free(names.text);
    memory_free(text);
    return err;
}

enum err posix_disk_space(struct env *env, struct slice path, uint64_t *total, uint64_t *usable) {
    (void)env;
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    struct statvfs status;
    enum err err = statvfs(text, &status) == 0 ? ERR_NONE : posix_error(errno);
    if (err == ERR_NONE) {
        *total = (uint64_t)status.f_blocks * status.f_frsize;
        *usable = (uint64_t)status.f_bavail * status.f_frsize;
    }
    memory_free(text);
    return err;
}
