// Any bytes as a producer snapshot, also with the checksum made right so that the fields are
// reached: loaded or refused; what was loaded is written and loaded again as the same state.
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "storage/producer_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(struct slice bytes) {
    struct producer_table table, again;
    producer_table_init(&table, 1);
    producer_table_init(&again, 2);
    if (producer_table_load(&table, bytes, 0, INT64_MAX) == ERR_NONE) {
        struct string_buffer out;
        string_buffer_init(&out);
        producer_snapshot_format(&table, &out);
        if (producer_table_load(&again, string_buffer_slice(&out), 0, INT64_MAX) != ERR_NONE)
            abort();
        if (producer_table_hash(&table) != producer_table_hash(&again)) abort();
        (void)producer_table_last_stable(&table, INT64_MAX);
        string_buffer_deinit(&out);
    } else if (producer_table_count(&table) != 0) {
        abort();
    }
    producer_table_deinit(&table);
    producer_table_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    load(slice_of(data, size));
    if (size < PRODUCER_SNAPSHOT_HEADER) return 0;
    uint8_t *copy = memory_alloc(size);
    memcpy(copy, data, size);
    store_u16(copy, 1);
    store_u32(copy + 2, crc32c(0, copy + 6, size - 6));
    load(slice_of(copy, size));
    memory_free(copy);
    return 0;
}
