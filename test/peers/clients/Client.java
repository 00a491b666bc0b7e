import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's Java client, asked as peer-client.ts says. */
public class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                JsonNode question = JSON.readTree(line);
                if (question.get("do").asText().equals("write")) write(question, answer);
                else read(question, answer);
            } catch (Exception failure) {
                answer.removeAll().put("error", failure.toString());
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
    }

    private static void write(JsonNode question, ObjectNode answer) throws Exception {
        Properties settings = new Properties();
        String codec = question.get("codec").asText();
        settings.put("bootstrap.servers", question.get("bootstrap").asText());
        settings.put("compression.type", codec);
        if (question.has("level")) settings.put("compression." + codec + ".level", question.get("level").asInt());
        settings.put("batch.size", 600_000);
        // One batch, whatever the machine is doing: flush ends the wait.
        settings.put("linger.ms", 5_000);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            String topic = question.get("topic").asText();
            for (JsonNode each : question.get("records")) {
                var record = new ProducerRecord<>(topic, 0, each.get("timestamp").asLong(), bytes(each.get("key")), bytes(each.get("value")));
                for (JsonNode header : each.get("headers")) {
                    record.headers().add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
                }
                sent.add(producer.send(record));
            }
            producer.flush();
        }
        for (Future<RecordMetadata> one : sent) one.get();
        answer.put("written", sent.size());
    }

    private static void read(JsonNode question, ObjectNode answer) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", question.get("bootstrap").asText());
        settings.put("fetch.max.wait.ms", 50);
        ArrayNode records = answer.putArray("records");
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            TopicPartition partition = new TopicPartition(question.get("topic").asText(), 0);
            consumer.assign(List.of(partition));
            consumer.seek(partition, 0);
            long end = System.nanoTime() + 60_000_000_000L;
            while (records.size() < question.get("count").asInt()) {
                if (System.nanoTime() > end) throw new IllegalStateException("only " + records.size() + " records came");
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    ObjectNode one = records.addObject();
                    one.put("offset", record.offset()).put("timestamp", record.timestamp());
                    one.put("key", text(record.key())).put("value", text(record.value()));
                    ArrayNode headers = one.putArray("headers");
                    for (Header header : record.headers()) headers.addArray().add(header.key()).add(text(header.value()));
                }
            }
        }
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
