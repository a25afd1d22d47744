import java.time.Duration;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

/** A session over Apache Kafka's Java client with its default settings and others. Prints PASS or FAIL lines. Usage: Session bootstrap */
public class Session {
    static String boot;
    static final String topic = "java-" + UUID.randomUUID();

    interface Body { void run() throws Exception; }

    static void check(String name, Body body) {
        try {
            body.run();
            System.out.println("PASS " + name);
        } catch (Throwable e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            System.out.println("FAIL " + name + ": " + String.valueOf(cause).replace('\n', ' '));
        }
    }

    static void same(Object got, Object want) {
        if (!Objects.equals(got, want)) throw new AssertionError(got + " is not " + want);
    }

    static Map<String, Object> base(Object... more) {
        Map<String, Object> out = new HashMap<>(Map.of("bootstrap.servers", boot));
        for (int i = 0; i < more.length; i += 2) out.put((String) more[i], more[i + 1]);
        return out;
    }

    static long produce(int n, int partition, Object... more) throws Exception {
        try (Producer<String, String> p = new KafkaProducer<>(base(more), new StringSerializer(), new StringSerializer())) {
            List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < n; i++) {
                ProducerRecord<String, String> r = new ProducerRecord<>(topic, partition, "k" + i, "v" + i);
                r.headers().add("h", "x".getBytes());
                sent.add(p.send(r));
            }
            long first = sent.get(0).get(20, TimeUnit.SECONDS).offset();
            for (int i = 0; i < n; i++) same(sent.get(i).get(20, TimeUnit.SECONDS).offset(), first + i);
            return first;
        }
    }

    static void read(int n, int partition, long offset, Object... more) {
        try (Consumer<String, String> c = new KafkaConsumer<>(base(more), new StringDeserializer(), new StringDeserializer())) {
            TopicPartition tp = new TopicPartition(topic, partition);
            c.assign(List.of(tp));
            c.seek(tp, offset);
            int seen = 0;
            long end = System.nanoTime() + 20_000_000_000L;
            while (seen < n && System.nanoTime() < end) {
                for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(500))) {
                    if (seen >= n) break;
                    same(r.offset(), offset + seen);
                    same(r.value(), "v" + seen++);
                    same(new String(r.headers().lastHeader("h").value()), "x");
                }
            }
            same(seen, n);
        }
    }

    static void offsets() throws Exception {
        try (Consumer<String, String> c = new KafkaConsumer<>(base(), new StringDeserializer(), new StringDeserializer())) {
            TopicPartition tp = new TopicPartition(topic, 0);
            same(c.beginningOffsets(List.of(tp)).get(tp), 0L);
            same(c.endOffsets(List.of(tp)).get(tp), 3500L);
            same(c.offsetsForTimes(Map.of(tp, 1L)).get(tp).offset(), 0L);
            same(c.offsetsForTimes(Map.of(tp, System.currentTimeMillis() + 3_600_000L)).get(tp), null);
        }
    }

    static void admin(Admin a) throws Exception {
        check("describe-cluster", () -> {
            same(a.describeCluster().nodes().get().size(), 1);
            a.describeCluster().clusterId().get();
            a.describeFeatures().featureMetadata().get();
            a.describeMetadataQuorum().quorumInfo().get();
        });
        check("describe-topic", () -> same(a.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size(), 2));
        check("list-offsets", () -> {
            TopicPartition tp = new TopicPartition(topic, 0);
            same(a.listOffsets(Map.of(tp, OffsetSpec.latest())).all().get().get(tp).offset(), 3500L);
            same(a.listOffsets(Map.of(tp, OffsetSpec.earliest())).all().get().get(tp).offset(), 0L);
            a.listOffsets(Map.of(tp, OffsetSpec.maxTimestamp())).all().get();
            same(a.listOffsets(Map.of(tp, OffsetSpec.earliestLocal())).all().get().get(tp).offset(), 0L);
        });
        check("configs", () -> {
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            a.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "1000000"), AlterConfigOp.OpType.SET)))).all().get();
            Config c = a.describeConfigs(List.of(r)).all().get().get(r);
            same(c.get("retention.ms").value(), "1000000");
            same(c.get("segment.bytes").value(), "1073741824");
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
            same(a.describeConfigs(List.of(broker)).all().get().get(broker).get("node.id").value(), "1");
        });
        check("create-partitions", () -> {
            a.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
            same(a.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size(), 4);
        });
        check("delete-records", () -> {
            TopicPartition tp = new TopicPartition(topic, 0);
            same(a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(10))).all().get() == null
                ? a.listOffsets(Map.of(tp, OffsetSpec.earliest())).all().get().get(tp).offset() : -1L, 10L);
        });
        check("describe-producers", () -> a.describeProducers(List.of(new TopicPartition(topic, 0))).all().get());
        check("log-dirs", () -> same(a.describeLogDirs(List.of(1)).allDescriptions().get().size(), 1));
        check("delete-topic", () -> {
            a.deleteTopics(List.of(topic)).all().get();
            same(a.listTopics().names().get().contains(topic), false);
        });
    }

    public static void main(String[] args) throws Exception {
        boot = args[0];
        try (Admin a = Admin.create(base())) {
            check("create-topic", () -> {
                CreateTopicsResult r = a.createTopics(List.of(new NewTopic(topic, 2, (short) 1)));
                r.all().get();
                same(r.numPartitions(topic).get(), 2);
                r.config(topic).get();
            });
            Object[][] settings = {{}, {"compression.type", "gzip"}, {"compression.type", "snappy"}, {"compression.type", "lz4"},
                {"compression.type", "zstd"}, {"acks", "1", "enable.idempotence", false}, {"linger.ms", 0, "batch.size", 200}};
            for (Object[] s : settings) {
                String name = s.length == 0 ? "defaults" : String.valueOf(s[1]) + (s[0].equals("acks") || s[0].equals("linger.ms") ? "-" + s[0] : "");
                long[] first = new long[1];
                check("produce-" + name, () -> first[0] = produce(500, 0, s));
                check("read-" + name, () -> read(500, 0, first[0]));
            }
            check("read-committed", () -> read(500, 0, 0, "isolation.level", "read_committed"));
            check("offsets", Session::offsets);
            admin(a);
        }
    }
}
