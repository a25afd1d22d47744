// Fetch, versions 4 to 18, with sessions (KIP-227).
//
// A fetch goes in rounds over the owners of its partitions (api/partition_rows.h):
//   read   every row reports what it has below its upper bound, as a slice of its log
//   cut    (several owners only) max_bytes were spent in the order of the request; the row at the
//   border is read again with
//          what was left for it
//   wait   there is less than min_bytes and time is left: a waiter hangs on every partition; the
//   first that is woken,
//          or the timer, ends the wait everywhere, and the fetch reads again
// then the answer is made. Nothing but slices is held over a wait, and not even those.
//
// A session's partitions may change while a fetch of it waits, by a request with the next epoch;
// then this one answers INVALID_FETCH_SESSION_EPOCH and touches nothing of the session.
#include "api/fetch.h"

#include "api/leader_hint.h"

static void read_round(struct fetch *fetch);

// ---- The answer ----

static void release_slices(struct fetch *fetch) {
    for (struct fetch_row *row = fetch->first; row != NULL; row = row->after)
        fetch_row_release(row);
}

static void end_session(struct fetch *fetch) {
    if (fetch->session == NULL) return;
    if (fetch->session->context == fetch) {
        fetch->session->woken = NULL;
        fetch->session->context = NULL;
    }
    fetch_session_unref(fetch->call->node->fetch_sessions, fetch->session);
    fetch->session = NULL;
}

static void add_leader_hint(struct fetch *fetch, const struct fetch_row *row,
                            struct fetch_response_partition *out) {
    struct fetch_response *response = fetch->call->response;
    struct leader_hint hint = leader_hint_of(fetch->call, row->row.topic_id, row->row.index);
    out->current_leader.leader_id = hint.leader_id;
    out->current_leader.leader_epoch = hint.leader_epoch;
    if (hint.endpoint == NULL) return;
    for (int32_t i = 0; i < response->node_endpoints_count; i++) {
        if (response->node_endpoints[i].node_id == hint.leader_id) return;
    }
    if (response->node_endpoints == NULL) {
        response->node_endpoints =
            fetch_response_node_endpoint_new(fetch->call->arena, fetch->row_count);
        response->node_endpoints_count = 0;
    }
    struct fetch_response_node_endpoint *endpoint =
        &response->node_endpoints[response->node_endpoints_count++];
    endpoint->node_id = hint.leader_id;
    endpoint->host = hint.endpoint->host;
    endpoint->port = hint.endpoint->port;
    endpoint->rack = hint.broker->rack;
}

static void fill_records(struct fetch *fetch, struct fetch_row *row,
                         struct fetch_response_partition *out) {
    out->records.bytes = SLICE_EMPTY;
    if (row->slice.size == 0) return;
    struct chain *chain = arena_alloc(fetch->call->arena, sizeof *chain);
    chain_init(chain);
    chain_append_file(chain, row->slice.file, row->slice.position, row->slice.size, row->slice.pin);
    row->slice = (struct log_slice){0};
    out->records.chain = chain;
}

static void fill_aborted(struct fetch *fetch, const struct fetch_row *row,
                         struct fetch_response_partition *out) {
    out->aborted_transactions = NULL;
    out->aborted_transactions_count = row->aborted_count;
    if (row->aborted_count <= 0) return;
    out->aborted_transactions =
        fetch_response_aborted_transaction_new(fetch->call->arena, row->aborted_count);
    for (int32_t i = 0; i < row->aborted_count; i++) {
        out->aborted_transactions[i].producer_id = row->aborted[i].producer_id;
        out->aborted_transactions[i].first_offset = row->aborted[i].first_offset;
    }
}

static void fill_partition(struct fetch *fetch, struct fetch_row *row,
                           struct fetch_response_partition *out) {
    enum err error = row->row.error;
    // Before KIP-112 clients did not know the code.
    if (error == ERR_KAFKA_STORAGE_ERROR && fetch->call->version <= 5) {
        error = ERR_NOT_LEADER_OR_FOLLOWER;
    }
    out->partition_index = row->row.index;
    out->error_code = err_wire(error);
    out->high_watermark = row->high_watermark;
    out->last_stable_offset = row->last_stable_offset;
    out->log_start_offset = row->log_start_offset;
    if (row->diverging_epoch >= 0) {
        out->diverging_epoch.epoch = row->diverging_epoch;
        out->diverging_epoch.end_offset = row->diverging_end;
    }
    fill_aborted(fetch, row, out);
    fill_records(fetch, row, out);
    bool is_elsewhere = error == ERR_NOT_LEADER_OR_FOLLOWER || error == ERR_FENCED_LEADER_EPOCH;
    if (is_elsewhere && fetch->call->version >= 16) add_leader_hint(fetch, row, out);
}

// Opens the session that a full fetch asked for, of this request's partitions.
static void open_session(struct fetch *fetch) {
    const struct fetch_request *request = fetch->call->request;
    struct fetch_sessions *sessions = fetch->call->node->fetch_sessions;
    if (request->session_epoch != FETCH_SESSION_EPOCH_FIRST || fetch->call->version < 7) return;
    struct fetch_session *session =
        fetch_session_open(sessions, fetch->row_count, fetch->call->version >= 13);
    if (session == NULL) return;
    for (struct fetch_row *row = fetch->first; row != NULL; row = row->after) {
        if (fetch_session_put(session, &row->target)) continue;
        fetch_session_remove(sessions, session->id);
        fetch_session_unref(sessions, session);
        return;
    }
    // Put may have joined rows that name a partition twice: what was told is looked up by place, so
    // only a session without such rows remembers it from the beginning.
    struct fetch_row *row = fetch->first;
    bool is_one_to_one = session->by_key.count == (size_t)fetch->row_count;
    list_for_each(link, &session->active) {
        if (!is_one_to_one) break;
        row->cached = container_of(link, struct session_partition, link);
        row = row->after;
    }
    fetch->session = session;
}

static bool row_is_told(struct fetch *fetch, struct fetch_row *row) {
    if (row->cached == NULL || fetch->session == NULL) return !fetch->is_incremental;
    // A full answer leaves the partitions in the order of the request, as Kafka's does.
    size_t record_bytes = fetch->is_incremental ? row->slice.size : 0;
    bool is_news = fetch_session_tell(fetch->session, row->cached, err_wire(row->row.error),
                                      row->diverging_epoch >= 0, record_bytes, row->high_watermark,
                                      row->log_start_offset);
    return is_news || !fetch->is_incremental;
}

static bool same_topic(const struct fetch *fetch, const struct fetch_row *a,
                       const struct fetch_row *b) {
    return fetch->call->version >= 13 ? uuid_equal(a->target.topic_id, b->target.topic_id)
                                      : slice_equal(a->target.name, b->target.name);
}

// Consecutive rows of a topic share an element.
static void fill_response(struct fetch *fetch) {
    struct fetch_response *response = fetch->call->response;
    struct arena *arena = fetch->call->arena;
    struct fetch_row **told =
        arena_alloc(arena, ((size_t)fetch->row_count + 1) * sizeof(struct fetch_row *));
    int32_t told_count = 0, topic_count = 0;
    for (struct fetch_row *row = fetch->first; row != NULL; row = row->after) {
        row->record_bytes = row->slice.size;
        if (!row_is_told(fetch, row)) continue;
        if (told_count == 0 || !same_topic(fetch, told[told_count - 1], row)) topic_count++;
        told[told_count++] = row;
    }
    response->responses = fetch_response_response_new(arena, topic_count);
    response->responses_count = topic_count;
    struct fetch_response_response *topic = response->responses;
    for (int32_t from = 0, to; from < told_count; from = to, topic++) {
        for (to = from + 1; to < told_count && same_topic(fetch, told[from], told[to]); to++) {
        }
        topic->topic = told[from]->target.name;
        topic->topic_id = told[from]->target.topic_id;
        topic->partitions_count = to - from;
        topic->partitions = fetch_response_partition_new(arena, to - from);
        for (int32_t i = from; i < to; i++) {
            fill_partition(fetch, told[i], &topic->partitions[i - from]);
        }
    }
}

// Partitions of which the client now knows everything are left alone until something moves.
static void settle_session(struct fetch *fetch) {
    struct node *home = fetch->call->node;
    for (struct fetch_row *row = fetch->first; row != NULL; row = row->after) {
        if (row->cached == NULL || fetch->session == NULL) continue;
        bool is_ours = row->row.part != NULL && row->row.part->scatter_part.node == home;
        if (!is_ours || row->row.error != ERR_NONE || row->diverging_epoch >= 0) continue;
        if (row->record_bytes > 0 || row->has_more) continue;
        struct partition *partition =
            replica_find(home->replicas, row->row.topic_id, row->row.index);
        if (fetch_is_as_reported(row, partition)) fetch_session_idle(row->cached, partition);
    }
}

static void answer(struct fetch *fetch) {
    struct api_call *call = fetch->call;
    struct fetch_response *response = call->response;
    env_timer_stop(call->node->env, &fetch->timer);
    if (fetch->is_incremental && fetch->session->epoch != fetch->session_epoch) {
        response->error_code = err_wire(ERR_INVALID_FETCH_SESSION_EPOCH);
    } else {
        if (!fetch->is_incremental) open_session(fetch);
        fill_response(fetch);
        settle_session(fetch);
        response->session_id = fetch->session == NULL ? FETCH_SESSION_NONE : fetch->session->id;
    }
    release_slices(fetch);
    partition_rows_deinit(&fetch->rows);
    end_session(fetch);
    api_reply(call);
}

// ---- Rounds ----

static bool rows_of_session(struct fetch *fetch);

// Whether the session is as this fetch left it: else another one goes on with it.
static bool has_session(const struct fetch *fetch) {
    return fetch->is_incremental && fetch->session->epoch == fetch->session_epoch;
}

static void wait_done(struct partition_rows *rows) {
    struct fetch *fetch = container_of(rows, struct fetch, rows);
    if (has_session(fetch)) rows_of_session(fetch);
    read_round(fetch);
}

static void end_wait(struct fetch *fetch) {
    if (!fetch->is_waiting) return;
    fetch->is_waiting = false;
    int32_t reactors = fetch->call->node->reactor_count;
    struct partition_rows_part **parts = fetch->rows.parts;
    // The round is sealed only now, so the last part to come home does not end it under this loop.
    for (int32_t i = 0; i < reactors; i++) {
        if (parts[i] != NULL) fetch_wait_cancel(parts[i]);
    }
    partition_rows_seal(&fetch->rows);
}

void fetch_woken(struct fetch *fetch) {
    fetch->was_woken = true;
    end_wait(fetch);
}

static void session_woken(void *context) {
    fetch_woken(context);
}

static void wait_round(struct fetch *fetch) {
    release_slices(fetch);
    if (has_session(fetch)) {
        // What became active while the others were read.
        if (rows_of_session(fetch)) {
            read_round(fetch);
            return;
        }
        fetch->session->woken = session_woken;
        fetch->session->context = fetch;
    }
    if (!env_timer_is_running(&fetch->timer)) {
        env_timer_start(fetch->call->node->env, &fetch->timer, fetch->deadline_ns);
    }
    fetch->was_woken = false;
    partition_rows_open(&fetch->rows, fetch_wait_run, wait_done);
    fetch->is_waiting = true;
    // A part at home may have found news at once.
    if (fetch->was_woken) end_wait(fetch);
}

static void timer_fired(struct env_timer *timer) {
    struct fetch *fetch = container_of(timer, struct fetch, timer);
    fetch->is_over = true;
    end_wait(fetch);
}

static void abandoned(struct api_call *call) {
    struct fetch *fetch = call->state;
    fetch->is_over = true;
    end_wait(fetch);
}

// Whether there is a partition that could bring news: one at an owner, or one that is idle in the
// session.
static bool can_wait(const struct fetch *fetch) {
    if (fetch->rows.part_count > 0) return true;
    return has_session(fetch) && fetch->session->by_key.count > (size_t)fetch->row_count;
}

static bool is_enough(const struct fetch *fetch) {
    if (fetch->is_over || !can_wait(fetch)) return true;
    int64_t bytes = 0;
    for (const struct fetch_row *row = fetch->first; row != NULL; row = row->after) {
        if (row->row.part == NULL) {
            if (row->row.error == ERR_INCONSISTENT_TOPIC_ID) return true;
            continue;
        }
        // Whoever was cut short would not get more by waiting.
        if (row->row.error != ERR_NONE || row->diverging_epoch >= 0 || row->has_more) return true;
        bytes += (int64_t)row->slice.size;
    }
    return bytes >= fetch->min_bytes;
}

static void decide(struct fetch *fetch) {
    if (is_enough(fetch))
        answer(fetch);
    else
        wait_round(fetch);
}

static void cut_done(struct partition_rows *rows) {
    decide(container_of(rows, struct fetch, rows));
}

// Several owners reported what they could give: max_bytes are spent in the order of the request.
static void spend(struct fetch *fetch) {
    size_t left = fetch->max_bytes;
    bool is_first = true;
    fetch->cut = NULL;
    for (struct fetch_row *row = fetch->first; row != NULL; row = row->after) {
        if (row->slice.size == 0) continue;
        if (is_first || row->slice.size <= left) {
            left -= MIN(left, row->slice.size);
            is_first = false;
            continue;
        }
        fetch_row_release(row);
        row->has_more = true;
        if (fetch->cut == NULL && left > 0) {
            fetch->cut = row;
            fetch->cut_bytes = left;
            left = 0;
        }
    }
}

static void read_done(struct partition_rows *rows) {
    struct fetch *fetch = container_of(rows, struct fetch, rows);
    if (rows->part_count > 1) {
        spend(fetch);
        if (fetch->cut != NULL) {
            partition_rows_start_one(rows, fetch->cut->row.part, fetch_cut_run, cut_done);
            return;
        }
    }
    decide(fetch);
}

static void read_round(struct fetch *fetch) {
    partition_rows_start(&fetch->rows, fetch_read_run, read_done);
}

// ---- From the request to rows ----

static void resolve(struct fetch *fetch, struct fetch_row *row) {
    const struct image *image = fetch->call->node->image;
    bool by_id = fetch->call->version >= 13;
    const struct topic_image *topic = by_id ? image_topic_by_id(image, row->target.topic_id)
                                            : image_topic(image, row->target.name);
    row->high_watermark = row->last_stable_offset = row->log_start_offset = -1;
    row->diverging_epoch = -1;
    row->row.index = row->target.partition;
    if (topic != NULL) {
        if (by_id && row->cached != NULL) fetch_session_resolve(row->cached, topic->name);
        partition_rows_add(&fetch->rows, &row->row, topic);
    } else if (!by_id) {
        row->row.error = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (slice_is_null(row->target.name)) {
        row->row.error = ERR_UNKNOWN_TOPIC_ID;
    } else {
        // The session has seen this id with a name: the topic was deleted, perhaps created anew.
        row->row.error = image_topic(image, row->target.name) != NULL
                             ? ERR_INCONSISTENT_TOPIC_ID
                             : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
}

static struct fetch_target target_of(const struct fetch *fetch,
                                     const struct fetch_request_topic *topic,
                                     const struct fetch_request_partition *partition) {
    bool by_id = fetch->call->version >= 13;
    return (struct fetch_target){
        .name = by_id ? SLICE_NULL : topic->topic,
        .topic_id = by_id ? topic->topic_id : UUID_ZERO,
        .partition = partition->partition,
        .current_leader_epoch = partition->current_leader_epoch,
        .fetch_offset = partition->fetch_offset,
        .last_fetched_epoch = partition->last_fetched_epoch,
        .max_bytes = partition->partition_max_bytes,
    };
}

static void add_row(struct fetch *fetch, struct fetch_row *row) {
    *fetch->last = row;
    fetch->last = &row->after;
    fetch->row_count++;
    resolve(fetch, row);
}

// False: there are too many, and the call is over.
static bool rows_of_request(struct fetch *fetch) {
    const struct fetch_request *request = fetch->call->request;
    size_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++) {
        count += (size_t)request->topics[t].partitions_count;
    }
    struct fetch_row *row = partition_rows_new(fetch->call, count, sizeof *row);
    if (row == NULL) return false;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct fetch_request_topic *topic = &request->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++, row++) {
            row->target = target_of(fetch, topic, &topic->partitions[p]);
            add_row(fetch, row);
        }
    }
    return true;
}

// A row for every active partition of the session that has none yet; true when there was one. The
// session may change while the fetch waits: names are copied, once per run of a topic.
static bool rows_of_session(struct fetch *fetch) {
    struct arena *arena = fetch->call->arena;
    struct slice seen = SLICE_NULL, copy = SLICE_NULL;
    int32_t before = fetch->row_count;
    list_for_each(link, &fetch->session->active) {
        struct session_partition *cached = container_of(link, struct session_partition, link);
        if (cached->row_epoch == fetch->session_epoch) continue;
        cached->row_epoch = fetch->session_epoch;
        struct fetch_row *row = arena_zalloc(arena, 1, sizeof *row);
        row->cached = cached;
        row->target = cached->target;
        if (!slice_equal(seen, cached->target.name)) {
            seen = cached->target.name;
            copy = arena_copy(arena, seen);
        }
        row->target.name = copy;
        add_row(fetch, row);
    }
    net_request_charge(fetch->call->net,
                       (size_t)(fetch->row_count - before) * sizeof(struct fetch_row));
    return fetch->row_count > before;
}

static void forget_partitions(struct fetch *fetch) {
    const struct fetch_request *request = fetch->call->request;
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topics_data *topic =
            &request->forgotten_topics_data[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            fetch_session_forget(fetch->session, topic->topic, topic->topic_id,
                                 topic->partitions[p]);
        }
    }
}

// Puts the request's partitions into the session; false: it is full.
static bool update_session(struct fetch *fetch) {
    const struct fetch_request *request = fetch->call->request;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct fetch_request_topic *topic = &request->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            struct fetch_target target = target_of(fetch, topic, &topic->partitions[p]);
            if (!fetch_session_put(fetch->session, &target)) return false;
        }
    }
    forget_partitions(fetch);
    return true;
}

// Finds out what the request is about: the session, or itself alone.
static enum err begin(struct fetch *fetch) {
    struct api_call *call = fetch->call;
    const struct fetch_request *request = call->request;
    struct fetch_sessions *sessions = call->node->fetch_sessions;
    bool is_full = call->version < 7 || request->session_epoch == FETCH_SESSION_EPOCH_FIRST ||
                   request->session_epoch == FETCH_SESSION_EPOCH_FINAL;
    if (is_full) {
        if (call->version >= 7) fetch_session_remove(sessions, request->session_id);
        return rows_of_request(fetch) ? ERR_NONE : ERR_LIMIT;
    }
    enum err err = fetch_session_continue(sessions, request->session_id, request->session_epoch,
                                          call->version >= 13, &fetch->session);
    if (err != ERR_NONE) return err;
    if (!update_session(fetch) || fetch->session->by_key.count == 0) {
        // An empty session is over; one that is too large goes on without being one.
        fetch_session_remove(sessions, fetch->session->id);
        bool is_empty = fetch->session->by_key.count == 0;
        end_session(fetch);
        if (!is_empty) return ERR_FETCH_SESSION_ID_NOT_FOUND;
        return rows_of_request(fetch) ? ERR_NONE : ERR_LIMIT;
    }
    fetch->is_incremental = true;
    fetch->session_epoch = fetch->session->epoch;
    rows_of_session(fetch);
    return ERR_NONE;
}

static void set_limits(struct fetch *fetch) {
    struct api_call *call = fetch->call;
    const struct fetch_request *request = call->request;
    int32_t replica_id =
        call->version >= 15 ? request->replica_state.replica_id : request->replica_id;
    fetch->is_follower = replica_id >= 0;
    fetch->read_committed = request->isolation_level == 1 && !fetch->is_follower;
    int32_t broker_max = config_int(call->node->config, BROKER_FETCH_MAX_BYTES);
    int32_t max_bytes = MIN(request->max_bytes, broker_max);
    fetch->max_bytes = (size_t)MAX(max_bytes, 0);
    fetch->min_bytes = MIN(request->min_bytes, max_bytes);
    fetch->is_over = request->max_wait_ms <= 0;
    uint64_t wait_ns = (uint64_t)MAX(request->max_wait_ms, 0) * 1000000;
    fetch->deadline_ns = env_now_ns(call->node->env) + wait_ns;
}

void api_fetch(struct api_call *call) {
    struct fetch *fetch = arena_zalloc(call->arena, 1, sizeof *fetch);
    fetch->call = call;
    fetch->last = &fetch->first;
    env_timer_init(&fetch->timer, timer_fired);
    partition_rows_init(&fetch->rows, call, sizeof(struct fetch_part));
    set_limits(fetch);
    enum err err = begin(fetch);
    if (err == ERR_LIMIT) return;  // the call is over
    if (err != ERR_NONE) {
        struct fetch_response *response = call->response;
        response->error_code = err_wire(err);
        api_reply(call);
        return;
    }
    call->state = fetch;
    call->abandoned = abandoned;
    read_round(fetch);
}
