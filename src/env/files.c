// Whole files and trees, over the functions of env.h only: the same in both worlds.
#include "env/world.h"

#include "base/memory.h"
#include "base/string_buffer.h"

enum err env_read_file(struct env *env, struct slice path, size_t max, uint8_t **data,
                       size_t *size) {
    struct file *file;
    enum err err = file_open(env, path, FILE_READ, &file);
    if (err != ERR_NONE) return err;
    uint8_t *bytes = NULL;
    uint64_t length;
    size_t got;
    err = file_size(file, &length);
    if (err != ERR_NONE) goto out;
    if (length > max) {
        err = ERR_LIMIT;
        goto out;
    }
    bytes = memory_alloc((size_t)length + 1);  // a NUL behind it: text may be read as a C string
    err = file_read(file, 0, bytes, (size_t)length, &got);
    if (err != ERR_NONE) goto out;
    bytes[got] = '\0';
    *data = bytes;
    *size = got;
    bytes = NULL;
out:
    memory_free(bytes);
    file_close(file);
    return err;
}

// The directory that holds `path`: "." for a bare name.
static struct slice directory_of(struct slice path) {
    size_t end = path.size;
    while (end > 0 && path.data[end - 1] != '/')
        end--;
    if (end == 0) return SLICE_LITERAL(".");
    return slice_sub(path, 0, end == 1 ? 1 : end - 1);
}

static enum err write_synced(struct env *env, struct slice path, struct slice contents) {
    struct file *file;
    enum err err = file_open(env, path, FILE_CREATE, &file);
    if (err != ERR_NONE) return err;
    err = file_truncate(file, 0);
    if (err == ERR_NONE) err = file_write(file, 0, contents.data, contents.size);
    if (err == ERR_NONE) err = file_sync(file);
    file_close(file);
    return err;
}

enum err env_replace_file(struct env *env, struct slice path, struct slice contents) {
    struct string_buffer temporary;
    string_buffer_init(&temporary);
    string_buffer_append(&temporary, path);
    string_buffer_append(&temporary, SLICE_LITERAL(".tmp"));
    enum err err = write_synced(env, string_buffer_slice(&temporary), contents);
    if (err == ERR_NONE) err = env_rename(env, string_buffer_slice(&temporary), path);
    if (err == ERR_NONE) err = env_sync_directory(env, directory_of(path));
    string_buffer_deinit(&temporary);
    return err;
}

enum err env_make_directories(struct env *env, struct slice path) {
    struct env_stat stat;
    enum err err = env_stat(env, path, &stat);
    if (err == ERR_NONE) return stat.is_directory ? ERR_NONE : ERR_EXISTS;
    if (err != ERR_NOT_FOUND) return err;
    struct slice parent = directory_of(path);
    if (parent.size < path.size && !slice_equal(parent, SLICE_LITERAL("."))) {
        err = env_make_directories(env, parent);
        if (err != ERR_NONE) return err;
    }
    err = env_make_directory(env, path);
    return err == ERR_EXISTS ? ERR_NONE : err;
}

struct remove_walk {
    struct env *env;
    struct slice directory;
    enum err err;  // the first one
};

static enum err remove_any(struct env *env, struct slice path);

static void remove_entry(void *context, struct slice name) {
    struct remove_walk *walk = context;
    if (walk->err != ERR_NONE) return;
    struct string_buffer path;
    string_buffer_init(&path);
    string_buffer_append(&path, walk->directory);
    string_buffer_append_char(&path, '/');
    string_buffer_append(&path, name);
    walk->err = remove_any(walk->env, string_buffer_slice(&path));
    string_buffer_deinit(&path);
}

static enum err remove_any(struct env *env, struct slice path) {
    // Unlink first: a symbolic link to a directory goes, what it points to stays.
    enum err err = env_unlink(env, path);
    if (err == ERR_NONE || err == ERR_NOT_FOUND) return ERR_NONE;
    struct env_stat stat;
    if (env_stat(env, path, &stat) != ERR_NONE || !stat.is_directory) return err;
    struct remove_walk walk = {.env = env, .directory = path, .err = ERR_NONE};
    err = env_list_directory(env, path, remove_entry, &walk);
    if (err == ERR_NONE) err = walk.err;
    return err == ERR_NONE ? env->world->remove_directory(env, path) : err;
}

enum err env_remove_tree(struct env *env, struct slice path) {
    return remove_any(env, path);
}
