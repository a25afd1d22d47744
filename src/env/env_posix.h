// The real world: epoll, the file system, worker threads. For main programs (the broker, the
// command line, benches, tests): they make one env_posix, build their parts on its reactors and run
// it. Nothing else in Taccola includes this header.
//
// A process has one env_posix with R reactors, a pool of worker threads and a cache of file
// descriptors that they share. Construction happens on one thread; env_posix_run then runs reactor
// 0 on the calling thread and the others on threads of their own.
#pragma once

#include "env/env.h"

struct env_posix;

struct env_posix_options {
    uint32_t reactors;  // 0: 1
    uint32_t spin_us;   // poll without sleeping this long after activity; 0: never. Off by itself
                        // when cores are scarce
    uint32_t workers_max;      // 0: 16. Threads are started when there is work for them
    uint32_t descriptors_max;  // open files at a time (not sockets); 0: 8192, less when the process
                               // may not
    enum log_level log_level;  // lines below are dropped
    struct logger
        *logger;  // NULL: lines with a time stamp on standard error. Written from any thread
    // SIGINT and SIGTERM, on reactor 0. NULL: the signals keep their default effect (they end the
    // process).
    void (*signalled)(void *context, int signal);
    void *context;
};

#define ENV_POSIX_SPIN_US_DEFAULT 50

// Raises the soft limit of descriptors to the hard one, ignores SIGPIPE and SIGXFSZ. Returns owned.
struct env_posix *env_posix_new(const struct env_posix_options *options);
struct env *env_posix_reactor(struct env_posix *posix, uint32_t index);
// Returns when env_posix_stop was called. May be called again.
void env_posix_run(struct env_posix *posix);
// Every loop ends after its pass. Any thread; async-signal-safe it is not (use `signalled`).
void env_posix_stop(struct env_posix *posix);
// One pass of reactor 0, waiting for at most `wait_ns`: for tests and for programs with a loop of
// their own.
void env_posix_pass(struct env_posix *posix, uint64_t wait_ns);
// Waits for the running jobs; queued ones are dropped, and so are undelivered messages.
void env_posix_free(struct env_posix *posix);

// ---- The process and its terminal, for the command line and benches; any thread ----

uint64_t process_cpu_ns(void);                    // user and system time of all threads
uint64_t process_resident_bytes(void);            // of /proc/self/statm
uint64_t process_resident_bytes_of(int process);  // 0 when there is none
uint64_t process_cpu_ns_of(int process);          // 0 when there is none
uint32_t process_cores(void);                     // that this process may run on
int process_id(void);
void process_pin_to_core(uint32_t core);  // the calling thread; a hint

enum standard_stream { STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR };
bool terminal_is(enum standard_stream stream);
// Columns; 80 when it is none or does not say.
uint32_t terminal_width(enum standard_stream stream);
