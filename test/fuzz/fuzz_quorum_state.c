// Any bytes as quorum-state: an error or a state that prints and parses to itself.
#include <stdlib.h>

#include "base/string_buffer.h"
#include "raft/quorum_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct quorum_state state, again;
    struct message error;
    if (quorum_state_parse(slice_of(data, size), &state, &error) != ERR_NONE) return 0;
    int32_t voters[] = {1, 2};
    struct string_buffer text;
    string_buffer_init(&text);
    quorum_state_format(&state, voters, 2, &text);
    if (quorum_state_parse(string_buffer_slice(&text), &again, &error) != ERR_NONE) abort();
    if (again.leader_id != state.leader_id || again.leader_epoch != state.leader_epoch ||
        again.voted_id != state.voted_id ||
        !uuid_equal(again.voted_directory_id, state.voted_directory_id))
        abort();
    string_buffer_deinit(&text);
    return 0;
}
