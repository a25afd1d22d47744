// One copier on Apache Kafka's client (TV2), as a process that may be killed at any time:
// Copier.java BOOTSTRAP NAME COUNT PACE-MS HISTORY. Copies the COUNT records of in-NAME to `out`, exactly once. History: tools/check_history.py.
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Copier {
    static final int BATCH = 10, PARTITIONS = 3;
    static PrintStream log;
    static String name, source;
    static KafkaProducer<String, String> producer;
    static KafkaConsumer<String, String> consumer;

    static synchronized void tell(String op, String fields) {
        Instant now = Instant.now();
        log.println("{\"t\":" + (now.getEpochSecond() * 1000000000L + now.getNano()) + ",\"client\":\"" + name + "\",\"op\":\"" + op + "\"," + fields + "}");
    }

    static String field(String key, Object value) {
        return "\"" + key + "\":" + (value instanceof String ? "\"" + value + "\"" : value.toString());
    }

    static void end(String op, String txn, String result) {
        tell(op, field("txn", txn) + "," + field("result", result));
    }

    static void abort(String txn) {
        end("abort", txn, "asked");
        producer.abortTransaction();
        end("abort", txn, "ok");
    }

    static boolean copy(List<ConsumerRecord<String, String>> records, String txn) {
        producer.beginTransaction();
        for (ConsumerRecord<String, String> r : records) {
            int partition = (int) (r.offset() % PARTITIONS);
            String value = txn + "/" + r.value();
            tell("send", field("txn", txn) + "," + field("topic", "out") + "," + field("partition", partition) + "," + field("value", value) + ","
                    + field("source", r.value()));
            producer.send(new ProducerRecord<>("out", partition, null, value), (metadata, error) -> {
                if (error == null) tell("ack", field("value", value) + "," + field("offset", metadata.offset()));
            });
        }
        long next = records.get(records.size() - 1).offset() + 1;
        tell("offsets", field("txn", txn) + "," + field("group", "g-" + name) + "," + field("topic", source) + "," + field("partition", 0) + ","
                + field("offset", next));
        producer.sendOffsetsToTransaction(Map.of(new TopicPartition(source, 0), new OffsetAndMetadata(next)), consumer.groupMetadata());
        if (Math.random() < 0.1) {
            abort(txn);
            return false;
        }
        end("commit", txn, "asked");
        producer.commitTransaction();
        end("commit", txn, "ok");
        return true;
    }

    public static void main(String[] args) throws Exception {
        name = args[1];
        source = "in-" + name;
        long count = Long.parseLong(args[2]), pace = Long.parseLong(args[3]);
        log = new PrintStream(new FileOutputStream(args[4]), true);
        Map<String, Object> p = new HashMap<>(Map.of("bootstrap.servers", args[0], "transactional.id", "txn-" + name, "transaction.timeout.ms", 10000));
        producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        Map<String, Object> c = new HashMap<>(Map.of("bootstrap.servers", args[0], "group.id", "g-" + name, "enable.auto.commit", false,
                "isolation.level", "read_committed", "auto.offset.reset", "earliest", "max.poll.records", BATCH));
        consumer = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer());
        TopicPartition tp = new TopicPartition(source, 0);
        OffsetAndMetadata known = consumer.committed(Set.of(tp)).get(tp);
        long position = known == null ? 0 : known.offset();
        consumer.assign(List.of(tp));
        consumer.seek(tp, position);
        for (int number = 1; position < count; number++) {
            List<ConsumerRecord<String, String>> records = new ArrayList<>();
            consumer.poll(Duration.ofMillis(500)).forEach(records::add);
            if (records.isEmpty()) continue;
            String txn = name + "-" + ProcessHandle.current().pid() + "-" + number;
            boolean done = false;
            try {
                done = copy(records, txn);
            } catch (ProducerFencedException | TimeoutException e) {
                throw e;  // the next life finds out what became of it
            } catch (KafkaException e) {
                abort(txn);
            }
            if (done) position = records.get(records.size() - 1).offset() + 1;
            else consumer.seek(tp, position);
            Thread.sleep((long) (Math.random() * 2 * pace));
        }
        System.exit(0);
    }
}
