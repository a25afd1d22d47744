// AllocateProducerIds (KIP-730): blocks of producer ids, each handed out once, for which a record
// is written first.
#include "controller/state.h"

#define PRODUCER_ID_BLOCK 1000

enum err rule_allocate_producer_ids(struct decision *decision, const void *request,
                                    void *response) {
    const struct allocate_producer_ids_request *in = request;
    struct allocate_producer_ids_response *out = response;
    enum err err = decision_check_broker_epoch(decision, in->broker_id, in->broker_epoch);
    if (err != ERR_NONE) return err;
    int64_t first = image_next_producer_id(decision->image);
    if (first > INT64_MAX - PRODUCER_ID_BLOCK) {
        message_set(decision->error,
                    "Exhausted all producerIds as the next block's end producerId has exceeded the "
                    "int64 type limit");
        return ERR_UNKNOWN_SERVER_ERROR;
    }
    struct metadata_record record = decision_record(decision, METADATA_PRODUCER_IDS, 0);
    struct producer_ids_record *r = record.message;
    r->broker_id = in->broker_id;
    r->broker_epoch = in->broker_epoch;
    r->next_producer_id = first + PRODUCER_ID_BLOCK;
    decision_add(decision, &record);
    out->producer_id_start = first;
    out->producer_id_len = PRODUCER_ID_BLOCK;
    return ERR_NONE;
}
