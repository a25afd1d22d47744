// Files and directories of the real world.
#include "test/env/posix_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/string_buffer.h"

static struct file *open_new(struct fixture *f, const char *name) {
    struct file *file;
    assert_int_equal(file_open(f->env, path_in(f, name), FILE_CREATE_NEW, &file), ERR_NONE);
    return file;
}

static void assert_contents(struct fixture *f, const char *name, const char *expected) {
    uint8_t *data;
    size_t size;
    assert_int_equal(env_read_file(f->env, path_in(f, name), 1 << 20, &data, &size), ERR_NONE);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(data, expected, size);
    memory_free(data);
}

// ---- Submitted writes ----

struct write {
    struct file_write_op op;
    struct slice parts[2];
    int *order;
    int at;
    enum err result;
    bool completed;
};
static void write_done(struct file_write_op *op, enum err result) {
    struct write *w = container_of(op, struct write, op);
    w->at = (*w->order)++;
    w->result = result;
    w->completed = true;
}
static void submit(struct fixture *f, struct write *w, struct file *file, uint64_t position,
                   const char *a, const char *b, int *order) {
    *w = (struct write){.order = order};
    w->parts[0] = slice_cstring(a);
    w->parts[1] = slice_cstring(b);
    w->op = (struct file_write_op){
        .file = file, .position = position, .parts = w->parts, .part_count = 2, .done = write_done};
    file_write_start(f->env, &w->op);
    assert_false(w->completed);
}

static void writes_go_out_at_the_end_of_the_pass_in_order(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    struct file *one = open_new(&f, "one"), *two = open_new(&f, "two");
    struct write w[5];
    int order = 0;
    submit(&f, &w[0], one, 0, "ab", "c", &order);
    submit(&f, &w[1], two, 0, "x", "", &order);
    submit(&f, &w[2], one, 3, "", "def", &order);
    submit(&f, &w[3], one, 8, "8", "9", &order);  // a hole before it
    submit(&f, &w[4], one, 1, "B", "C", &order);  // overwrites what the first one wrote
    env_posix_pass(f.posix, UINT64_MAX);
    assert_int_equal(order, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(w[i].result, ERR_NONE);
    assert_true(w[0].at < w[2].at && w[2].at < w[3].at && w[3].at < w[4].at);
    uint8_t bytes[16];
    size_t got;
    assert_int_equal(file_read(one, 0, bytes, sizeof bytes, &got), ERR_NONE);
    assert_int_equal(got, 10);
    assert_memory_equal(bytes,
                        "aBCdef\0\08"
                        "9",
                        10);
    assert_true(file_is_resident(one, 0, 10));
    file_drop_cache(one);  // takes nothing away
    assert_int_equal(file_read(one, 0, bytes, sizeof bytes, &got), ERR_NONE);
    assert_memory_equal(bytes, "aBC", 3);
    file_close(one);
    file_close(two);
    assert_contents(&f, "two", "x");
    fixture_deinit(&f);
}

static void many_parts_in_one_write(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    struct file *file = open_new(&f, "many");
    enum { PARTS = 1500 };
    struct slice parts[PARTS];
    uint8_t bytes[PARTS + 1];
    for (int i = 0; i < PARTS; i++) {
        bytes[i] = (uint8_t)i;
        parts[i] = slice_of(&bytes[i], 1);
    }
    int order = 0;
    struct write w = {.order = &order}, tail = {.order = &order};
    w.op = (struct file_write_op){
        .file = file, .parts = parts, .part_count = PARTS, .done = write_done};
    file_write_start(f.env, &w.op);
    submit(&f, &tail, file, PARTS, "end", "", &order);
    env_posix_pass(f.posix, UINT64_MAX);
    assert_int_equal(w.result, ERR_NONE);
    uint8_t back[PARTS + 10];
    size_t got;
    assert_int_equal(file_read(file, 0, back, sizeof back, &got), ERR_NONE);
    assert_int_equal(got, PARTS + 3);
    assert_memory_equal(back, bytes, PARTS);
    assert_memory_equal(back + PARTS, "end", 3);
    file_close(file);
    fixture_deinit(&f);
}

static void a_failed_write_fails_those_behind_it(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    struct file *file = open_new(&f, "limited");
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){100, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    struct write w[3];
    int order = 0;
    submit(&f, &w[0], file, 0, "fits", "", &order);
    submit(&f, &w[1], file, 1000, "does not", "", &order);
    submit(&f, &w[2], file, 10, "would", "", &order);
    env_posix_pass(f.posix, UINT64_MAX);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(w[0].result, ERR_NONE);
    assert_int_equal(w[1].result, ERR_IO);
    assert_int_equal(w[2].result, ERR_IO);
    uint64_t size;
    assert_int_equal(file_size(file, &size), ERR_NONE);
    assert_int_equal(size, 4);
    file_close(file);
    fixture_deinit(&f);
}

// ---- Syncs ----

struct sync {
    struct file_sync_op op;
    int *order;
    int at;
    bool completed;
    struct sync *then;  // started from this one's `done`
    struct env *env;
};
static void sync_done(struct file_sync_op *op, enum err result) {
    struct sync *s = container_of(op, struct sync, op);
    assert_int_equal(result, ERR_NONE);
    s->at = (*s->order)++;
    s->completed = true;
    if (s->then != NULL) file_sync_start(s->env, &s->then->op);
}
static void syncs_complete_in_order(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    struct file *file = open_new(&f, "synced");
    assert_int_equal(file_write(file, 0, "data", 4), ERR_NONE);
    int order = 0;
    struct sync s[4];
    for (int i = 0; i < 4; i++) {
        s[i] =
            (struct sync){.op = {.file = file, .done = sync_done}, .order = &order, .env = f.env};
    }
    s[1].then = &s[3];
    file_sync_start(f.env, &s[0].op);
    file_sync_start(f.env, &s[1].op);
    env_posix_pass(f.posix, 0);        // the sync of these two is under way
    file_sync_start(f.env, &s[2].op);  // waits for the next one
    pass_until(&f, &s[3].completed);
    assert_int_equal(s[0].at, 0);
    assert_int_equal(s[1].at, 1);
    assert_int_equal(s[2].at, 2);
    assert_int_equal(s[3].at, 3);
    file_close(file);
    fixture_deinit(&f);
}

// ---- The descriptor cache ----

static size_t descriptors_in_use(void) {
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void more_files_than_descriptors(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){.descriptors_max = 4});
    size_t before = descriptors_in_use();
    enum { FILES = 40 };
    struct file *files[FILES];
    assert_int_equal(env_make_directory(f.env, path_in(&f, "d")), ERR_NONE);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "d/%02d", i);
        files[i] = open_new(&f, name);
        assert_int_equal(file_write(files[i], 0, name, 4), ERR_NONE);
    }
    assert_true(descriptors_in_use() <= before + 4);
    // They follow when their directory moves, and when they are renamed themselves.
    char from[128];
    strcpy(from, (const char *)path_in(&f, "d").data);
    assert_int_equal(env_rename(f.env, slice_cstring(from), path_in(&f, "moved")), ERR_NONE);
    assert_int_equal(file_rename(files[7], path_in(&f, "moved/seven")), ERR_NONE);
    assert_true(slice_ends_with(file_path(files[7]), SLICE_LITERAL("/moved/seven")));
    assert_true(slice_ends_with(file_path(files[8]), SLICE_LITERAL("/moved/08")));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < FILES; i++) {
            char name[16], back[8] = "";
            size_t got;
            snprintf(name, sizeof name, "d/%02d", i);
            assert_int_equal(file_read(files[i], 0, back, sizeof back, &got), ERR_NONE);
            assert_int_equal(got, 4);
            assert_memory_equal(back, name, 4);
            assert_int_equal(file_write(files[i], 2, name + 2, 2), ERR_NONE);
            assert_int_equal(file_sync(files[i]), ERR_NONE);
        }
    }
    assert_true(descriptors_in_use() <= before + 4);
    for (int i = 0; i < FILES; i++)
        file_close(files[i]);
    assert_int_equal(descriptors_in_use(), before);
    fixture_deinit(&f);
}

struct reader_job {
    struct env_job job;
    struct file **files;
    int count;
    bool failed;
    int *left;
    bool *done;
};
static void reader_run(struct env_job *job) {
    struct reader_job *r = container_of(job, struct reader_job, job);
    for (int i = 0; i < 20 * r->count; i++) {
        uint8_t byte;
        size_t got = 0;
        struct file *file = r->files[i % r->count];
        if (file_read(file, 0, &byte, 1, &got) != ERR_NONE || got != 1) r->failed = true;
        if (byte != (uint8_t)(i % r->count)) r->failed = true;
        (void)file_is_resident(file, 0, 1);
    }
}
static void reader_done(struct env_job *job) {
    struct reader_job *r = container_of(job, struct reader_job, job);
    if (--*r->left == 0) *r->done = true;
}
static void the_cache_serves_many_threads(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){.descriptors_max = 3});
    enum { FILES = 12, JOBS = 8 };
    struct file *files[FILES];
    for (int i = 0; i < FILES; i++) {
        char name[16];
        uint8_t byte = (uint8_t)i;
        snprintf(name, sizeof name, "%d", i);
        files[i] = open_new(&f, name);
        assert_int_equal(file_write(files[i], 0, &byte, 1), ERR_NONE);
    }
    struct reader_job jobs[JOBS];
    int left = JOBS;
    bool done = false;
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct reader_job){.job = {.run = reader_run, .done = reader_done},
                                      .files = files,
                                      .count = FILES,
                                      .left = &left,
                                      .done = &done};
        env_job_start(f.env, &jobs[i].job);
    }
    pass_until(&f, &done);
    for (int i = 0; i < JOBS; i++)
        assert_false(jobs[i].failed);
    for (int i = 0; i < FILES; i++)
        file_close(files[i]);
    fixture_deinit(&f);
}

// ---- Opening, sizes, locks ----

static void opening_says_what_is_wrong(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    struct file *file, *again;
    assert_int_equal(file_open(f.env, path_in(&f, "none"), FILE_READ, &file), ERR_NOT_FOUND);
    assert_int_equal(file_open(f.env, path_in(&f, "none"), FILE_WRITE, &file), ERR_NOT_FOUND);
    assert_int_equal(file_open(f.env, path_in(&f, "no/ne"), FILE_CREATE, &file), ERR_NOT_FOUND);
    assert_int_equal(file_open(f.env, slice_of("a\0b", 3), FILE_CREATE, &file), ERR_INVALID);
    assert_int_equal(file_open(f.env, slice_cstring(f.directory), FILE_READ, &file), ERR_IO);
    assert_int_equal(file_open(f.env, path_in(&f, "x"), FILE_CREATE, &file), ERR_NONE);
    assert_int_equal(file_open(f.env, path_in(&f, "x"), FILE_CREATE_NEW, &again), ERR_EXISTS);
    assert_int_equal(file_write(file, 0, "12345", 5), ERR_NONE);
    assert_int_equal(file_allocate(file, 1 << 20), ERR_NONE);
    uint64_t size;
    assert_int_equal(file_size(file, &size), ERR_NONE);
    assert_int_equal(size, 5);  // allocation does not show
    assert_int_equal(file_truncate(file, 3), ERR_NONE);
    uint8_t byte;
    size_t got;
    assert_int_equal(file_read(file, 3, &byte, 1, &got), ERR_NONE);
    assert_int_equal(got, 0);
    file_close(file);
    assert_contents(&f, "x", "123");
    uint8_t *data;
    assert_int_equal(env_read_file(f.env, path_in(&f, "x"), 2, &data, &got), ERR_LIMIT);
    file_close(NULL);
    fixture_deinit(&f);
}

static void one_lock_per_file(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){.descriptors_max = 1});
    struct file *lock, *second, *other;
    assert_int_equal(env_lock_file(f.env, path_in(&f, ".lock"), &lock), ERR_NONE);
    assert_int_equal(env_lock_file(f.env, path_in(&f, ".lock"), &second), ERR_ACCESS_LOCKED);
    other = open_new(&f, "other");  // the cache of one descriptor must not drop the lock's
    // Java takes locks of the process: from another one it must be refused.
    const char *path = (const char *)path_in(&f, ".lock").data;
    pid_t child = fork();
    if (child == 0) {
        struct flock java = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int descriptor = open(path, O_RDWR);
        _exit(fcntl(descriptor, F_SETLK, &java) == 0 ? 1 : 0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    file_close(lock);
    assert_int_equal(env_lock_file(f.env, path_in(&f, ".lock"), &lock), ERR_NONE);
    file_close(lock);
    file_close(other);
    fixture_deinit(&f);
}

// ---- Directories ----

static void collect(void *context, struct slice name) {
    struct string_buffer *names = context;
    string_buffer_append(names, name);
    string_buffer_append_char(names, ' ');
}

static void directories(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    assert_int_equal(env_make_directories(f.env, path_in(&f, "a/b/c")), ERR_NONE);
    assert_int_equal(env_make_directories(f.env, path_in(&f, "a/b/c")), ERR_NONE);
    assert_int_equal(env_make_directory(f.env, path_in(&f, "a")), ERR_EXISTS);
    file_close(open_new(&f, "a/z"));
    file_close(open_new(&f, "a/.hidden"));
    assert_int_equal(env_make_directories(f.env, path_in(&f, "a/z/q")), ERR_EXISTS);
    struct string_buffer names;
    string_buffer_init(&names);
    assert_int_equal(env_list_directory(f.env, path_in(&f, "a"), collect, &names), ERR_NONE);
    assert_string_equal(names.text, ".hidden b z ");
    string_buffer_deinit(&names);
    struct env_stat stat;
    assert_int_equal(env_stat(f.env, path_in(&f, "a/b"), &stat), ERR_NONE);
    assert_true(stat.is_directory);
    assert_int_equal(env_stat(f.env, path_in(&f, "a/q"), &stat), ERR_NOT_FOUND);
    assert_int_equal(env_sync_directory(f.env, path_in(&f, "a")), ERR_NONE);
    uint64_t total, usable;
    assert_int_equal(env_disk_space(f.env, path_in(&f, "a"), &total, &usable), ERR_NONE);
    assert_true(total >= usable && total > 0);
    assert_int_equal(env_unlink(f.env, path_in(&f, "a/z")), ERR_NONE);
    assert_int_equal(env_unlink(f.env, path_in(&f, "a/z")), ERR_NOT_FOUND);
    // A link is removed, not what it points to.
    file_close(open_new(&f, "kept"));
    assert_int_equal(symlink(f.directory, (const char *)path_in(&f, "a/b/link").data), 0);
    assert_int_equal(env_remove_tree(f.env, path_in(&f, "a")), ERR_NONE);
    assert_int_equal(env_remove_tree(f.env, path_in(&f, "a")), ERR_NONE);
    assert_contents(&f, "kept", "");
    fixture_deinit(&f);
}

static void replacing_a_file(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    assert_int_equal(env_replace_file(f.env, path_in(&f, "s"), SLICE_LITERAL("first one")),
                     ERR_NONE);
    assert_int_equal(env_replace_file(f.env, path_in(&f, "s"), SLICE_LITERAL("second")), ERR_NONE);
    assert_contents(&f, "s", "second");
    struct env_stat stat;
    assert_int_equal(env_stat(f.env, path_in(&f, "s.tmp"), &stat), ERR_NOT_FOUND);
    fixture_deinit(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_go_out_at_the_end_of_the_pass_in_order),
        cmocka_unit_test(many_parts_in_one_write),
        cmocka_unit_test(a_failed_write_fails_those_behind_it),
        cmocka_unit_test(syncs_complete_in_order),
        cmocka_unit_test(more_files_than_descriptors),
        cmocka_unit_test(the_cache_serves_many_threads),
        cmocka_unit_test(opening_says_what_is_wrong),
        cmocka_unit_test(one_lock_per_file),
        cmocka_unit_test(directories),
        cmocka_unit_test(replacing_a_file),
    };
    return cmocka_run_group_tests_name("env/files", tests, NULL, NULL);
}
