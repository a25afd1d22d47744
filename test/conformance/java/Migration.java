import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.*;

/**
 * A group whose members are rolled one by one from the classic protocol to the consumer protocol and back, while records come in.
 * Nothing is lost, nothing is read twice, no partition has two owners. Prints PASS or FAIL lines. Usage: Migration bootstrap
 */
public class Migration {
    static final int PARTITIONS = 6, SLOTS = 3;
    static String boot, topic, group;
    static boolean isStatic;
    static String assignor;
    static final Map<TopicPartition, Member> owners = new ConcurrentHashMap<>();
    static final Map<String, AtomicInteger> seen = new ConcurrentHashMap<>();
    static final List<String> troubles = Collections.synchronizedList(new ArrayList<>());

    static class Member extends Thread implements ConsumerRebalanceListener {
        final String name;
        final Consumer<String, String> consumer;
        volatile boolean stopping;

        Member(int slot, String protocol, int number) {
            name = "m" + slot + "-" + protocol + "-" + number;
            Map<String, Object> c = new HashMap<>(Map.of("bootstrap.servers", boot, "group.id", group, "client.id", name,
                "auto.offset.reset", "earliest", "enable.auto.commit", "false", "group.protocol", protocol));
            if (protocol.equals("classic")) {
                c.put("heartbeat.interval.ms", 200);
                c.put("session.timeout.ms", 10000);
                c.put("partition.assignment.strategy", assignor);
            }
            if (isStatic) c.put("group.instance.id", "i" + slot);
            consumer = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer());
        }

        public void onPartitionsAssigned(Collection<TopicPartition> parts) {
            for (TopicPartition p : parts) {
                Member other = owners.put(p, this);
                if (other != null && other != this) troubles.add(p + " of " + other.name + " goes to " + name);
            }
        }

        public void onPartitionsRevoked(Collection<TopicPartition> parts) {
            if (!parts.isEmpty()) consumer.commitSync();
            for (TopicPartition p : parts) owners.remove(p, this);
        }

        public void onPartitionsLost(Collection<TopicPartition> parts) {
            troubles.add(name + " lost " + parts);
            for (TopicPartition p : parts) owners.remove(p, this);
        }

        public void run() {
            try {
                consumer.subscribe(List.of(topic), this);
                while (!stopping) {
                    ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                    for (ConsumerRecord<String, String> r : records) {
                        TopicPartition p = new TopicPartition(r.topic(), r.partition());
                        if (owners.get(p) != this) troubles.add(name + " reads " + p + " of another");
                        seen.computeIfAbsent(r.value(), k -> new AtomicInteger()).incrementAndGet();
                    }
                    try {
                        if (!records.isEmpty()) consumer.commitSync();
                    } catch (RebalanceInProgressException e) {
                        // The partitions stay, and are committed with what comes next.
                    }
                }
                consumer.commitSync();
                // A static member does not give up what it has; the commits are done.
                owners.values().removeIf(m -> m == this);
                consumer.close();
            } catch (Throwable e) {
                troubles.add(name + ": " + e);
            }
        }

        void finish() throws Exception {
            stopping = true;
            join(30000);
            if (isAlive()) troubles.add(name + " does not end");
        }
    }

    static boolean isStable(Admin admin) {
        try {
            return admin.describeConsumerGroups(List.of(group)).all().get(10, TimeUnit.SECONDS).get(group).groupState()
                == GroupState.STABLE;
        } catch (Exception e) {
            return false;
        }
    }

    static void settle(Admin admin, Member[] members, String when) throws Exception {
        long end = System.nanoTime() + 40_000_000_000L;
        while (System.nanoTime() < end) {
            Map<Member, Integer> counts = new HashMap<>();
            for (Member m : owners.values()) counts.merge(m, 1, Integer::sum);
            boolean even = owners.size() == PARTITIONS;
            for (Member m : members) even &= counts.getOrDefault(m, 0) == PARTITIONS / SLOTS;
            if (even && isStable(admin)) return;
            Thread.sleep(20);
        }
        Map<String, String> shown = new TreeMap<>();
        owners.forEach((p, m) -> shown.put(p.toString(), m.name));
        troubles.add("not settled " + when + ": " + shown);
    }

    static String type(Admin admin) throws Exception {
        for (GroupListing g : admin.listGroups().all().get(10, TimeUnit.SECONDS))
            if (g.groupId().equals(group)) return g.type().get().toString();
        return "none";
    }

    static void roll(String name, boolean withInstances, String strategy) throws Exception {
        isStatic = withInstances;
        assignor = strategy;
        topic = "t-" + UUID.randomUUID();
        group = "g-" + UUID.randomUUID();
        owners.clear();
        seen.clear();
        troubles.clear();
        AtomicBoolean producing = new AtomicBoolean(true);
        AtomicInteger sent = new AtomicInteger();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", boot))) {
            admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get(20, TimeUnit.SECONDS);
            Thread producer = new Thread(() -> {
                try (Producer<String, String> p = new KafkaProducer<>(Map.of("bootstrap.servers", boot, "acks", "all"),
                                                                      new StringSerializer(), new StringSerializer())) {
                    while (producing.get()) {
                        int n = sent.getAndIncrement();
                        p.send(new ProducerRecord<>(topic, n % PARTITIONS, null, "v" + n)).get(20, TimeUnit.SECONDS);
                        Thread.sleep(2);
                    }
                } catch (Throwable e) {
                    troubles.add("producer: " + e);
                }
            });
            producer.start();
            Member[] members = new Member[SLOTS];
            for (int i = 0; i < SLOTS; i++) (members[i] = new Member(i, "classic", 0)).start();
            settle(admin, members, "at first");
            int number = 1;
            for (String protocol : List.of("consumer", "classic", "consumer")) {
                for (int i = 0; i < SLOTS; i++) {
                    members[i].finish();
                    (members[i] = new Member(i, protocol, number)).start();
                    settle(admin, members, "with " + (i + 1) + " of " + protocol + " " + number);
                    if (!troubles.isEmpty()) break;
                }
                number++;
                String type = type(admin);
                if (!type.equalsIgnoreCase(protocol)) troubles.add("the group is " + type + ", not " + protocol);
                if (!troubles.isEmpty()) break;
            }
            producing.set(false);
            producer.join(30000);
            long end = System.nanoTime() + 20_000_000_000L;
            while (seen.size() < sent.get() && System.nanoTime() < end) Thread.sleep(20);
            for (Member m : members) m.finish();
        }
        int lost = 0, twice = 0;
        for (int n = 0; n < sent.get(); n++) {
            AtomicInteger count = seen.get("v" + n);
            if (count == null) lost++;
            else if (count.get() > 1) twice++;
        }
        if (lost > 0) troubles.add(lost + " of " + sent.get() + " lost");
        if (twice > 0) troubles.add(twice + " of " + sent.get() + " read twice");
        System.out.println(troubles.isEmpty() ? "PASS " + name : "FAIL " + name + ": " + String.valueOf(troubles).replace('\n', ' '));
    }

    public static void main(String[] args) throws Exception {
        boot = args[0];
        roll("rolling dynamic members both ways, range", false, "org.apache.kafka.clients.consumer.RangeAssignor");
        roll("rolling dynamic members both ways, cooperative-sticky", false,
             "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        roll("rolling static members both ways", true, "org.apache.kafka.clients.consumer.RangeAssignor");
        System.exit(0);
    }
}
