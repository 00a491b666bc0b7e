import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Transactions with Kafka's own Java clients, on partition 0 of a topic. Values begin with a name and go on with `x`.
 *
 * Arguments: produce BOOTSTRAP TOPIC ROUNDS VALUE-BYTES
 *   Two transactional producers whose transactions overlap, and one without transactions between them. Some are
 *   aborted; the last one is left open. Prints `NAME committed|aborted|open` for each record.
 * Arguments: consume BOOTSTRAP TOPIC read_committed|read_uncommitted
 *   Prints `OFFSET NAME` for each record and `end OFFSET`, the last stable offset when only committed ones are read.
 */
public final class Transactions {
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  public static void main(String[] args) {
    if (args[0].equals("produce")) produce(args[1], args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]));
    else consume(args[1], args[2], args[3]);
    OUT.flush();
    Runtime.getRuntime().halt(0); // closing a producer would abort what it has open
  }

  private static void produce(String bootstrap, String topic, int rounds, int valueBytes) {
    KafkaProducer<String, String> one = producer(bootstrap, topic + "-one");
    KafkaProducer<String, String> other = producer(bootstrap, topic + "-other");
    KafkaProducer<String, String> plain = producer(bootstrap, null);
    one.initTransactions();
    other.initTransactions();
    for (int round = 0; round < rounds; round++) {
      boolean aborts = round % 3 == 0;
      boolean otherAborts = round % 5 == 1;
      one.beginTransaction();
      send(one, topic, "one-" + round + "-0", valueBytes, aborts ? "aborted" : "committed");
      other.beginTransaction();
      send(other, topic, "other-" + round, valueBytes, otherAborts ? "aborted" : "committed");
      send(plain, topic, "plain-" + round, valueBytes, "committed");
      send(one, topic, "one-" + round + "-1", valueBytes, aborts ? "aborted" : "committed");
      end(one, aborts);
      end(other, otherAborts);
    }
    one.beginTransaction();
    send(one, topic, "left-0", valueBytes, "open");
    send(plain, topic, "behind-0", valueBytes, "committed");
    send(one, topic, "left-1", valueBytes, "open");
  }

  private static KafkaProducer<String, String> producer(String bootstrap, String transactionalId) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("key.serializer", StringSerializer.class.getName());
    settings.put("value.serializer", StringSerializer.class.getName());
    settings.put("acks", "all");
    if (transactionalId != null) settings.put("transactional.id", transactionalId);
    settings.put("transaction.timeout.ms", "600000");
    return new KafkaProducer<>(settings);
  }

  private static void send(
      KafkaProducer<String, String> producer, String topic, String name, int valueBytes, String fate) {
    String value = name + " " + "x".repeat(valueBytes);
    producer.send(new ProducerRecord<>(topic, 0, name, value));
    producer.flush();
    OUT.println(name + " " + fate);
  }

  private static void end(KafkaProducer<String, String> producer, boolean aborts) {
    if (aborts) producer.abortTransaction();
    else producer.commitTransaction();
  }

  private static void consume(String bootstrap, String topic, String isolation) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("key.deserializer", StringDeserializer.class.getName());
    settings.put("value.deserializer", StringDeserializer.class.getName());
    settings.put("isolation.level", isolation);
    TopicPartition partition = new TopicPartition(topic, 0);
    KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings);
    consumer.assign(List.of(partition));
    consumer.seekToBeginning(List.of(partition));
    Map<TopicPartition, Long> ends = consumer.endOffsets(List.of(partition));
    long end = ends.get(partition);
    while (consumer.position(partition) < end) {
      for (var record : consumer.poll(Duration.ofMillis(200))) {
        OUT.println(record.offset() + " " + record.value().split(" ")[0]);
      }
    }
    OUT.println("end " + end);
  }
}
