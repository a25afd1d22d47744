// How a new metadata image reaches every reactor.
//
// Images come from the controller in order, on reactor 0. One is on its way at a time; of those
// that come meanwhile only the newest matters. First every reactor brings its partitions up to the
// image (`apply`); when all have, every reactor takes it for its handlers (`adopt`), so nobody is
// told of a partition that is not open yet. The controller releases its parked responses as soon as
// the adoptions are posted: an answer that travels to a reactor comes behind its image. When all
// have adopted it, nobody reads the old root any more.
#include "broker/parts.h"
#include "base/memory.h"
#include "group/group.h"
#include "transaction/coordinator.h"
#include "metadata/effective_config.h"

static void publish_next(struct broker *broker);

static struct broker_reactor *reactor_of_message(struct env_message *message) {
    return container_of(message, struct broker_reactor, message);
}

// Runs `deliver` on the reactor: at once when it is reactor 0, whose code this is.
static void run_on_reactor(struct broker_reactor *reactor,
                           void (*deliver)(struct env_message *message)) {
    reactor->message.deliver = deliver;
    if (reactor->node.reactor == 0) {
        deliver(&reactor->message);
    } else {
        env_post(reactor->node.env, &reactor->message);
    }
}

static void run_at_home(struct broker_reactor *reactor,
                        void (*deliver)(struct env_message *message)) {
    reactor->message.deliver = deliver;
    if (reactor->node.reactor == 0) {
        deliver(&reactor->message);
    } else {
        env_post(reactor->broker->env, &reactor->message);
    }
}

// ---- Adopt ----

static void publish_finished(struct broker *broker) {
    if (broker->published != NULL) image_unref(broker->published);
    broker->published = broker->applying;
    broker->applying = NULL;
    publish_next(broker);
}

static void adopted(struct env_message *message) {
    struct broker *broker = reactor_of_message(message)->broker;
    if (--broker->outstanding == 0) publish_finished(broker);
}

static void adopt(struct env_message *message) {
    struct broker_reactor *reactor = reactor_of_message(message);
    reactor->node.image = reactor->broker->applying;
    reactor->node.broker_epoch = reactor->next_epoch;
    reactor->node.kraft_version = reactor->next_kraft_version;
    if (reactor->next_config != NULL) {
        if (reactor->node.reactor == 0) {
            net_quota_configure(reactor->broker->quota, reactor->next_config);
        }
        config_free(reactor->config);
        reactor->config = reactor->next_config;
        reactor->node.config = reactor->config;
        reactor->next_config = NULL;
    }
    if (reactor->node.groups != NULL) {
        group_coordinator_publish(reactor->node.groups, reactor->node.image, reactor->config);
        transaction_coordinator_publish(reactor->node.transactions, reactor->node.image,
                                        reactor->config);
    }
    if (reactor->node.reactor != 0) run_at_home(reactor, adopted);
}

static void adopt_everywhere(struct broker *broker) {
    broker->outstanding = broker->reactor_count;
    int64_t offset = image_offset(broker->applying);
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        broker->reactors[i].next_epoch = broker->epoch;
        broker->reactors[i].next_kraft_version = raft_kraft_version(broker->raft);
        run_on_reactor(&broker->reactors[i], adopt);
    }
    controller_published(broker->controller, offset);
    adopted(&broker->reactors[0].message);
}

// ---- Apply ----

static void applied(struct env_message *message) {
    struct broker *broker = reactor_of_message(message)->broker;
    if (--broker->outstanding == 0) adopt_everywhere(broker);
}

static void apply_done(struct replica_apply *apply, int32_t failed) {
    struct broker_reactor *reactor = container_of(apply, struct broker_reactor, apply);
    if (failed > 0) {
        log_error(env_logger(reactor->node.env), "broker", "%d partitions could not be opened",
                  failed);
    }
    run_at_home(reactor, applied);
}

static void apply(struct env_message *message) {
    struct broker_reactor *reactor = reactor_of_message(message);
    if (reactor->node.replicas == NULL) {
        run_at_home(reactor, applied);
        return;
    }
    const struct config *config =
        reactor->next_config != NULL ? reactor->next_config : reactor->config;
    group_coordinator_retire(reactor->node.groups, reactor->broker->applying);
    transaction_coordinator_retire(reactor->node.transactions, reactor->broker->applying);
    reactor->apply.done = apply_done;
    replica_manager_apply(reactor->node.replicas, reactor->node.image, reactor->broker->applying,
                          config, &reactor->apply);
}

// Before the first image is applied: partitions that this node should not have are set aside.
static bool set_aside_strays(struct broker *broker) {
    if (broker->strays_set_aside || !broker->identity.is_broker) return true;
    broker->strays_set_aside = true;
    struct message error;
    enum err e = replica_set_aside_strays(broker->env, broker->directories, broker->directory_count,
                                          broker->applying, broker->identity.node_id, &error);
    if (e == ERR_NONE) return true;
    broker_fail(broker, e, error.text);
    return false;
}

static void make_configs(struct broker *broker) {
    bool changed = broker->published == NULL ||
                   effective_broker_config_changed(broker->published, broker->applying,
                                                   broker->identity.node_id);
    for (int32_t i = 0; changed && i < broker->reactor_count; i++) {
        broker->reactors[i].next_config =
            effective_broker_config(broker->options.config, broker->applying);
    }
}

static void publish_next(struct broker *broker) {
    if (broker->applying != NULL || broker->next == NULL) return;
    broker->applying = broker->next;
    broker->next = NULL;
    if (!set_aside_strays(broker)) return;
    make_configs(broker);
    broker->outstanding = broker->reactor_count;
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        run_on_reactor(&broker->reactors[i], apply);
    }
}

void broker_publish(struct controller_host *host, struct image *image) {
    struct broker *broker = container_of(host, struct broker, host);
    if (broker->next != NULL) image_unref(broker->next);
    broker->next = image_ref(image);
    publish_next(broker);
}

void broker_forget_images(struct broker *broker) {
    if (broker->published != NULL) image_unref(broker->published);
    if (broker->applying != NULL) image_unref(broker->applying);
    if (broker->next != NULL) image_unref(broker->next);
}

// ---- Failed directories ----

struct directory_failure {
    struct env_message message;
    struct broker_reactor *reactor;  // where it goes to or comes from
    int32_t directory;
    enum err error;
};

static struct directory_failure *directory_failure_new(struct broker_reactor *reactor,
                                                       int32_t directory, enum err error) {
    struct directory_failure *f = memory_zalloc(1, sizeof *f);
    f->reactor = reactor;
    f->directory = directory;
    f->error = error;
    return f;
}

static void directory_failure_arrived(struct env_message *message) {
    struct directory_failure *f = container_of(message, struct directory_failure, message);
    replica_manager_fail_directory(f->reactor->node.replicas, f->directory);
    memory_free(f);
}

// On reactor 0: the directory is given up on every reactor. Without the metadata log, or with no
// directory left, the node stops.
static void directory_failure_told(struct env_message *message) {
    struct directory_failure *f = container_of(message, struct directory_failure, message);
    struct broker *broker = f->reactor->broker;
    int32_t directory = f->directory;
    enum err error = f->error;
    memory_free(f);
    struct log_directory *failed = broker->directories[directory];
    if (log_directory_has_failed(failed)) return;
    log_directory_fail(failed, error);
    bool any_left = false;
    for (int32_t i = 0; i < broker->directory_count; i++) {
        any_left |= !log_directory_has_failed(broker->directories[i]);
    }
    if (failed == broker->metadata_directory || !any_left) {
        broker_fail(
            broker, error,
            any_left ? "the metadata log's directory failed" : "every log directory failed");
        return;
    }
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        struct directory_failure *out =
            directory_failure_new(&broker->reactors[i], directory, error);
        out->message.deliver = directory_failure_arrived;
        env_post(broker->reactors[i].node.env, &out->message);
    }
}

static void directory_failed(struct replica_host *host, int32_t directory, enum err error) {
    struct broker_reactor *reactor = container_of(host, struct broker_reactor, replica_host);
    struct directory_failure *f = directory_failure_new(reactor, directory, error);
    f->message.deliver = directory_failure_told;
    env_post(reactor->broker->env, &f->message);
}

void broker_replica_host_init(struct broker_reactor *reactor) {
    reactor->replica_host.directory_failed = directory_failed;
    reactor->replica_host.directory_chosen = broker_directory_chosen;
}
