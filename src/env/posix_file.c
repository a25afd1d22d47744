// Files of the real world: positioned reads and writes, never the file offset, so that one
// descriptor serves all threads.
#include "env/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"

// One system call takes at most so many parts and bytes.
#define CALL_PARTS 256
#define PROBE_STEP ((size_t)64 << 10)

static struct posix_file *posix_file_of(const struct file *file) {
    return container_of(file, struct posix_file, file);
}

enum err posix_error(int number) {
    switch (number) {
        case 0:
            return ERR_NONE;
        case ENOENT:
        case ENOTDIR:
            return ERR_NOT_FOUND;
        case EEXIST:
        case ENOTEMPTY:
            return ERR_EXISTS;
        case EACCES:
        case EPERM:
        case EROFS:
            return ERR_ACCESS;
        case ENOSPC:
        case EDQUOT:
            return ERR_NO_SPACE;
        case EMFILE:
        case ENFILE:
            return ERR_LIMIT;
        default:
            return ERR_IO;
    }
}

// ---- Open, close, rename ----

static enum err open_path(struct env *env, char *path, int flags, int create_flags, bool pinned,
                          struct posix_file **out) {
    int descriptor = open(path, flags | create_flags, 0644);
    if (descriptor < 0) return posix_error(errno);
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(descriptor);
        return ERR_IO;
    }
    struct posix_file *file = memory_zalloc(1, sizeof *file);
    world_file_init(&file->file, env);
    file->process = reactor_of(env)->process;
    atomic_init(&file->path, path);
    file->flags = flags;
    file->pinned = pinned;
    posix_file_register(file, descriptor);
    *out = file;
    return ERR_NONE;
}

enum err posix_file_open(struct env *env, struct slice path, enum file_mode mode,
                         struct file **file) {
    static const int creation[] = {[FILE_CREATE] = O_CREAT, [FILE_CREATE_NEW] = O_CREAT | O_EXCL};
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    int flags = (mode == FILE_READ ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    struct posix_file *opened = NULL;
    enum err err = open_path(env, text, flags, creation[mode], false, &opened);
    if (err != ERR_NONE) {
        memory_free(text);
        return err;
    }
    *file = &opened->file;
    return ERR_NONE;
}

// A lock of the open file description: it conflicts with Java's FileLock (a lock of the process),
// but is not lost when another descriptor of the same file is closed.
enum err posix_file_lock(struct env *env, struct slice path, struct file **file) {
    char *text = posix_path(path);
    if (text == NULL) return ERR_INVALID;
    struct posix_file *opened = NULL;
    enum err err = open_path(env, text, O_RDWR | O_CLOEXEC, O_CREAT, true, &opened);
    if (err != ERR_NONE) {
        memory_free(text);
        return err;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(opened->descriptor, F_OFD_SETLK, &lock) != 0) {
        err = errno == EAGAIN || errno == EACCES ? ERR_ACCESS_LOCKED : posix_error(errno);
        posix_file_close(&opened->file);
        return err;
    }
    *file = &opened->file;
    return ERR_NONE;
}

void posix_file_close(struct file *file) {
    struct posix_file *own = posix_file_of(file);
    posix_file_unregister(own);
    memory_free(own);
}

enum err posix_file_rename(struct file *file, struct slice path) {
    struct posix_file *own = posix_file_of(file);
    char *to = posix_path(path);
    if (to == NULL) return ERR_INVALID;
    enum err err = posix_rename_tracked(&own->process->descriptors, atomic_load(&own->path), to);
    memory_free(to);
    return err;
}

struct slice posix_file_path(const struct file *file) {
    return slice_cstring(atomic_load(&posix_file_of(file)->path));
}

// ---- Reading and writing ----

enum err posix_file_size(struct file *file, uint64_t *size) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    enum err err = posix_file_acquire(own, &descriptor);
    if (err != ERR_NONE) return err;
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        err = ERR_IO;
    } else {
        *size = (uint64_t)status.st_size;
    }
    posix_file_release(own);
    return err;
}

enum err posix_file_read(struct file *file, uint64_t position, void *data, size_t size,
                         size_t *got) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    enum err err = posix_file_acquire(own, &descriptor);
    if (err != ERR_NONE) return err;
    size_t done = 0;
    while (done < size) {
        ssize_t n =
            pread(descriptor, (uint8_t *)data + done, size - done, (off_t)(position + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = ERR_IO;
        if (n <= 0) break;
        done += (size_t)n;
    }
    posix_file_release(own);
    if (err == ERR_NONE) *got = done;
    return err;
}

// Fills `vector` with what is left of the parts after the first `skip` bytes of the first of them.
static int fill_vector(struct iovec vector[CALL_PARTS], const struct slice *parts, size_t count,
                       size_t skip) {
    int used = 0;
    for (size_t i = 0; i < count && used < CALL_PARTS; i++) {
        size_t from = i == 0 ? skip : 0;
        vector[used++] =
            (struct iovec){(void *)(uintptr_t)(parts[i].data + from), parts[i].size - from};
    }
    return used;
}

enum err posix_file_write(struct file *file, uint64_t position, const struct slice *parts,
                          size_t part_count) {
    struct posix_file *own = posix_file_of(file);
    struct iovec vector[CALL_PARTS];
    int descriptor;
    enum err err = posix_file_acquire(own, &descriptor);
    if (err != ERR_NONE) return err;
    size_t skip = 0;  // bytes of parts[0] that are written
    while (part_count > 0) {
        if (parts->size == skip) {
            parts++, part_count--, skip = 0;
            continue;
        }
        int used = fill_vector(vector, parts, part_count, skip);
        ssize_t n = pwritev(descriptor, vector, used, (off_t)position);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            err = n < 0 ? posix_error(errno) : ERR_IO;
            break;
        }
        position += (size_t)n;
        size_t left = (size_t)n + skip;
        skip = 0;
        while (left > 0 && left >= parts->size) {
            left -= parts->size;
            parts++, part_count--;
            if (part_count == 0) break;
        }
        skip = left;
    }
    posix_file_release(own);
    return err;
}

enum err posix_file_truncate(struct file *file, uint64_t size) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    enum err err = posix_file_acquire(own, &descriptor);
    if (err != ERR_NONE) return err;
    if (ftruncate(descriptor, (off_t)size) != 0) err = posix_error(errno);
    posix_file_release(own);
    return err;
}

enum err posix_file_allocate(struct file *file, uint64_t size) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    enum err err = posix_file_acquire(own, &descriptor);
    if (err != ERR_NONE) return err;
    if (fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) != 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS) {
        err = posix_error(errno);
    }
    posix_file_release(own);
    return err;
}

enum err posix_file_sync(struct file *file) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    enum err err = posix_file_acquire(own, &descriptor);
    if (err != ERR_NONE) return err;
    if (fdatasync(descriptor) != 0) err = posix_error(errno);
    posix_file_release(own);
    return err;
}

void posix_file_drop_cache(struct file *file) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    if (posix_file_acquire(own, &descriptor) != ERR_NONE) return;
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    posix_file_release(own);
}

// One byte of every 64 KiB and the last one: read-ahead brings pages in larger pieces than that.
bool posix_file_is_resident(struct file *file, uint64_t position, size_t size) {
    struct posix_file *own = posix_file_of(file);
    int descriptor;
    if (size == 0) return true;
    if (posix_file_acquire(own, &descriptor) != ERR_NONE) return false;
    bool resident = true;
    for (size_t at = 0; resident;) {
        uint8_t byte;
        struct iovec vector = {&byte, 1};
        ssize_t n = preadv2(descriptor, &vector, 1, (off_t)(position + at), RWF_NOWAIT);
        // A file system that cannot tell answers EOPNOTSUPP: then nothing is gained by asking.
        if (n < 0 && errno == EAGAIN) resident = false;
        if (n <= 0 || at == size - 1) break;
        at = MIN(at + PROBE_STEP, size - 1);
    }
    posix_file_release(own);
    return resident;
}
