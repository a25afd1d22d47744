import java.io.PrintWriter;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;
import org.apache.kafka.coordinator.group.modern.*;

/**
 * What Apache Kafka's assignors make of random groups, each of which changes step by step: members come, go and change their minds,
 * topics grow. Usage: Emit FILE GROUPS SEED
 *
 * A step in the file: "uniform|range 0|1", the assignor and whether all subscribe equally; "topics" and their partitions; for each
 * member "member ID INSTANCE|-" with "|" before its topics, its old partitions and its new ones (topic:partition). Topics are
 * numbered from 1, small enough that Java's hash sets run through them in order.
 */
public class Emit {
    static final int TOPICS_MAX = 10;

    static class Member {
        String id, instance;
        TreeSet<Integer> topics = new TreeSet<>();
        TreeMap<Integer, TreeSet<Integer>> has = new TreeMap<>();
    }

    static Random random;
    static PrintWriter out;
    static List<Member> members;
    static List<Integer> partitions;
    static int number;

    static Uuid id(int topic) {
        return new Uuid(0, topic);
    }

    static void subscribe(Member m, boolean equally) {
        m.topics.clear();
        for (int t = 1; t <= partitions.size(); t++)
            if (equally || random.nextInt(3) > 0) m.topics.add(t);
    }

    static void add(boolean equally) {
        Member m = new Member();
        m.id = "m" + random.nextInt(1000) + "-" + number++;
        m.instance = random.nextInt(4) == 0 ? "i" + number : null;
        subscribe(m, equally);
        members.add(m);
    }

    static String show(Map<Integer, TreeSet<Integer>> has) {
        StringJoiner text = new StringJoiner(",");
        has.forEach((t, parts) -> parts.forEach(p -> text.add(t + ":" + p)));
        return text.toString();
    }

    static void assign(ConsumerGroupPartitionAssignor assignor) {
        Map<String, MemberSubscriptionAndAssignmentImpl> specs = new LinkedHashMap<>();
        Map<Uuid, Map<Integer, String>> inverted = new HashMap<>();
        boolean equal = true;
        for (Member m : members) {
            Set<Uuid> topics = new LinkedHashSet<>();
            m.topics.forEach(t -> topics.add(id(t)));
            Map<Uuid, Set<Integer>> has = new LinkedHashMap<>();
            m.has.forEach((t, parts) -> {
                has.put(id(t), new LinkedHashSet<>(parts));
                for (int p : parts) inverted.computeIfAbsent(id(t), k -> new HashMap<>()).put(p, m.id);
            });
            equal &= m.topics.equals(members.get(0).topics);
            specs.put(m.id, new MemberSubscriptionAndAssignmentImpl(Optional.empty(), Optional.ofNullable(m.instance), topics,
                                                                    new Assignment(has)));
        }
        GroupSpec spec = new GroupSpecImpl(specs, equal ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS, inverted);
        GroupAssignment made = assignor.assign(spec, new SubscribedTopicDescriber() {
            public int numPartitions(Uuid topic) {
                return partitions.get((int) topic.getLeastSignificantBits() - 1);
            }

            public Set<String> racksForPartition(Uuid topic, int partition) {
                return Set.of();
            }
        });
        out.println(assignor.name() + " " + (equal ? 1 : 0));
        out.println("topics " + String.join(" ", partitions.stream().map(String::valueOf).toList()));
        for (Member m : members) {
            TreeMap<Integer, TreeSet<Integer>> next = new TreeMap<>();
            MemberAssignment got = made.members().get(m.id);
            if (got != null)
                got.partitions().forEach((t, parts) -> {
                    if (!parts.isEmpty()) next.put((int) t.getLeastSignificantBits(), new TreeSet<>(parts));
                });
            StringJoiner topics = new StringJoiner(",");
            m.topics.forEach(t -> topics.add(String.valueOf(t)));
            out.println("member " + m.id + " " + (m.instance == null ? "-" : m.instance) + "|" + topics + "|" + show(m.has) + "|"
                        + show(next));
            m.has = next;
        }
        out.println("end");
    }

    public static void main(String[] args) throws Exception {
        random = new Random(Long.parseLong(args[2]));
        out = new PrintWriter(args[0]);
        for (int group = 0; group < Integer.parseInt(args[1]); group++) {
            boolean equally = random.nextBoolean();
            members = new ArrayList<>();
            partitions = new ArrayList<>();
            for (int t = 1 + random.nextInt(TOPICS_MAX); t > 0; t--) partitions.add(random.nextInt(12));
            for (int m = 1 + random.nextInt(10); m > 0; m--) add(equally);
            ConsumerGroupPartitionAssignor assignor = random.nextInt(4) == 0 ? new RangeAssignor() : new UniformAssignor();
            assign(assignor);
            for (int step = 0; step < 6; step++) {
                switch (random.nextInt(5)) {
                    case 0 -> add(equally);
                    case 1 -> {
                        if (members.size() > 1) members.remove(random.nextInt(members.size()));
                    }
                    case 2 -> {
                        int t = random.nextInt(partitions.size());
                        partitions.set(t, partitions.get(t) + random.nextInt(4));
                    }
                    case 3 -> subscribe(members.get(random.nextInt(members.size())), equally);
                    default -> {
                        if (partitions.size() < TOPICS_MAX) partitions.add(random.nextInt(12));
                        if (equally) for (Member m : members) subscribe(m, true);
                    }
                }
                assign(assignor);
            }
        }
        out.close();
    }
}
