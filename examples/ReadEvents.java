import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads everything that Baton has said, and proves that it has everything. Needs Java 17, kafka-clients and
 * jackson-databind.
 *
 * <pre>java -cp 'jars/*' ReadEvents.java 127.0.0.1:17402</pre>
 *
 * <ol>
 *   <li>Read the heads: how far each owner has published, partition by partition.
 *   <li>Read those partitions from their beginning. Each record names the sequence before it in its partition: if that
 *       is not the last one seen, records are missing. Read past it: once they are sent again, all that follow them are,
 *       too. A record may come twice: its id tells.
 *   <li>Stop where the heads say that it is enough, or where nothing more is there: what is missing then is an error.
 * </ol>
 */
public class ReadEvents {
    static final TopicPartition HEADS = new TopicPartition("baton.heads", 0);
    static final Duration POLL = Duration.ofSeconds(1);
    static final Duration SILENCE_MAX = Duration.ofSeconds(30);
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        try (var consumer = consumer(arguments[0])) {
            Map<String, JsonNode> heads = readHeads(consumer);
            Map<TopicPartition, Partition> partitions = new HashMap<>();
            heads.forEach((owner, head) -> head.get("sequences").properties().forEach(each ->
                    partitions.put(new TopicPartition("baton." + owner, Integer.parseInt(each.getKey())),
                            new Partition("/baton/" + owner, each.getValue().asLong()))));
            readUpTo(consumer, partitions);
            print(heads, partitions);
        } catch (Incomplete incomplete) {
            System.err.println(incomplete.getMessage());
            System.exit(1);
        }
    }

    static KafkaConsumer<String, byte[]> consumer(String bootstrap) {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
    }

    /** The newest announcement of each owner. The topic is compacted: read it to its end. */
    static Map<String, JsonNode> readHeads(KafkaConsumer<String, byte[]> consumer) throws Exception {
        Map<String, JsonNode> heads = new TreeMap<>();
        consumer.assign(List.of(HEADS));
        consumer.seekToBeginning(List.of(HEADS));
        long end = consumer.endOffsets(List.of(HEADS)).get(HEADS);
        while (consumer.position(HEADS) < end) {
            for (var record : consumer.poll(POLL)) {
                heads.put(record.key(), JSON.readTree(record.value()));
            }
        }
        return heads;
    }

    static void readUpTo(KafkaConsumer<String, byte[]> consumer, Map<TopicPartition, Partition> partitions)
            throws Exception {
        consumer.assign(partitions.keySet());
        consumer.seekToBeginning(partitions.keySet());
        var ends = consumer.endOffsets(partitions.keySet()); // what the heads announce lies before them
        Instant heard = Instant.now();
        while (partitions.entrySet().stream()
                .anyMatch(each -> !each.getValue().done() && consumer.position(each.getKey()) < ends.get(each.getKey()))) {
            var records = consumer.poll(POLL);
            if (!records.isEmpty()) {
                heard = Instant.now();
            } else if (heard.plus(SILENCE_MAX).isBefore(Instant.now())) {
                throw new Incomplete("Kafka has given nothing for " + SILENCE_MAX);
            }
            for (var record : records) {
                partitions.get(new TopicPartition(record.topic(), record.partition())).take(record);
            }
        }
        String missing = partitions.values().stream().filter(each -> !each.done()).map(Partition::missing)
                .collect(Collectors.joining("\n"));
        if (!missing.isEmpty()) {
            throw new Incomplete(missing);
        }
    }

    static void print(Map<String, JsonNode> heads, Map<TopicPartition, Partition> partitions) {
        Map<String, Long> counts = new TreeMap<>();
        partitions.values().forEach(each -> each.counts.forEach((type, count) -> counts.merge(type, count, Long::sum)));
        counts.forEach((type, count) -> System.out.printf("%7d %s%n", count, type));
        long total = counts.values().stream().mapToLong(Long::longValue).sum();
        long repeated = partitions.values().stream().mapToLong(each -> each.repeated).sum();
        long foreign = partitions.values().stream().mapToLong(each -> each.foreign).sum();
        System.out.printf("%7d facts of %d owners; none missing, %d repeated, %d not theirs%n",
                total, heads.size(), repeated, foreign);
        heads.values().stream().map(head -> head.get("at").asText()).min(String::compareTo)
                .ifPresent(at -> System.out.printf("        complete up to %s%n", at));
    }

    /** How far one partition of an owner was read, and the facts that were taken from it. */
    static class Partition {
        final String source;
        final long goal;
        long sequence;
        long epoch;
        long repeated;
        long foreign;
        String gap = "";
        final Set<String> ids = new HashSet<>(); // yours would be a unique key where you store what you make of the facts
        final Map<String, Long> counts = new TreeMap<>();

        Partition(String source, long goal) {
            this.source = source;
            this.goal = goal;
        }

        boolean done() {
            return sequence >= goal;
        }

        String missing() {
            String why = gap.isEmpty() ? goal + " was announced, but is not there" : gap;
            return "%s: %s; seen up to %d".formatted(source, why, sequence);
        }

        void take(ConsumerRecord<String, byte[]> record) throws Exception {
            List<String> links = List.of(text(record, "ce_sequence"), text(record, "ce_previous"), text(record, "ce_epoch"));
            if (!text(record, "ce_source").equals(source) || !links.stream().allMatch(each -> each.matches("[0-9]+"))) {
                foreign++; // anybody who may write to the topic can; it is no link of the chain
                return;
            }
            long found = Long.parseLong(links.get(0));
            long previous = Long.parseLong(links.get(1));
            long inEpoch = Long.parseLong(links.get(2));
            if (inEpoch < epoch || found > goal) {
                return; // from a journal that was replaced since; or newer than the heads that were read
            }
            if (previous > sequence) { // to take it would lose the missing ones; it comes again behind them
                gap = gap.isEmpty() ? "%d is missing before %d".formatted(previous, found) : gap;
                return;
            }
            if (found > sequence) {
                gap = "";
            }
            sequence = Math.max(sequence, found);
            epoch = inEpoch;
            if (!ids.add(text(record, "ce_id"))) {
                repeated++;
                return;
            }
            JSON.readTree(record.value()); // the fact; contracts/schemas/<type>.v<schemaversion>.json says what is in it
            counts.merge(text(record, "ce_type"), 1L, Long::sum);
        }
    }

    static String text(ConsumerRecord<String, byte[]> record, String name) {
        Header header = record.headers().lastHeader(name);
        return header == null || header.value() == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
    }

    static class Incomplete extends RuntimeException {
        Incomplete(String reason) {
            super(reason);
        }
    }
}
