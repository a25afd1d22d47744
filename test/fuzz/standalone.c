// Drives a fuzz target where libFuzzer is not there: every file of the corpus folder, then a
// bounded number of mutations of each, always the same ones. Usage: fuzz_x [corpus folder or file]
// [mutations per file]
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/prng.h"

#define INPUT_MAX         ((size_t)1 << 20)
#define MUTATIONS_DEFAULT 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t runs;

// A copy of exactly the right size, so that a sanitizer sees the first byte read beyond it.
static void run_one(const uint8_t *data, size_t size) {
    uint8_t *copy = memory_alloc(size);
    if (size > 0) memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    memory_free(copy);
    runs++;
}

static size_t mutate(struct prng *prng, uint8_t *data, size_t size) {
    for (uint64_t n = prng_below(prng, 6) + 1; n > 0 && size > 0; n--) {
        size_t at = (size_t)prng_below(prng, size);
        switch (prng_below(prng, 5)) {
            case 0:
                data[at] ^= (uint8_t)(1u << prng_below(prng, 8));
                break;
            case 1:
                data[at] = (uint8_t)prng_next(prng);
                break;
            case 2:
                data[at] = prng_chance(prng, 1, 2) ? 0xff : (prng_chance(prng, 1, 2) ? 0x7f : 0);
                break;
            case 3:
                size = at;
                break;
            default:
                if (size - at >= 4) memcpy(data + at, "\x7f\xff\xff\xff", 4);
                break;
        }
    }
    return size;
}

static void run_file(const char *path, uint64_t mutations) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return;
    uint8_t *data = memory_alloc(INPUT_MAX), *mutant = memory_alloc(INPUT_MAX);
    size_t size = fread(data, 1, INPUT_MAX, f);
    fclose(f);
    run_one(data, size);
    struct prng prng;
    prng_init(&prng, size);
    for (uint64_t i = 0; i < mutations; i++) {
        memcpy(mutant, data, size);
        run_one(mutant, mutate(&prng, mutant, size));
    }
    memory_free(data);
    memory_free(mutant);
}

static void run_random(uint64_t count) {
    struct prng prng;
    prng_init(&prng, 1);
    uint8_t data[512];
    for (uint64_t i = 0; i < count; i++) {
        size_t size = (size_t)prng_below(&prng, sizeof data + 1);
        for (size_t k = 0; k < size; k++)
            data[k] = (uint8_t)prng_next(&prng);
        run_one(data, size);
    }
}

int main(int argc, char **argv) {
#if !defined(__SANITIZE_ADDRESS__)
    // The memory cap: a target that allocates by a number it was told dies here.
    struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    setrlimit(RLIMIT_AS, &limit);
#endif
    uint64_t mutations = argc > 2 ? strtoull(argv[2], NULL, 10) : MUTATIONS_DEFAULT;
    const char *path = argc > 1 ? argv[1] : ".";
    DIR *directory = opendir(path);
    if (directory == NULL) run_file(path, mutations);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char file[4096];
        struct stat st;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) run_file(file, mutations);
    }
    if (directory != NULL) closedir(directory);
    run_random(mutations);
    printf("%llu inputs\n", (unsigned long long)runs);
    return 0;
}
