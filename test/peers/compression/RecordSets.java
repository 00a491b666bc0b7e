import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.compress.GzipCompression;
import org.apache.kafka.common.compress.Lz4Compression;
import org.apache.kafka.common.compress.ZstdCompression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.TimestampType;

/**
 * Kafka's own record sets, of every format and codec, on standard input and output: one JSON object a line, one answer a
 * line. Bytes are base64, null is null.
 *
 *   {"do":"write","magic":2,"codec":"lz4","level":9,"baseOffset":0,"logAppendTime":-1,
 *    "records":[{"offset":0,"timestamp":0,"key":null,"value":"…","headers":[["key","…"]]}]}  -> {"bytes":"…"}
 *   {"do":"read","bytes":"…"}  -> {"codecs":["lz4"],"records":[…]}   after checking every batch and record
 *
 * What fails is answered {"error":"…"}.
 */
public class RecordSets {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                JsonNode question = JSON.readTree(line);
                switch (question.get("do").asText()) {
                    case "write" -> write(question, answer);
                    case "read" -> read(ByteBuffer.wrap(bytes(question.get("bytes"))), answer);
                    default -> throw new IllegalArgumentException(line);
                }
            } catch (Exception failure) {
                answer.removeAll().put("error", failure.toString());
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
    }

    private static void write(JsonNode question, ObjectNode answer) {
        long appendTime = question.path("logAppendTime").asLong(-1);
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(1024),
            (byte) question.get("magic").asInt(),
            compression(question),
            appendTime < 0 ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME,
            question.path("baseOffset").asLong(0),
            appendTime);
        for (JsonNode each : question.get("records")) {
            JsonNode given = each.path("headers");
            Header[] headers = new Header[given.size()];
            for (int i = 0; i < headers.length; i++) {
                headers[i] = new RecordHeader(given.get(i).get(0).asText(), bytes(given.get(i).get(1)));
            }
            builder.appendWithOffset(
                each.get("offset").asLong(), each.get("timestamp").asLong(), bytes(each.get("key")), bytes(each.get("value")), headers);
        }
        answer.put("bytes", text(builder.build().buffer()));
    }

    private static void read(ByteBuffer buffer, ObjectNode answer) {
        ArrayNode codecs = answer.putArray("codecs");
        ArrayNode records = answer.putArray("records");
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(buffer).batches()) {
            batch.ensureValid();
            codecs.add(batch.compressionType().name);
            for (Record record : batch) {
                record.ensureValid();
                ObjectNode found = records.addObject().put("offset", record.offset()).put("timestamp", record.timestamp());
                found.put("key", text(record.key())).put("value", text(record.value()));
                ArrayNode headers = found.putArray("headers");
                for (Header header : record.headers()) {
                    byte[] value = header.value();
                    headers.addArray().add(header.key()).add(value == null ? null : text(ByteBuffer.wrap(value)));
                }
            }
        }
    }

    private static Compression compression(JsonNode question) {
        CompressionType type = CompressionType.forName(question.get("codec").asText());
        if (!question.hasNonNull("level")) return Compression.of(type).build();
        int level = question.get("level").asInt();
        return switch (type) {
            case GZIP -> new GzipCompression.Builder().level(level).build();
            case LZ4 -> new Lz4Compression.Builder().level(level).build();
            case ZSTD -> new ZstdCompression.Builder().level(level).build();
            default -> Compression.of(type).build();
        };
    }

    private static byte[] bytes(JsonNode base64) {
        return base64 == null || base64.isNull() ? null : Base64.getDecoder().decode(base64.asText());
    }

    private static String text(ByteBuffer buffer) {
        if (buffer == null) return null;
        byte[] copy = new byte[buffer.remaining()];
        buffer.duplicate().get(copy);
        return Base64.getEncoder().encodeToString(copy);
    }
}
