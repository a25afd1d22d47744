// What DescribeConfigs shows, as Kafka's ConfigHelper composes it. An entry's synonyms are, for
// each source from the strongest to the weakest, all names that may give its value, in their order;
// those in front of the first one that has the name itself are dropped, and the source of the entry
// is that of the first one left. (So retention.ms shows DEFAULT_CONFIG when a file sets
// log.retention.hours. It is what Kafka's tools see.)
#include "metadata/effective_internal.h"

#define SYNONYMS_MAX 24

struct names {
    struct slice items[CONFIG_ALTERNATIVES_MAX];
    int count;
};

// The names that may give a broker config's value; of a listener's own config also the one without
// prefix.
static struct names names_of(struct slice name) {
    struct names names = {.items = {name}, .count = 1};
    enum config_key key, keys[CONFIG_ALTERNATIVES_MAX];
    if (config_key_of(CONFIG_SCOPE_BROKER, name, &key)) {
        names.count = config_alternatives(key, keys);
        for (int i = 0; i < names.count; i++)
            names.items[i] = slice_cstring(config_row_of(keys[i])->name);
    } else if (config_broker_key_of(name, &key)) {
        names.items[names.count++] = slice_cstring(config_row_of(key)->name);
    }
    return names;
}

struct synonyms {
    struct effective_synonym items[SYNONYMS_MAX];
    int32_t count;
};

static void add_synonym(struct synonyms *list, struct slice name, struct slice value,
                        enum config_source source) {
    if (list->count < SYNONYMS_MAX)
        list->items[list->count++] = (struct effective_synonym){name, value, source};
}

static void add_broker_synonyms(struct synonyms *list, const struct config *config,
                                struct slice name, bool sensitive) {
    struct names names = names_of(name);
    struct synonyms all = {.count = 0};
    struct slice text;
    for (int source = CONFIG_SOURCE_DYNAMIC_BROKER; source < CONFIG_SOURCE_DEFAULT; source++)
        for (int i = 0; i < names.count; i++)
            if (config_text(config, names.items[i], (enum config_source)source, &text))
                add_synonym(&all, names.items[i], sensitive ? SLICE_NULL : text,
                            (enum config_source)source);
    for (int i = 0; i < names.count; i++) {
        enum config_key key;
        if (!config_key_of(CONFIG_SCOPE_BROKER, names.items[i], &key)) continue;
        const char *usual = config_row_of(key)->default_text;
        if (usual != NULL)
            add_synonym(&all, names.items[i], sensitive ? SLICE_NULL : slice_cstring(usual),
                        CONFIG_SOURCE_DEFAULT);
    }
    int32_t first = 0;
    while (first < all.count && !slice_equal(all.items[first].name, name))
        first++;
    for (; first < all.count; first++)
        add_synonym(list, all.items[first].name, all.items[first].value, all.items[first].source);
}

static void set_synonyms(struct effective_entry *entry, const struct synonyms *list,
                         struct arena *arena) {
    entry->source = list->count == 0 ? CONFIG_SOURCE_DEFAULT : list->items[0].source;
    struct effective_synonym *copy = arena_zalloc(arena, (size_t)list->count, sizeof *copy);
    if (list->count > 0) memcpy(copy, list->items, (size_t)list->count * sizeof *copy);
    entry->synonyms = copy;
    entry->synonym_count = list->count;
}

static struct effective_entry entry_of(enum config_key key) {
    const struct config_row *row = config_row_of(key);
    return (struct effective_entry){
        .name = slice_cstring(row->name),
        .sensitive = row->type == CONFIG_TYPE_PASSWORD,
        .type = (enum config_type)row->type,
        .documentation = slice_cstring(row->documentation),
    };
}

// The canonical text of a value that an image or a file has.
static struct slice canonical(enum config_key key, struct slice text, struct arena *arena) {
    struct config_value value;
    return config_parse(key, text, arena, &value, NULL) == ERR_NONE ? value.text : text;
}

// ---- Topics ----

static struct effective_entry topic_entry(const struct image *image, const struct config *config,
                                          enum config_key key, struct slice own,
                                          struct arena *arena) {
    const struct config_row *row = config_row_of(key);
    struct effective_entry entry = entry_of(key);
    struct synonyms list = {.count = 0};
    if (!slice_is_null(own)) {
        entry.value = canonical(key, own, arena);
        add_synonym(&list, entry.name, entry.value, CONFIG_SOURCE_TOPIC);
    } else {
        enum config_source source;
        entry.value = effective_from_broker(image, config, key, arena, &source).text;
    }
    if (row->synonym_count > 0)
        add_broker_synonyms(&list, config, slice_cstring(config_row_of(row->synonyms[0].key)->name),
                            false);
    set_synonyms(&entry, &list, arena);
    return entry;
}

struct effective_entries effective_describe_topic(const struct image *image,
                                                  const struct config *config, struct slice topic,
                                                  struct arena *arena) {
    struct effective_entry *items =
        arena_zalloc(arena, CONFIG_TOPIC_END - CONFIG_TOPIC_FIRST, sizeof *items);
    int32_t count = 0;
    for (int key = CONFIG_TOPIC_FIRST; key < (int)CONFIG_TOPIC_END; key++) {
        const struct config_row *row = config_row_of((enum config_key)key);
        struct slice own = SLICE_NULL;
        bool set =
            image_config(image, CONFIG_RESOURCE_TOPIC, topic, slice_cstring(row->name), &own);
        if (row->internal && !set) continue;
        items[count++] = topic_entry(image, config, (enum config_key)key, own, arena);
    }
    return (struct effective_entries){items, count};
}

struct effective_entries effective_new_topic(const struct image *image, const struct config *config,
                                             const struct config_pair *configs, int32_t count,
                                             struct arena *arena) {
    struct effective_entry *items =
        arena_zalloc(arena, CONFIG_TOPIC_END - CONFIG_TOPIC_FIRST, sizeof *items);
    int32_t used = 0;
    for (int key = CONFIG_TOPIC_FIRST; key < (int)CONFIG_TOPIC_END; key++) {
        struct effective_entry entry = entry_of((enum config_key)key);
        bool set = false;
        // Unlike in DescribeConfigs, the source is that of the broker config that gave the value.
        entry.value =
            effective_from_broker(image, config, (enum config_key)key, arena, &entry.source).text;
        for (int32_t i = 0; i < count; i++) {
            if (!slice_equal(configs[i].name, entry.name)) continue;
            entry.value = configs[i].value;
            entry.source = CONFIG_SOURCE_TOPIC;
            set = true;
        }
        if (set || !config_row_of((enum config_key)key)->internal) items[used++] = entry;
    }
    return (struct effective_entries){items, used};
}

// ---- Brokers ----

static struct effective_entry broker_entry(const struct config *config, struct slice name,
                                           struct slice value, bool cluster_default,
                                           struct arena *arena) {
    enum config_key key = CONFIG_KEY_COUNT;
    bool own_row = config_key_of(CONFIG_SCOPE_BROKER, name, &key);
    bool known = own_row || config_key_of(CONFIG_SCOPE_QUOTA, name, &key) ||
                 config_broker_key_of(name, &key);
    struct effective_entry entry = {.name = name, .sensitive = true};
    if (known) entry = entry_of(key);
    entry.name = name;
    if (!own_row) entry.documentation = SLICE_NULL;
    entry.value = entry.sensitive ? SLICE_NULL : value;
    bool quota = known && config_row_of(key)->scope == CONFIG_SCOPE_QUOTA;
    entry.read_only = !quota && (!own_row || config_row_of(key)->update == CONFIG_READ_ONLY);
    struct synonyms all = {.count = 0}, list = {.count = 0};
    add_broker_synonyms(&all, config, name, entry.sensitive);
    for (int32_t i = 0; i < all.count; i++)
        if (!cluster_default || all.items[i].source == CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER)
            list.items[list.count++] = all.items[i];
    set_synonyms(&entry, &list, arena);
    return entry;
}

static struct effective_entries describe_cluster_default(const struct image *image,
                                                         const struct config *config,
                                                         struct arena *arena) {
    int32_t count = 0, used = 0;
    struct slice name = SLICE_NULL, value;
    while (image_config_after(image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, name, &name, &value))
        count++;
    struct effective_entry *items = arena_zalloc(arena, (size_t)count, sizeof *items);
    name = SLICE_NULL;
    while (image_config_after(image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, name, &name, &value)) {
        struct slice counts;
        // What may not be set for all brokers counts nowhere and is not shown.
        if (config_text(config, name, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER, &counts))
            items[used++] = broker_entry(config, name, value, true, arena);
    }
    return (struct effective_entries){items, used};
}

// Whether an entry was seen before (the same name may be set by several sources).
static bool seen_before(const struct config *config, int32_t index, struct slice name) {
    struct slice other, text;
    enum config_source source;
    for (int32_t i = 0; i < index; i++)
        if (config_entry_at(config, i, &other, &text, &source) && slice_equal(other, name))
            return true;
    return false;
}

struct effective_entries effective_describe_broker(const struct image *image,
                                                   const struct config *config,
                                                   bool cluster_default, struct arena *arena) {
    if (cluster_default) return describe_cluster_default(image, config, arena);
    struct slice name, text;
    enum config_source source;
    int32_t set = 0, count = 0;
    while (config_entry_at(config, set, &name, &text, &source))
        set++;
    struct effective_entry *items =
        arena_zalloc(arena, (size_t)CONFIG_BROKER_END + (size_t)set, sizeof *items);
    for (int key = CONFIG_BROKER_FIRST; key < (int)CONFIG_BROKER_END; key++) {
        const struct config_row *row = config_row_of((enum config_key)key);
        if (row->internal) continue;
        items[count++] =
            broker_entry(config, slice_cstring(row->name),
                         config_value(config, (enum config_key)key)->text, false, arena);
    }
    for (int32_t i = 0; i < set; i++) {
        enum config_key key;
        if (!config_entry_at(config, i, &name, &text, &source) || seen_before(config, i, name))
            continue;
        bool shown =
            config_key_of(CONFIG_SCOPE_BROKER, name, &key) && !config_row_of(key)->internal;
        for (int k = CONFIG_SOURCE_DEFAULT - 1; k >= CONFIG_SOURCE_DYNAMIC_BROKER; k--)
            config_text(config, name, (enum config_source)k, &text);  // the strongest stays
        if (!shown) items[count++] = broker_entry(config, name, text, false, arena);
    }
    return (struct effective_entries){items, count};
}

// ---- Groups and client metrics ----

struct effective_entries effective_describe_group(const struct image *image,
                                                  const struct config *config, struct slice group,
                                                  struct arena *arena) {
    struct effective_entry *items =
        arena_zalloc(arena, CONFIG_GROUP_END - CONFIG_GROUP_FIRST, sizeof *items);
    int32_t count = 0;
    for (int key = CONFIG_GROUP_FIRST; key < (int)CONFIG_GROUP_END; key++) {
        const struct config_row *row = config_row_of((enum config_key)key);
        struct effective_entry entry = entry_of((enum config_key)key);
        struct synonyms list = {.count = 0};
        struct slice own = SLICE_NULL;
        bool set = image_config(image, CONFIG_RESOURCE_GROUP, group, entry.name, &own);
        bool broker_set = row->synonym_count > 0 &&
                          config_source(config, row->synonyms[0].key) != CONFIG_SOURCE_DEFAULT;
        if (row->internal && !set && !broker_set) continue;
        entry.value =
            set ? canonical((enum config_key)key, own, arena)
                : effective_from_broker(image, config, (enum config_key)key, arena, &entry.source)
                      .text;
        if (set) add_synonym(&list, entry.name, entry.value, CONFIG_SOURCE_GROUP);
        if (row->synonym_count > 0)
            add_broker_synonyms(&list, config,
                                slice_cstring(config_row_of(row->synonyms[0].key)->name), false);
        else
            add_synonym(&list, entry.name, slice_cstring(row->default_text), CONFIG_SOURCE_DEFAULT);
        set_synonyms(&entry, &list, arena);
        items[count++] = entry;
    }
    return (struct effective_entries){items, count};
}

struct effective_entries effective_describe_client_metrics(const struct image *image,
                                                           struct slice subscription,
                                                           struct arena *arena) {
    struct effective_entry *items =
        arena_zalloc(arena, CONFIG_CLIENT_METRICS_END - CONFIG_CLIENT_METRICS_FIRST, sizeof *items);
    int32_t count = 0;
    for (int key = CONFIG_CLIENT_METRICS_FIRST; key < (int)CONFIG_CLIENT_METRICS_END; key++) {
        struct effective_entry entry = entry_of((enum config_key)key);
        struct synonyms list = {.count = 0};
        struct slice own = slice_cstring(config_row_of((enum config_key)key)->default_text);
        bool set =
            image_config(image, CONFIG_RESOURCE_CLIENT_METRICS, subscription, entry.name, &own);
        entry.value = canonical((enum config_key)key, own, arena);
        if (set) add_synonym(&list, entry.name, entry.value, CONFIG_SOURCE_CLIENT_METRICS);
        set_synonyms(&entry, &list, arena);
        items[count++] = entry;
    }
    return (struct effective_entries){items, count};
}
