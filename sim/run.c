// A run: start the broker, make the topic, start the clients, let faults come, heal, come to rest,
// read everything once more.
#include "sim/run.h"

#include <stdlib.h>

#include "sim/clients.h"
#include "sim/group_ledger.h"
#include "sim/internal.h"
#include "sim/nemesis.h"

#define START_LIMIT (60 * NS_PER_S)
// Retries back off, timeouts of 3 s add up, a cut connection is noticed late: but all that ends.
#define REST_LIMIT (120 * NS_PER_S)

struct run {
    const struct scenario *scenario;
    struct sim *sim;
    struct ledger *ledger;
    struct group_ledger *groups;
    struct group_ledger *consumers;  // of the consumer protocol
    struct copy_ledger *copies;
    int32_t member_count;
    int32_t consumer_count;
    struct cluster cluster;
    struct clients clients;
    struct nemesis nemesis;
    struct sim_node *writers;
    struct sim_node *streams;
    struct sim_node *readers;
    struct sim_node *copiers;
    bool copiers_start_planned;
};

static struct sim_node *add_node(struct sim *sim, const char *name) {
    struct sim_node_options options = {.name = name};
    return sim_node_add(sim, &options);
}

// ---- Steps, as their nodes ----

static void create_topic(void *context) {
    struct run *run = context;
    topic_create_start(sim_node_env(run->writers, 0), &run->clients);
}

static void start_writers(void *context) {
    struct run *run = context;
    const struct scenario *scenario = run->scenario;
    struct env *env = sim_node_env(run->writers, 0);
    for (int32_t i = 0; i < scenario->writers; i++)
        writer_start(env, &run->clients, WRITER_IDEMPOTENT);
    for (int32_t i = 0; i < scenario->plain_writers; i++)
        writer_start(env, &run->clients, WRITER_PLAIN);
    for (int32_t i = 0; i < scenario->spoilers; i++)
        writer_start(env, &run->clients, WRITER_SPOILER);
    for (int32_t i = 0; i < scenario->admins; i++)
        admin_start(env, &run->clients);
    if (scenario->shifter) shifter_start(env, &run->clients);
    if (scenario->trimmer) trimmer_start(env, &run->clients);
}

static void start_streams(void *context) {
    struct run *run = context;
    for (int32_t i = 0; i < run->scenario->streams; i++) {
        stream_start(sim_node_env(run->streams, 0), &run->clients);
    }
}

static void start_readers(void *context) {
    struct run *run = context;
    for (int32_t i = 0; i < run->scenario->readers; i++) {
        reader_start(sim_node_env(run->readers, 0), &run->clients);
    }
}

static void start_members(void *context) {
    struct run *run = context;
    members_start(sim_node_env(run->streams, 0), &run->clients, run->groups, run->member_count);
    consumer_members_start(sim_node_env(run->streams, 0), &run->clients, run->consumers,
                           run->consumer_count);
}

static void create_copy_topic(void *context) {
    struct run *run = context;
    copy_topic_create_start(sim_node_env(run->writers, 0), &run->clients);
}

static void set_old_protocol(void *context) {
    struct run *run = context;
    transaction_version_start(sim_node_env(run->writers, 0), &run->clients, true);
}

static void start_copiers(void *context) {
    struct run *run = context;
    copiers_start(sim_node_env(run->copiers, 0), &run->clients, false);
}

static void start_copier_companions(void *context) {
    struct run *run = context;
    struct env *env = sim_node_env(run->streams, 0);
    run->clients.busy += run->clients.copier_count;
    if (run->scenario->twins) copiers_start(env, &run->clients, true);
    copy_reader_start(env, &run->clients, false);
    for (int32_t i = 0; i < run->scenario->wild; i++)
        wild_start(env, &run->clients);
    if (run->scenario->both_protocols) transaction_version_start(env, &run->clients, false);
}

static void start_copiers_again(void *context) {
    struct run *run = context;
    run->copiers_start_planned = false;
    sim_node_restart(run->copiers);
    sim_node_call(run->copiers, start_copiers, run);
}

static void kill_copiers(void *context) {
    struct run *run = context;
    if (run->copiers_start_planned) return;
    run->copiers_start_planned = true;
    sim_node_kill(run->copiers);
    sim_at(run->sim, sim_between(run->sim, 0, 2 * NS_PER_S), start_copiers_again, run);
}

static void start_last_copies(void *context) {
    struct run *run = context;
    copy_reader_start(sim_node_env(run->readers, 0), &run->clients, true);
}

static void start_last_offsets(void *context) {
    struct run *run = context;
    last_offsets_start(sim_node_env(run->writers, 0), &run->clients, run->groups);
}

static void start_last_reader(void *context) {
    struct run *run = context;
    last_reader_start(sim_node_env(run->readers, 0), &run->clients);
}

static void start_last_topics(void *context) {
    struct run *run = context;
    last_topics_start(sim_node_env(run->writers, 0), &run->clients);
}

// ---- The run ----

static bool is_violated(const struct run *run) {
    return ledger_violation(run->ledger) != NULL;
}

// Runs until the flag is set; a violation ends it, and so does the limit, as a violation of its
// own.
static bool wait_for(struct run *run, const bool *flag, uint64_t limit, const char *what) {
    uint64_t end = sim_now_ns(run->sim) + limit;
    while (!*flag && !is_violated(run) && sim_now_ns(run->sim) < end) {
        if (!sim_step(run->sim)) break;
    }
    if (!*flag)
        ledger_violate(run->ledger, "no progress: %s after %llu s", what,
                       (unsigned long long)(limit / NS_PER_S));
    return !is_violated(run);
}

static bool prepare_copies(struct run *run) {
    run->clients.topic_exists = false;
    sim_node_call(run->writers, create_copy_topic, run);
    if (!wait_for(run, &run->clients.topic_exists, START_LIMIT, "the copies' topic is not there"))
        return false;
    if (!run->scenario->old_protocol) return true;
    run->clients.topic_exists = false;
    sim_node_call(run->writers, set_old_protocol, run);
    return wait_for(run, &run->clients.topic_exists, START_LIMIT, "a feature is not changed");
}

static void run_steps(struct run *run) {
    cluster_format(&run->cluster);
    sim_node_call(run->writers, create_topic, run);
    if (!wait_for(run, &run->clients.topic_exists, START_LIMIT, "the topic is not there")) return;
    if (run->scenario->copiers > 0 && !prepare_copies(run)) return;
    sim_node_call(run->writers, start_writers, run);
    sim_node_call(run->streams, start_streams, run);
    sim_node_call(run->readers, start_readers, run);
    sim_node_call(run->streams, start_members, run);
    if (run->scenario->copiers > 0) {
        sim_node_call(run->copiers, start_copiers, run);
        sim_node_call(run->streams, start_copier_companions, run);
    }
    nemesis_start(&run->nemesis);
    sim_run(run->sim, run->scenario->duration_ms * NS_PER_MS, ledger_is_violated(run->ledger));
    nemesis_stop(&run->nemesis);
    run->clients.is_closing = true;
    if (!run->scenario->shifter) run->clients.places_there = run->clients.records_places;
    if (run->clients.busy == 0) run->clients.at_rest = true;
    if (!wait_for(run, &run->clients.at_rest, REST_LIMIT,
                  "producers are not at rest, or the group has not settled"))
        return;
    // One more crash, so that what is read last comes from the disk.
    if (run->scenario->faults != 0) cluster_kill(&run->cluster);
    ledger_begin_last_read(run->ledger);
    sim_node_call(run->readers, start_last_reader, run);
    if (!wait_for(run, &run->clients.last_read_done, REST_LIMIT,
                  "the last read does not reach the end"))
        return;
    ledger_end_last_read(run->ledger);
    if (run->scenario->copiers > 0) {
        run->clients.last_read_done = false;
        sim_node_call(run->readers, start_last_copies, run);
        if (!wait_for(run, &run->clients.last_read_done, REST_LIMIT,
                      "the copies are not all there, or the last stable offset is stuck"))
            return;
    }
    if (run->scenario->members > 0) {
        run->clients.last_read_done = false;
        sim_node_call(run->writers, start_last_offsets, run);
        if (!wait_for(run, &run->clients.last_read_done, REST_LIMIT, "offsets are not told"))
            return;
    }
    if (run->scenario->admins == 0) return;
    run->clients.last_read_done = false;
    sim_node_call(run->writers, start_last_topics, run);
    wait_for(run, &run->clients.last_read_done, REST_LIMIT, "topics are not listed");
}

static int32_t size_of_group(struct run *run, int32_t count) {
    if (count == 0 || !run->scenario->any_size) return count;
    return 1 + (int32_t)prng_below(sim_prng(run->sim), (uint64_t)count);
}

void run_scenario(const struct run_options *options, struct run_result *result) {
    const struct scenario *scenario = options->scenario;
    struct sim_options sim_options = {
        .seed = options->seed, .mutant = options->mutant, .log_level = LOG_DEBUG};
    struct run *run = sim_alloc(sizeof *run);
    run->scenario = scenario;
    run->sim = sim_new(&sim_options);
    run->ledger = ledger_new(scenario->partitions, !scenario->page_cache);
    run->member_count = size_of_group(run, scenario->members);
    run->consumer_count = size_of_group(run, scenario->consumers);
    run->groups = group_ledger_new(run->ledger, scenario->partitions, run->member_count);
    run->consumers = group_ledger_new(run->ledger, scenario->partitions, run->consumer_count);
    run->copies =
        scenario->copiers == 0 ? NULL : copy_ledger_new(run->ledger, scenario->partitions);
    if (scenario->trimmer) ledger_expect_trims(run->ledger);
    ledger_set_retention(run->ledger, run->sim, scenario->retention_ms);
    cluster_init(&run->cluster, run->sim, run->ledger, scenario->reactors, scenario->page_cache);
    run->writers = add_node(run->sim, "writers");
    run->streams = add_node(run->sim, "streams");
    run->readers = add_node(run->sim, "readers");
    run->copiers = add_node(run->sim, "copiers");
    run->clients = (struct clients){.sim = run->sim,
                                    .ledger = run->ledger,
                                    .is_durable = !scenario->page_cache,
                                    .partition_count = scenario->partitions,
                                    .retention_ms = scenario->retention_ms,
                                    .copies = run->copies,
                                    .history = options->history,
                                    .shifting_topic = -1,
                                    .copier_count = scenario->copiers,
                                    .records_places = (UINT64_C(1) << scenario->partitions) - 1};
    struct sim_node *others[] = {run->writers, run->streams, run->readers, run->copiers};
    nemesis_init(&run->nemesis, scenario, &run->cluster, others);
    run->nemesis.kill_clients = kill_copiers;
    run->nemesis.context = run;
    run_steps(run);
    *result = (struct run_result){
        .failed = is_violated(run),
        .hash = sim_hash(run->sim),
        .events = sim_event_count(run->sim),
        .simulated_ms = sim_now_ns(run->sim) / NS_PER_MS,
        .faults = run->nemesis.count,
        .starts = run->cluster.starts,
        .ledger = ledger_counts(run->ledger),
        .commits = group_ledger_commits(run->groups) + group_ledger_commits(run->consumers),
        .assignments =
            group_ledger_assignments(run->groups) + group_ledger_assignments(run->consumers),
        .copies = run->copies == NULL ? (struct copy_counts){0} : copy_ledger_counts(run->copies),
        .replays = run->cluster.replays_compared,
        .sim = sim_counts(run->sim)};
    if (result->failed) {
        snprintf(result->violation, sizeof result->violation, "%s", ledger_violation(run->ledger));
        if (options->log != NULL) sim_print_log(run->sim, options->log);
    }
    sim_free(run->sim);
    group_ledger_free(run->groups);
    group_ledger_free(run->consumers);
    if (run->copies != NULL) copy_ledger_free(run->copies);
    ledger_free(run->ledger);
    free(run);
}

// ---- Mutants by name ----

static const char *const mutant_names[] = {
    [MUTANT_NONE] = "none",
    [MUTANT_ACK_BEFORE_SYNC] = "ack-before-sync",
    [MUTANT_SKIP_CRC] = "skip-crc",
    [MUTANT_FORGET_DUPLICATE] = "forget-duplicate",
    [MUTANT_SERVE_BEYOND_HIGH_WATERMARK] = "serve-beyond-high-watermark",
    [MUTANT_RECOVER_WITHOUT_TRUNCATE] = "recover-without-truncate",
    [MUTANT_ACK_BEFORE_APPEND] = "ack-before-append",
    [MUTANT_RAFT_REPLY_BEFORE_SYNC] = "raft-reply-before-sync",
    [MUTANT_FORGET_PRODUCER_STATE] = "forget-producer-state",
    [MUTANT_GROUP_ACCEPT_ANY_COMMIT] = "group-accept-any-commit",
    [MUTANT_GROUP_ACCEPT_STALE_MEMBER] = "group-accept-stale-member",
    [MUTANT_GROUP_REUSE_GENERATION] = "group-reuse-generation",
    [MUTANT_GROUP_KEEP_ASSIGNMENT] = "group-keep-assignment",
    [MUTANT_GROUP_FORGET_COMMIT] = "group-forget-commit",
    [MUTANT_GROUP_EXPIRE_IN_USE] = "group-expire-in-use",
    [MUTANT_GROUP_GIVE_BEFORE_REVOKED] = "group-give-before-revoked",
    [MUTANT_DUPLICATE_ANSWERS_END] = "duplicate-answers-end",
    [MUTANT_SKIP_SEQUENCE] = "skip-sequence",
    [MUTANT_TXN_END_ANY_EPOCH] = "txn-end-any-epoch",
    [MUTANT_TXN_READ_UNDECIDED] = "txn-read-undecided",
    [MUTANT_TXN_FORGET_ABORTED] = "txn-forget-aborted",
    [MUTANT_TXN_OFFSETS_AT_ONCE] = "txn-offsets-at-once",
    [MUTANT_TXN_NO_FENCE] = "txn-no-fence",
    [MUTANT_TXN_FORGET_PREPARED] = "txn-forget-prepared",
    [MUTANT_TXN_FORGET_OFFSET_MARKER] = "txn-forget-offset-marker",
    [MUTANT_TXN_WAIT_FOR_DELETED] = "txn-wait-for-deleted",
    [MUTANT_TXN_SKIP_VERIFICATION] = "txn-skip-verification",
    [MUTANT_TXN_MARKER_ANY_EPOCH] = "txn-marker-any-epoch",
};
_Static_assert(COUNT_OF(mutant_names) == MUTANT_COUNT, "every mutant has a name");

const char *mutant_name(enum mutant mutant) {
    return mutant_names[mutant];
}

bool mutant_parse(const char *name, enum mutant *mutant) {
    for (int i = 0; i < MUTANT_COUNT; i++) {
        if (strcmp(mutant_names[i], name) != 0) continue;
        *mutant = (enum mutant)i;
        return true;
    }
    return false;
}
