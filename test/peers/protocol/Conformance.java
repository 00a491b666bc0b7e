import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Kafka's generated message classes on standard input and output: one JSON object a line, one answer a line.
 * Frames are without their length, and hexadecimal.
 *
 *   {"do":"decode","key":0,"version":9,"direction":"request","frame":"00…"}
 *     -> {"header":{…},"body":{…},"frame":"00…"}            the frame is what Kafka makes of what it has read
 *   {"do":"encode","key":0,"version":9,"direction":"request","header":{"correlationId":1,"clientId":"c"},"body":{…}}
 *     -> {"frame":"00…"}
 *   {"do":"errors"}    -> {"errors":[{"code":0,"name":"NONE","retriable":false},…]}
 *   {"do":"versions","key":0}  -> {"oldest":3,"latest":13}   latest that is stable
 *
 * What fails is answered {"error":"…"}.
 */
public class Conformance {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                answer(JSON.readTree(line), answer);
            } catch (Exception | StackOverflowError failure) {
                Throwable cause = failure.getCause() == null ? failure : failure.getCause();
                answer.removeAll().put("error", cause.toString());
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
    }

    private static void answer(JsonNode question, ObjectNode answer) throws Exception {
        switch (question.get("do").asText()) {
            case "decode" -> new Exchange(question).decode(question, answer);
            case "encode" -> new Exchange(question).encode(question, answer);
            case "errors" -> errors(answer);
            case "versions" -> {
                ApiKeys api = ApiKeys.forId(question.get("key").asInt());
                answer.put("oldest", api.oldestVersion()).put("latest", api.latestVersion(false));
            }
            default -> throw new IllegalArgumentException("no such thing to do");
        }
    }

    private static void errors(ObjectNode answer) {
        var list = answer.putArray("errors");
        for (Errors error : Errors.values()) {
            list.addObject()
                .put("code", error.code())
                .put("name", error.name())
                .put("retriable", error.exception() instanceof RetriableException);
        }
    }

    /** One message of one API, direction and version, with its header. */
    private static final class Exchange {
        private final short version;
        private final ApiMessage body;
        private final Message header;
        private final short headerVersion;

        Exchange(JsonNode question) {
            ApiKeys api = ApiKeys.forId(question.get("key").asInt());
            version = question.get("version").shortValue();
            boolean request = question.get("direction").asText().equals("request");
            body = request ? api.messageType.newRequest() : api.messageType.newResponse();
            header = request ? new RequestHeaderData() : new ResponseHeaderData();
            headerVersion = request ? api.requestHeaderVersion(version) : api.responseHeaderVersion(version);
        }

        void decode(JsonNode question, ObjectNode answer) throws Exception {
            ByteBuffer frame = ByteBuffer.wrap(HexFormat.of().parseHex(question.get("frame").asText()));
            ByteBufferAccessor reader = new ByteBufferAccessor(frame);
            header.read(reader, headerVersion);
            body.read(reader, version);
            if (frame.hasRemaining()) throw new IllegalStateException(frame.remaining() + " bytes left over");
            answer.set("header", toJson(header, headerVersion));
            answer.set("body", toJson(body, version));
            answer.put("frame", toFrame(header, body));
        }

        void encode(JsonNode question, ObjectNode answer) throws Exception {
            Message fullHeader = (Message) converter(header)
                .getMethod("read", JsonNode.class, short.class)
                .invoke(null, question.get("header"), headerVersion);
            Message fullBody = (Message) converter(body)
                .getMethod("read", JsonNode.class, short.class)
                .invoke(null, question.get("body"), version);
            answer.put("frame", toFrame(fullHeader, fullBody));
        }

        private String toFrame(Message head, Message content) {
            ByteBuffer start = MessageUtil.toByteBufferAccessor(head, headerVersion).buffer();
            ByteBuffer rest = MessageUtil.toByteBufferAccessor(content, version).buffer();
            return hex(start) + hex(rest);
        }
    }

    private static String hex(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private static Class<?> converter(Message message) throws ClassNotFoundException {
        return Class.forName(message.getClass().getName() + "JsonConverter");
    }

    /** With the sizes of records instead of their bytes, which Kafka does not print. */
    private static JsonNode toJson(Message message, short version) throws Exception {
        try {
            return (JsonNode) converter(message)
                .getMethod("write", message.getClass(), short.class, boolean.class)
                .invoke(null, message, version, false);
        } catch (NoSuchMethodException noRecords) {
            return (JsonNode) converter(message)
                .getMethod("write", message.getClass(), short.class)
                .invoke(null, message, version);
        }
    }
}
