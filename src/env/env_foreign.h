// For threads that are not reactors: running the loop beside them, and waiting for what it does.
// The public client library stands on it, so that its callers may block.
#pragma once

#include "env/env_posix.h"

// env_posix_run on a thread of its own. Ends with env_posix_stop; then env_foreign_join, before
// env_posix_free.
struct env_foreign;
struct env_foreign *env_foreign_start(struct env_posix *posix);
void env_foreign_join(struct env_foreign *thread);

// A flag that one thread waits for and another sets. Setting happens before the return of the wait
// that sees it.
struct env_event;
struct env_event *env_event_new(void);
void env_event_free(struct env_event *event);
void env_event_set(struct env_event *event);
// True: it was set, and is taken back. False: `timeout_ns` passed. UINT64_MAX waits for ever.
bool env_event_wait(struct env_event *event, uint64_t timeout_ns);
