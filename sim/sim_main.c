// simulate: runs scenarios with seeds; a failure prints the command that replays it.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/run.h"

struct arguments {
    const struct scenario *scenario;  // NULL: all
    uint64_t seed;
    uint64_t seeds;
    enum mutant mutant;
    bool json;
    bool verbose;
    FILE *history;
};

static const char help[] =
    "Usage: simulate [options]\n"
    "Runs real brokers and clients in a simulated world and checks what they promise.\n\n"
    "  --scenario NAME   one scenario (default: all); --list names them\n"
    "  --seed N          the first seed (default 1)\n"
    "  --seeds N         how many seeds, one after the other (default 1)\n"
    "  --mutant NAME     with a deliberate fault in the broker; --list names them\n"
    "  --output json     one object per run\n"
    "  --history FILE    what copiers did and saw, for tools/check_history.py (of one run)\n"
    "  --verbose         on failure, the last lines that the nodes logged\n"
    "  --list            scenarios and mutants\n"
    "  --help            this\n\n"
    "Exit code: 0 when every run kept its promises, 1 when one did not, 2 for wrong usage.\n\n"
    "Example:\n"
    "  simulate --scenario power --seeds 20\n"
    "  simulate --scenario power --seed 7 --mutant ack-before-sync --verbose\n";

// What runs just now, for the message when an assertion of the broker ends the process.
static char replay[200];

static void on_abort(int signal) {
    (void)signal;
    ssize_t written = write(STDERR_FILENO, replay, strlen(replay));
    (void)written;
}

static void list(void) {
    printf("Scenarios\n");
    for (int32_t i = 0; i < scenario_count; i++)
        printf("  %-18s %s\n", scenarios[i].name, scenarios[i].what);
    printf("Mutants\n");
    for (int i = 1; i < MUTANT_COUNT; i++)
        printf("  %s\n", mutant_name((enum mutant)i));
}

static bool parse_number(const char *text, uint64_t *number) {
    char *end;
    if (text == NULL || *text == '\0') return false;
    *number = strtoull(text, &end, 10);
    return *end == '\0';
}

// 0: go on; otherwise exit with code - 1.
static int parse(int count, char **words, struct arguments *a) {
    *a = (struct arguments){.seed = 1, .seeds = 1};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        bool good = true;
        if (strcmp(word, "--help") == 0) {
            fputs(help, stdout);
            return 1;
        }
        if (strcmp(word, "--list") == 0) {
            list();
            return 1;
        }
        if (strcmp(word, "--verbose") == 0) {
            a->verbose = true;
            continue;
        }
        if (strcmp(word, "--scenario") == 0) {
            a->scenario = value == NULL ? NULL : scenario_find(value);
            good = a->scenario != NULL;
        } else if (strcmp(word, "--seed") == 0) {
            good = parse_number(value, &a->seed);
        } else if (strcmp(word, "--seeds") == 0) {
            good = parse_number(value, &a->seeds);
        } else if (strcmp(word, "--mutant") == 0) {
            good = value != NULL && mutant_parse(value, &a->mutant);
        } else if (strcmp(word, "--history") == 0) {
            a->history = value == NULL ? NULL : fopen(value, "w");
            good = a->history != NULL;
        } else if (strcmp(word, "--output") == 0) {
            good = value != NULL && (strcmp(value, "json") == 0 || strcmp(value, "text") == 0);
            a->json = good && strcmp(value, "json") == 0;
        } else {
            good = false;
        }
        if (!good) {
            fprintf(stderr, "simulate: cannot understand %s %s; --help says what there is\n", word,
                    value == NULL ? "" : value);
            return 3;
        }
        i++;
    }
    return 0;
}

static void print_text(const struct run_options *options, const struct run_result *r) {
    printf("%-18s seed %-6" PRIu64 " %s  %" PRIu64 " ms simulated, %" PRIu64
           " events, %u faults, %u starts, %" PRIu64 " acknowledged, %" PRIu64
           " read, trace %016" PRIx64 "\n",
           options->scenario->name, options->seed, r->failed ? "FAILED" : "ok    ", r->simulated_ms,
           r->events, r->faults, r->starts, r->ledger.acked, r->ledger.seen, r->hash);
    if (r->failed) printf("  %s\n  replay: %s", r->violation, replay);
}

static void print_json(const struct run_options *options, const struct run_result *r) {
    printf("{\"scenario\":\"%s\",\"seed\":%" PRIu64
           ",\"mutant\":\"%s\",\"failed\":%s,\"violation\":",
           options->scenario->name, options->seed, mutant_name(options->mutant),
           r->failed ? "true" : "false");
    if (r->failed) {
        printf("\"%s\"", r->violation);  // our own sentences: nothing to escape
    } else {
        printf("null");
    }
    printf(",\"trace\":\"%016" PRIx64 "\",\"simulated_ms\":%" PRIu64 ",\"events\":%" PRIu64
           ",\"faults\":%u,\"starts\":%u,\"records\":%" PRIu64 ",\"acknowledged\":%" PRIu64
           ",\"read\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"released\":%" PRIu64
           ",\"kills\":%" PRIu64 ",\"power_cuts\":%" PRIu64 ",\"sectors_lost\":%" PRIu64
           ",\"names_lost\":%" PRIu64 ",\"syncs\":%" PRIu64 ",\"resets\":%" PRIu64
           ",\"commits\":%" PRIu64 ",\"assignments\":%" PRIu64 ",\"replays\":%" PRIu64
           ",\"transactions\":{\"begun\":%" PRIu64 ",\"committed\":%" PRIu64 ",\"aborted\":%" PRIu64
           ",\"copies_seen\":%" PRIu64 "}}\n",
           r->hash, r->simulated_ms, r->events, r->faults, r->starts, r->ledger.records,
           r->ledger.acked, r->ledger.seen, r->ledger.rejected, r->ledger.released, r->sim.kills,
           r->sim.power_cuts, r->sim.sectors_lost, r->sim.names_lost, r->sim.syncs, r->sim.resets,
           r->commits, r->assignments, r->replays, r->copies.begun, r->copies.committed,
           r->copies.aborted, r->copies.seen);
}

static bool run_one(const struct arguments *a, const struct scenario *scenario, uint64_t seed) {
    struct run_options options = {.scenario = scenario,
                                  .seed = seed,
                                  .mutant = a->mutant,
                                  .history = a->history,
                                  .log = a->verbose ? stderr : NULL};
    struct run_result result;
    snprintf(replay, sizeof replay,
             "build/dev/simulate --scenario %s --seed %" PRIu64 "%s%s --verbose\n", scenario->name,
             seed, a->mutant == MUTANT_NONE ? "" : " --mutant ",
             a->mutant == MUTANT_NONE ? "" : mutant_name(a->mutant));
    run_scenario(&options, &result);
    if (a->json) {
        print_json(&options, &result);
    } else {
        print_text(&options, &result);
    }
    fflush(stdout);
    return !result.failed;
}

int main(int count, char **words) {
    struct arguments a;
    int code = parse(count, words, &a);
    if (code != 0) return code - 1;
    signal(SIGABRT, on_abort);
    bool good = true;
    for (int32_t i = 0; i < scenario_count; i++) {
        if (a.scenario != NULL && a.scenario != &scenarios[i]) continue;
        for (uint64_t seed = a.seed; seed < a.seed + a.seeds; seed++)
            good &= run_one(&a, &scenarios[i], seed);
    }
    return good ? 0 : 1;
}
