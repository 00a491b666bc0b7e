import java.io.DataInputStream;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's Java producer over a file of values ({ length u32 big endian, value }…), in turn and again, as fast as it goes.
 *
 * Arguments: payload-file warm-up-seconds seconds topic property=value…
 * Prints `measuring` when the warm-up is over, in the end a line of JSON.
 */
public final class Produce {
  private static final int LATENCY_EVERY = 1009;
  private static final int LOOK_EVERY = 1024;

  private final KafkaProducer<byte[], byte[]> producer;
  private final String topic;
  private final byte[][] values;
  private final AtomicLong errors = new AtomicLong();
  private final long[] latencies = new long[1 << 20];
  private int latencyCount;
  private int next;
  private long bytes;

  private Produce(KafkaProducer<byte[], byte[]> producer, String topic, byte[][] values) {
    this.producer = producer;
    this.topic = topic;
    this.values = values;
  }

  public static void main(String[] args) throws Exception {
    byte[][] values = read(args[0]);
    double warmUpSeconds = Double.parseDouble(args[1]);
    double seconds = Double.parseDouble(args[2]);
    Properties settings = new Properties();
    settings.put("key.serializer", ByteArraySerializer.class.getName());
    settings.put("value.serializer", ByteArraySerializer.class.getName());
    for (String setting : Arrays.copyOfRange(args, 4, args.length)) {
      int at = setting.indexOf('=');
      settings.put(setting.substring(0, at), setting.substring(at + 1));
    }
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
      Produce program = new Produce(producer, args[3], values);
      program.run(warmUpSeconds);
      System.out.println("measuring");
      program.bytes = 0;
      program.latencyCount = 0;
      long started = System.nanoTime();
      long records = program.run(seconds);
      double elapsed = (System.nanoTime() - started) / 1e9;
      System.out.println(program.result(records, elapsed));
    }
  }

  private long run(double seconds) {
    long end = System.nanoTime() + (long) (seconds * 1e9);
    long sent = 0;
    while (System.nanoTime() < end) {
      for (int i = 0; i < LOOK_EVERY; i++) send(sent++);
    }
    producer.flush();
    return sent;
  }

  private void send(long index) {
    byte[] value = values[next];
    next = next + 1 == values.length ? 0 : next + 1;
    bytes += value.length;
    long sentNanos = index % LATENCY_EVERY == 0 ? System.nanoTime() : 0;
    producer.send(
        new ProducerRecord<>(topic, value),
        (metadata, error) -> {
          if (error != null) errors.incrementAndGet();
          // All callbacks come on one thread, and flush comes after them.
          else if (sentNanos != 0 && latencyCount < latencies.length) {
            latencies[latencyCount++] = System.nanoTime() - sentNanos;
          }
        });
  }

  private String result(long records, double seconds) {
    long[] sorted = Arrays.copyOf(latencies, latencyCount);
    Arrays.sort(sorted);
    String latency =
        sorted.length == 0
            ? "null"
            : String.format(java.util.Locale.ROOT, "{\"p50\":%.3f,\"p99\":%.3f}", at(sorted, 0.5), at(sorted, 0.99));
    return String.format(
        java.util.Locale.ROOT,
        "{\"records\":%d,\"bytes\":%d,\"seconds\":%.4f,\"latencyMs\":%s,\"errors\":%d,\"client\":\"%s\"}",
        records, bytes, seconds, latency, errors.get(),
        "Java producer " + org.apache.kafka.common.utils.AppInfoParser.getVersion());
  }

  private static double at(long[] sorted, double share) {
    return sorted[Math.max(0, (int) Math.ceil(share * sorted.length) - 1)] / 1e6;
  }

  private static byte[][] read(String path) throws Exception {
    ArrayList<byte[]> values = new ArrayList<>();
    try (DataInputStream in = new DataInputStream(new BufferedInputStream(new FileInputStream(path), 1 << 20))) {
      for (; ; ) {
        byte[] value = new byte[in.readInt()];
        in.readFully(value);
        values.add(value);
      }
    } catch (EOFException end) {
      return values.toArray(new byte[0][]);
    }
  }
}
