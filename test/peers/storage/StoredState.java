import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.storage.internals.checkpoint.CleanShutdownFileHandler;
import org.apache.kafka.storage.internals.checkpoint.LeaderEpochCheckpointFile;
import org.apache.kafka.storage.internals.checkpoint.OffsetCheckpointFile;
import org.apache.kafka.storage.internals.log.AbstractIndex;
import org.apache.kafka.storage.internals.log.CorruptIndexException;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.OffsetIndex;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.TimeIndex;
import org.apache.kafka.storage.internals.log.TransactionIndex;

/**
 * What Kafka's own classes read in the small files of a log directory, one line a fact, fields separated by blanks and
 * files named relative to the directory. Files of partitions come in the order of their names. The log of KRaft's own
 * metadata is left out: it is kept in another way.
 *
 * Argument: the log directory
 *
 *   clean true|false
 *   checkpoint FILE TOPIC PARTITION OFFSET
 *   epoch PARTITION-DIRECTORY EPOCH START-OFFSET
 *   snapshot FILE PRODUCER-ID EPOCH LAST-SEQUENCE LAST-OFFSET OFFSET-DELTA TIMESTAMP COORDINATOR-EPOCH TXN-FIRST-OFFSET|-1
 *   aborted FILE PRODUCER-ID FIRST-OFFSET LAST-OFFSET LAST-STABLE-OFFSET
 *   sane|corrupt FILE
 */
public final class StoredState {
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
  private static final LogDirFailureChannel FAILURES = new LogDirFailureChannel(1);

  public static void main(String[] args) throws Exception {
    File directory = new File(args[0]);
    OUT.println("clean " + new CleanShutdownFileHandler(args[0]).exists());
    for (String name : new String[] {
        "recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "cleaner-offset-checkpoint"}) {
      File file = new File(directory, name);
      if (!file.exists()) continue;
      new OffsetCheckpointFile(file, FAILURES).read().entrySet().stream()
          .map(entry -> entry.getKey().topic() + " " + entry.getKey().partition() + " " + entry.getValue())
          .sorted().forEach(line -> OUT.println("checkpoint " + name + " " + line));
    }
    for (File partition : sorted(directory)) {
      if (partition.isDirectory() && !partition.getName().startsWith("__cluster_metadata")) readPartition(partition);
    }
    OUT.flush();
  }

  private static void readPartition(File partition) throws Exception {
    File epochs = LeaderEpochCheckpointFile.newFile(partition);
    if (epochs.exists()) {
      for (var entry : new LeaderEpochCheckpointFile(epochs, FAILURES).read()) {
        OUT.println("epoch " + partition.getName() + " " + entry.epoch + " " + entry.startOffset);
      }
    }
    for (File file : sorted(partition)) {
      String name = partition.getName() + "/" + file.getName();
      if (!file.getName().matches("\\d{20}\\..*")) continue;
      long baseOffset = Long.parseLong(file.getName().substring(0, 20));
      if (name.endsWith(".snapshot")) readSnapshot(file, name);
      else if (name.endsWith(".txnindex")) readAborted(file, name, baseOffset);
      else if (name.endsWith(".index")) {
        try (OffsetIndex index = new OffsetIndex(file, baseOffset, (int) Math.max(8, file.length()), false)) {
          check(index, name);
        }
      } else if (name.endsWith(".timeindex")) {
        try (TimeIndex index = new TimeIndex(file, baseOffset, (int) Math.max(12, file.length()), false)) {
          check(index, name);
        }
      }
    }
  }

  private static void check(AbstractIndex index, String name) {
    try {
      index.sanityCheck();
      OUT.println("sane " + name);
    } catch (CorruptIndexException | IllegalArgumentException corrupt) {
      OUT.println("corrupt " + name);
    }
  }

  private static void readSnapshot(File file, String name) throws Exception {
    for (var entry : ProducerStateManager.readSnapshot(file)) {
      OUT.println("snapshot " + name + " " + entry.producerId() + " " + entry.producerEpoch() + " " + entry.lastSeq()
          + " " + entry.lastDataOffset() + " " + entry.lastOffsetDelta() + " " + entry.lastTimestamp()
          + " " + entry.coordinatorEpoch() + " " + entry.currentTxnFirstOffset().orElse(-1));
    }
  }

  private static void readAborted(File file, String name, long baseOffset) throws Exception {
    TransactionIndex index = new TransactionIndex(baseOffset, file);
    index.sanityCheck();
    for (var one : index.allAbortedTxns()) {
      OUT.println("aborted " + name + " " + one.producerId() + " " + one.firstOffset() + " " + one.lastOffset() + " "
          + one.lastStableOffset());
    }
    index.close();
  }

  private static File[] sorted(File directory) {
    File[] files = directory.listFiles();
    Arrays.sort(files);
    return files;
  }
}
