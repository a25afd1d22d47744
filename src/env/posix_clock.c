// Clocks, entropy, and what the process knows of itself and its machine.
#include "env/posix.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t clock_read_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t posix_monotonic_ns(void) {
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t posix_clock_ns(struct env *env) {
    (void)env;
    return posix_monotonic_ns();
}

int64_t posix_wall_ms(struct env *env) {
    (void)env;
    return (int64_t)(clock_read_ns(CLOCK_REALTIME) / 1000000);
}

uint64_t posix_random(struct env *env) {
    struct posix_reactor *reactor = reactor_of(env);
    pthread_mutex_lock(&reactor->entropy_lock);
    if (reactor->entropy_left == 0) {
        ssize_t got = getrandom(reactor->entropy, sizeof reactor->entropy, 0);
        if (got != (ssize_t)sizeof reactor->entropy) fatal("getrandom: no entropy");
        reactor->entropy_left = COUNT_OF(reactor->entropy);
    }
    uint64_t *word = &reactor->entropy[--reactor->entropy_left];
    uint64_t value = *word;
    *word = 0;  // may have become a secret
    pthread_mutex_unlock(&reactor->entropy_lock);
    return value;
}

void posix_host_name(struct env *env, char name[256]) {
    (void)env;
    if (gethostname(name, 256) != 0) memcpy(name, "localhost", sizeof "localhost");
    name[255] = '\0';
}

// The first number in a file of /proc or /sys; 0 when there is none ("max").
static uint64_t number_in(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    uint64_t value = 0;
    if (fscanf(file, "%" SCNu64, &value) != 1) value = 0;
    fclose(file);
    return value;
}

uint64_t posix_memory_total(struct env *env) {
    (void)env;
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t second = number_in("/sys/fs/cgroup/memory.max");
    uint64_t first = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    if (second != 0) total = MIN(total, second);
    if (first != 0) total = MIN(total, first);
    return total;
}

uint64_t process_cpu_ns(void) {
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t process_cpu_ns_of(int process) {
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &t) != 0) return 0;
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t resident_bytes(const char *statm) {
    FILE *file = fopen(statm, "re");
    if (file == NULL) return 0;
    uint64_t pages = 0;
    if (fscanf(file, "%*s %" SCNu64, &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t process_resident_bytes(void) {
    return resident_bytes("/proc/self/statm");
}

uint64_t process_resident_bytes_of(int process) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", process);
    return resident_bytes(path);
}

uint32_t process_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return (uint32_t)CPU_COUNT(&set);
}

int process_id(void) {
    return (int)getpid();
}

void process_pin_to_core(uint32_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) return;
}

bool terminal_is(enum standard_stream stream) {
    return isatty((int)stream) == 1;
}

uint32_t terminal_width(enum standard_stream stream) {
    struct winsize size;
    if (ioctl((int)stream, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}
