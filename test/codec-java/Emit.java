// Fills Apache Kafka's own message classes with seeded values and writes what they make of them: bytes and JSON.
//
//   java -cp 'libs/*' Emit.java OUTPUT CASES SEED
//
// Every class in the jars that has a …JsonConverter, every version, CASES times. The Schema of the version says which fields there
// are, which may be null and which are tagged; values are set by reflection. Case 0 has edges (smallest, null, empty), case 1 other
// edges (largest, one element), the others are random. Structs of flexible versions get unknown tagged fields now and then.
//
// OUTPUT is a row of entries, big-endian: u16 size and name, u16 version, u32 size and bytes, u32 size and JSON.
// The reader is test/wire/test_codec_corpus.c.

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

public class Emit {
    static final int SMALLEST = 0, LARGEST = 1;
    static final String[] WORDS = {"", "a", "topic-1", "größe", "日本", "\uD83D\uDC26", "quote\"back\\slash", "tab\tline\n\u0001\u001f",
        "x".repeat(126), "y".repeat(127), "\u007f\u0080/<>&'"};

    final Random random;
    int mode;   // SMALLEST, LARGEST, else random
    boolean tagsAllowed;

    Emit(long seed) { random = new Random(seed); }

    static TreeMap<String, Class<?>> converters() throws Exception {
        TreeMap<String, Class<?>> found = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!path.endsWith(".jar") || !new File(path).getName().startsWith("kafka")) continue;
            try (JarFile jar = new JarFile(path)) {
                for (var entries = jar.entries(); entries.hasMoreElements(); ) {
                    String name = entries.nextElement().getName();
                    if (!name.endsWith("JsonConverter.class") || name.contains("$")) continue;
                    String message = name.replace("JsonConverter.class", "").replace('/', '.');
                    found.put(message, Class.forName(message + "JsonConverter"));
                }
            }
        }
        return found;
    }

    boolean chance(int percent) { return mode > LARGEST && random.nextInt(100) < percent; }

    long number(int bits, boolean unsigned) {
        long min = unsigned ? 0 : -1L << (bits - 1), max = unsigned ? (1L << bits) - 1 : ~min;
        if (mode == SMALLEST) return min;
        if (mode == LARGEST) return max;
        switch (random.nextInt(5)) {
            case 0: return 0;
            case 1: return unsigned ? 1 : -1;
            case 2: return random.nextBoolean() ? min : max;
            default:
                long wide = random.nextLong();
                return bits == 64 ? wide : unsigned ? wide & max : wide << (64 - bits) >> (64 - bits);
        }
    }

    double real() {
        double[] edges = {0, -0.0, 1, -1, 0.5, 1e7, 1e-3, 9.999e-4, 1.0 / 3, Double.MAX_VALUE, Double.MIN_VALUE, Double.NaN,
            Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, 1024 * 1024, 2e-3};
        if (mode == SMALLEST) return -Double.MAX_VALUE;
        if (mode == LARGEST) return Double.MAX_VALUE;
        return chance(70) ? edges[random.nextInt(edges.length)] : Double.longBitsToDouble(random.nextLong());
    }

    String text() {
        if (mode == SMALLEST) return "";
        if (mode == LARGEST) return "z".repeat(300);
        return WORDS[random.nextInt(WORDS.length)];
    }

    byte[] bytes() {
        byte[] result = new byte[mode == SMALLEST ? 0 : mode == LARGEST ? 200 : random.nextInt(12)];
        random.nextBytes(result);
        return result;
    }

    Uuid uuid() {
        if (mode == SMALLEST) return Uuid.ZERO_UUID;
        if (mode == LARGEST) return new Uuid(-1, -1);
        return chance(20) ? Uuid.ONE_UUID : new Uuid(random.nextLong(), random.nextLong());
    }

    // A value of a schema type, for a Java type.
    Object value(Type type, Class<?> java, java.lang.reflect.Type generic) throws Exception {
        boolean nullable = type.isNullable();
        if (nullable && (mode == SMALLEST || chance(25))) return null;
        if (java == boolean.class) return mode == LARGEST || chance(50);
        if (java == byte.class) return (byte) number(8, false);
        if (java == short.class) return (short) number(16, false);
        if (java == int.class) return (int) (type == Type.UINT16 ? number(16, true) : number(32, false));
        if (java == long.class) return type == Type.UNSIGNED_INT32 ? number(32, true) : number(64, false);
        if (java == double.class) return real();
        if (java == Uuid.class) return uuid();
        if (java == String.class) return text();
        if (java == byte[].class) return bytes();
        if (java == ByteBuffer.class) return ByteBuffer.wrap(bytes());
        if (java.getName().contains(".record.")) return records();
        if (Collection.class.isAssignableFrom(java)) return collection(type, java, generic);
        return fill(java.getDeclaredConstructor().newInstance(), (Schema) type);
    }

    // Some bytes; nobody parses them here. The class moved between releases.
    Object records() throws Exception {
        String[] places = {"org.apache.kafka.common.record.internal.MemoryRecords", "org.apache.kafka.common.record.MemoryRecords"};
        for (String place : places) {
            try {
                return Class.forName(place).getMethod("readableRecords", ByteBuffer.class).invoke(null, ByteBuffer.wrap(bytes()));
            } catch (ClassNotFoundException e) { /* the other one */ }
        }
        throw new IllegalStateException("no MemoryRecords");
    }

    static Class<?> elementClass(Class<?> java, java.lang.reflect.Type generic) {
        if (generic instanceof ParameterizedType) return (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
        return (Class<?>) ((ParameterizedType) java.getGenericSuperclass()).getActualTypeArguments()[0];
    }

    static Class<?> unboxed(Class<?> c) {
        return c == Integer.class ? int.class : c == Long.class ? long.class : c == Short.class ? short.class
            : c == Byte.class ? byte.class : c == Boolean.class ? boolean.class : c;
    }

    @SuppressWarnings("unchecked")
    Object collection(Type type, Class<?> java, java.lang.reflect.Type generic) throws Exception {
        Class<?> element = unboxed(elementClass(java, generic));
        Collection<Object> result = java == List.class ? new ArrayList<>()
            : (Collection<Object>) java.getDeclaredConstructor().newInstance();
        int count = mode == SMALLEST ? 0 : mode == LARGEST ? 1 : random.nextInt(4);
        if (element == int.class && chance(5)) count = 130;
        for (int i = 0; i < count; i++) result.add(value(type.arrayElementType().get(), element, null));
        return result;
    }

    // Java's fields by name without case and underscores, as the schema's names differ in these only.
    static Map<String, Field> fieldsOf(Class<?> java) {
        Map<String, Field> result = new HashMap<>();
        for (Field field : java.getDeclaredFields()) {
            if (Modifier.isStatic(field.getModifiers())) continue;
            field.setAccessible(true);
            result.put(field.getName().toLowerCase(), field);
        }
        return result;
    }

    void set(Object message, Map<String, Field> fields, org.apache.kafka.common.protocol.types.Field schema) throws Exception {
        Field field = fields.get(schema.name.replace("_", "").toLowerCase());
        if (field == null) throw new IllegalStateException(message.getClass() + " lacks " + schema.name);
        field.set(message, value(schema.type, field.getType(), field.getGenericType()));
    }

    // Sets the fields of the schema; all others keep their defaults.
    Object fill(Object message, Schema schema) throws Exception {
        Map<String, Field> fields = fieldsOf(message.getClass());
        int tagMax = -1;
        boolean flexible = false;
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields) {
                flexible = true;
                for (var tagged : ((TaggedFields) bound.def.type).fields().entrySet()) {
                    tagMax = Math.max(tagMax, tagged.getKey());
                    if (mode == LARGEST || chance(60)) set(message, fields, tagged.getValue());
                }
            } else {
                set(message, fields, bound.def);
            }
        }
        if (flexible && tagsAllowed && (mode == LARGEST || chance(25))) {
            int tag = Math.max(tagMax, 20);  // beyond what a later version of the message knows
            for (int i = 0; i <= random.nextInt(3); i++) {
                tag += 1 + random.nextInt(200);
                ((Message) message).unknownTaggedFields().add(new RawTaggedField(tag, bytes()));
            }
        }
        return message;
    }

    static byte[] written(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException("size was wrong");
        return buffer.array();
    }

    public static void main(String[] args) throws Exception {
        int cases = Integer.parseInt(args[1]);
        int messages = 0, versions = 0, entries = 0;
        try (DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(args[0])))) {
            for (var converter : converters().entrySet()) {
                Class<?> java = Class.forName(converter.getKey());
                Method json = converter.getValue().getMethod("write", java, short.class, boolean.class);
                Message empty = (Message) java.getDeclaredConstructor().newInstance();
                if (empty.highestSupportedVersion() < empty.lowestSupportedVersion()) continue;  // ZooKeeper's
                Schema[] schemas = (Schema[]) java.getField("SCHEMAS").get(null);
                messages++;
                for (short v = empty.lowestSupportedVersion(); v <= empty.highestSupportedVersion(); v++) {
                    versions++;
                    Emit emit = new Emit(Long.parseLong(args[2]) * 31 + (java.getSimpleName() + v).hashCode());
                    for (emit.mode = 0; emit.mode < cases; emit.mode++) {
                        emit.tagsAllowed = emit.mode != SMALLEST;
                        Message message = (Message) java.getDeclaredConstructor().newInstance();
                        emit.fill(message, schemas[v]);
                        byte[] bytes = written(message, v);
                        byte[] text = json.invoke(null, message, v, false).toString().getBytes(StandardCharsets.UTF_8);
                        out.writeUTF(java.getSimpleName().replaceAll("(Request|Response|Header)Data$", "$1"));
                        out.writeShort(v);
                        out.writeInt(bytes.length);
                        out.write(bytes);
                        out.writeInt(text.length);
                        out.write(text);
                        entries++;
                    }
                }
            }
        }
        System.out.println(messages + " messages, " + versions + " versions, " + entries + " cases");
    }
}
