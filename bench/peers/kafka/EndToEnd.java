import java.io.PrintStream;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * One record at a time through a broker with Kafka's own Java clients: sent, acknowledged and read before the next is
 * sent. Kafka's EndToEndLatency does the same but cuts its percentiles off to whole milliseconds, which on loopback
 * says 0; this one prints every latency in nanoseconds, one a line, after `warm-up-seconds` that do not count.
 *
 * Arguments: bootstrap topic records value-bytes acks warm-up-seconds seconds fetch-max-wait-ms
 * Prints `measuring` when the warm-up is over, `measured`, then the numbers.
 */
public final class EndToEnd {
  public static void main(String[] args) {
    String bootstrap = args[0];
    String topic = args[1];
    int records = Integer.parseInt(args[2]);
    int valueBytes = Integer.parseInt(args[3]);
    String acks = args[4];
    long warmUpNanos = (long) (Double.parseDouble(args[5]) * 1e9);
    long boundNanos = (long) (Double.parseDouble(args[6]) * 1e9);
    String maxWaitMs = args[7];

    Properties producing = new Properties();
    producing.put("bootstrap.servers", bootstrap);
    producing.put("linger.ms", "0");
    producing.put("acks", acks);
    producing.put("enable.idempotence", "false");
    producing.put("key.serializer", ByteArraySerializer.class.getName());
    producing.put("value.serializer", ByteArraySerializer.class.getName());
    Properties consuming = new Properties();
    consuming.put("bootstrap.servers", bootstrap);
    consuming.put("enable.auto.commit", "false");
    consuming.put("fetch.max.wait.ms", maxWaitMs);
    consuming.put("key.deserializer", ByteArrayDeserializer.class.getName());
    consuming.put("value.deserializer", ByteArrayDeserializer.class.getName());

    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(producing);
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(consuming)) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      consumer.seekToEnd(List.of(partition));
      consumer.position(partition);
      Random random = new Random(1);
      byte[] value = new byte[valueBytes];

      long warmUntil = System.nanoTime() + warmUpNanos;
      while (System.nanoTime() < warmUntil) once(producer, consumer, topic, value, random);
      System.out.println("measuring");
      long[] nanos = new long[records];
      int count = 0;
      long until = System.nanoTime() + boundNanos;
      while (count < records && System.nanoTime() < until) {
        nanos[count++] = once(producer, consumer, topic, value, random);
      }
      System.out.println("measured");
      PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);
      for (long n : Arrays.copyOf(nanos, count)) out.println(n);
      out.flush();
    } catch (Exception error) {
      error.printStackTrace();
      System.exit(1);
    }
  }

  private static long once(
      KafkaProducer<byte[], byte[]> producer,
      KafkaConsumer<byte[], byte[]> consumer,
      String topic,
      byte[] value,
      Random random)
      throws Exception {
    random.nextBytes(value);
    long sent = System.nanoTime();
    producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
    for (long deadline = sent + 60_000_000_000L; System.nanoTime() < deadline; ) {
      ConsumerRecords<byte[], byte[]> received = consumer.poll(Duration.ofSeconds(5));
      if (received.isEmpty()) continue;
      long elapsed = System.nanoTime() - sent;
      if (received.count() != 1) throw new IllegalStateException("received " + received.count() + " records at once");
      for (ConsumerRecord<byte[], byte[]> record : received) {
        if (!Arrays.equals(record.value(), value)) throw new IllegalStateException("received another record");
      }
      return elapsed;
    }
    throw new IllegalStateException("the record did not arrive");
  }
}
