"""Python's clients, asked as peer-client.ts says: kafka-python, which is pure Python, or confluent-kafka (librdkafka)."""
import base64
import json
import sys
import time

BATCH_BYTES = 600_000
LINGER_MS = 100
PATIENCE_S = 60


def bytes_of(text):
    return None if text is None else base64.b64decode(text)


def text_of(data):
    return None if data is None else base64.b64encode(data).decode()


def headers_of(record):
    return [(key, bytes_of(value)) for key, value in record['headers']]


def answer_of(offset, timestamp, key, value, headers):
    return {
        'offset': offset,
        'timestamp': timestamp,
        'key': text_of(key),
        'value': text_of(value),
        'headers': [[name, text_of(data)] for name, data in headers or []],
    }


class Pure:
    """kafka-python; it has no setting for levels."""

    def write(self, question):
        from kafka import KafkaProducer

        codec = question['codec']
        producer = KafkaProducer(
            bootstrap_servers=question['bootstrap'],
            compression_type=None if codec == 'none' else codec,
            batch_size=BATCH_BYTES,
            linger_ms=LINGER_MS,
        )
        try:
            sent = [
                producer.send(
                    question['topic'],
                    partition=0,
                    key=bytes_of(record['key']),
                    value=bytes_of(record['value']),
                    headers=headers_of(record),
                    timestamp_ms=record['timestamp'],
                )
                for record in question['records']
            ]
            producer.flush()
            return [one.get(timeout=PATIENCE_S) for one in sent]
        finally:
            producer.close()

    def read(self, question):
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=question['bootstrap'], fetch_max_wait_ms=50)
        try:
            partition = TopicPartition(question['topic'], 0)
            consumer.assign([partition])
            consumer.seek(partition, 0)
            end = time.monotonic() + PATIENCE_S
            found = []
            while len(found) < question['count'] and time.monotonic() < end:
                for records in consumer.poll(timeout_ms=200).values():
                    found += [answer_of(r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]
            return found
        finally:
            consumer.close()


class Native:
    """confluent-kafka."""

    def write(self, question):
        from confluent_kafka import Producer

        settings = {
            'bootstrap.servers': question['bootstrap'],
            'compression.type': question['codec'],
            'batch.size': BATCH_BYTES,
            'linger.ms': LINGER_MS,
        }
        if 'level' in question:
            settings['compression.level'] = question['level']
        producer = Producer(settings)
        failures = []
        for record in question['records']:
            producer.produce(
                question['topic'],
                partition=0,
                key=bytes_of(record['key']),
                value=bytes_of(record['value']),
                headers=headers_of(record),
                timestamp=record['timestamp'],
                on_delivery=lambda error, _: failures.append(str(error)) if error else None,
            )
        if producer.flush(PATIENCE_S) > 0 or failures:
            raise RuntimeError(f'not delivered: {failures[:1]}')
        return question['records']

    def read(self, question):
        from confluent_kafka import Consumer, TopicPartition

        settings = {'bootstrap.servers': question['bootstrap'], 'group.id': 'none', 'enable.auto.commit': False}
        consumer = Consumer(settings | {'fetch.wait.max.ms': 50})
        try:
            consumer.assign([TopicPartition(question['topic'], 0, 0)])
            end = time.monotonic() + PATIENCE_S
            found = []
            while len(found) < question['count'] and time.monotonic() < end:
                for record in consumer.consume(1000, 0.1):
                    if record.error():
                        raise RuntimeError(str(record.error()))
                    found.append(
                        answer_of(record.offset(), record.timestamp()[1], record.key(), record.value(), record.headers())
                    )
            return found
        finally:
            consumer.close()


def reply(client, question):
    try:
        if question['do'] == 'write':
            return {'written': len(client.write(question))}
        return {'records': client.read(question)}
    except Exception as error:
        return {'error': f'{type(error).__name__}: {error}'}


def main():
    client = {'kafka-python': Pure, 'librdkafka': Native}[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(reply(client, json.loads(line))), flush=True)


main()
