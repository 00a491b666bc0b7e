/**
 * Fixed bytes of every message: its lowest, its first flexible and its highest version, made by the message classes of
 * Apache Kafka 4.1.1 (kafka-clients, through test/peers/protocol/Conformance.java) from the bodies here. All requests
 * have correlation id 0x1234567 and client id `pagelog ☂`; frames are without their length. `conformance.compat.ts`
 * has Kafka make them again.
 */
import {
  type Api,
  ApiVersions,
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  DescribeCluster,
  DescribeConfigs,
  ElectLeaders,
  Fetch,
  FindCoordinator,
  InitProducerId,
  ListOffsets,
  Metadata,
  OffsetForLeaderEpoch,
  Produce,
} from '../../src/protocol/index.ts'
import type { Body, Direction } from './bodies.ts'

export interface Vector {
  readonly api: Api
  readonly direction: Direction
  /** Every field of every version. */
  readonly body: Body
  readonly frames: { readonly [version: number]: string }
}

const topicId = 'AAECAwQFBgcICQoLDA0ODw'
const records = Uint8Array.of(0xca, 0xfe, 0, 1)
const node = { nodeId: 7, host: 'broker-7.example', port: 9092, rack: 'r1' }

export const vectors: readonly Vector[] = [
  {
    api: Produce,
    direction: 'request',
    body: {
      transactionalId: 'täx',
      acks: -1,
      timeoutMs: 30_000,
      topicData: [
        {
          name: 'events',
          topicId,
          partitionData: [
            { index: 0, records },
            { index: 258, records: null },
          ],
        },
      ],
    },
    frames: {
      3: '0000000301234567000b706167656c6f6720e29882000474c3a478ffff000075300000000100066576656e7473000000020000000000000004cafe000100000102ffffffff',
      9: '0000000901234567000b706167656c6f6720e29882000574c3a478ffff0000753002076576656e7473030000000005cafe0001000000010200000000',
      13: '0000000d01234567000b706167656c6f6720e29882000574c3a478ffff0000753002000102030405060708090a0b0c0d0e0f030000000005cafe0001000000010200000000',
    },
  },
  {
    api: Produce,
    direction: 'response',
    body: {
      responses: [
        {
          name: 'events',
          topicId,
          partitionResponses: [
            {
              index: 258,
              errorCode: 6,
              baseOffset: 2 ** 40 + 5,
              logAppendTimeMs: 1_700_000_000_123,
              logStartOffset: 9,
              recordErrors: [{ batchIndex: 2, batchIndexErrorMessage: 'no key' }],
              errorMessage: 'moved',
              currentLeader: { leaderId: 7, leaderEpoch: 3 },
            },
          ],
        },
      ],
      throttleTimeMs: 250,
      nodeEndpoints: [node],
    },
    frames: {
      3: '012345670000000100066576656e74730000000100000102000600000100000000050000018bcfe5687b000000fa',
      9: '012345670002076576656e74730200000102000600000100000000050000018bcfe5687b00000000000000090200000002076e6f206b657900066d6f7665640000000000fa00',
      13: '012345670002000102030405060708090a0b0c0d0e0f0200000102000600000100000000050000018bcfe5687b00000000000000090200000002076e6f206b657900066d6f76656401000900000007000000030000000000fa01001e02000000071162726f6b65722d372e6578616d706c650000238403723100',
    },
  },
  {
    api: Fetch,
    direction: 'request',
    body: {
      clusterId: 'cluster-1',
      replicaId: 2,
      replicaState: { replicaId: 2, replicaEpoch: 77 },
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 52_428_800,
      isolationLevel: 1,
      sessionId: 12,
      sessionEpoch: 34,
      topics: [
        {
          topic: 'events',
          topicId,
          partitions: [
            {
              partition: 3,
              currentLeaderEpoch: 4,
              fetchOffset: 2 ** 33 + 1,
              lastFetchedEpoch: 2,
              logStartOffset: 10,
              partitionMaxBytes: 1_048_576,
              replicaDirectoryId: topicId,
              highWatermark: 2 ** 33,
              appendedOffset: -1,
            },
          ],
        },
      ],
      forgottenTopicsData: [{ topic: 'gone', topicId, partitions: [0, 1] }],
      rackId: 'r1',
    },
    frames: {
      4: '0001000401234567000b706167656c6f6720e2988200000002000001f40000000103200000010000000100066576656e74730000000100000003000000020000000100100000',
      12: '0001000c01234567000b706167656c6f6720e298820000000002000001f40000000103200000010000000c0000002202076576656e7473020000000300000004000000020000000100000002000000000000000a0010000000000205676f6e650300000000000000010003723101000a0a636c75737465722d31',
      18: '0001001201234567000b706167656c6f6720e2988200000001f40000000103200000010000000c0000002202000102030405060708090a0b0c0d0e0f020000000300000004000000020000000100000002000000000000000a00100000020010000102030405060708090a0b0c0d0e0f010800000002000000000002000102030405060708090a0b0c0d0e0f0300000000000000010003723102000a0a636c75737465722d31010d00000002000000000000004d00',
    },
  },
  {
    api: Fetch,
    direction: 'response',
    body: {
      throttleTimeMs: 1,
      errorCode: 71,
      sessionId: 12,
      responses: [
        {
          topic: 'events',
          topicId,
          partitions: [
            {
              partitionIndex: 3,
              errorCode: 0,
              highWatermark: 2 ** 53 - 1,
              lastStableOffset: 1000,
              logStartOffset: 10,
              divergingEpoch: { epoch: 5, endOffset: 990 },
              currentLeader: { leaderId: 7, leaderEpoch: 3 },
              snapshotId: { endOffset: 5, epoch: 1 },
              abortedTransactions: [{ producerId: 4000, firstOffset: 900 }],
              preferredReadReplica: 2,
              records,
            },
            {
              partitionIndex: 4,
              errorCode: 1,
              highWatermark: -1,
              lastStableOffset: -1,
              logStartOffset: -1,
              divergingEpoch: { epoch: -1, endOffset: -1 },
              currentLeader: { leaderId: -1, leaderEpoch: -1 },
              snapshotId: { endOffset: -1, epoch: -1 },
              abortedTransactions: null,
              preferredReadReplica: -1,
              records: null,
            },
          ],
        },
      ],
      nodeEndpoints: [node],
    },
    frames: {
      4: '01234567000000010000000100066576656e747300000002000000030000001fffffffffffff00000000000003e8000000010000000000000fa0000000000000038400000004cafe0001000000040001ffffffffffffffffffffffffffffffffffffffffffffffff',
      12: '01234567000000000100470000000c02076576656e747303000000030000001fffffffffffff00000000000003e8000000000000000a020000000000000fa00000000000000384000000000205cafe000103000d0000000500000000000003de000109000000070000000300020d00000000000000050000000100000000040001ffffffffffffffffffffffffffffffffffffffffffffffff00ffffffff00000000',
      18: '01234567000000000100470000000c02000102030405060708090a0b0c0d0e0f03000000030000001fffffffffffff00000000000003e8000000000000000a020000000000000fa00000000000000384000000000205cafe000103000d0000000500000000000003de000109000000070000000300020d00000000000000050000000100000000040001ffffffffffffffffffffffffffffffffffffffffffffffff00ffffffff00000001001e02000000071162726f6b65722d372e6578616d706c650000238403723100',
    },
  },
  {
    api: ListOffsets,
    direction: 'request',
    body: {
      replicaId: -1,
      isolationLevel: 1,
      topics: [{ name: 'events', partitions: [{ partitionIndex: 3, currentLeaderEpoch: 4, timestamp: -2 }] }],
      timeoutMs: 15_000,
    },
    frames: {
      1: '0002000101234567000b706167656c6f6720e29882ffffffff0000000100066576656e74730000000100000003fffffffffffffffe',
      6: '0002000601234567000b706167656c6f6720e2988200ffffffff0102076576656e7473020000000300000004fffffffffffffffe000000',
      10: '0002000a01234567000b706167656c6f6720e2988200ffffffff0102076576656e7473020000000300000004fffffffffffffffe000000003a9800',
    },
  },
  {
    api: ListOffsets,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      topics: [
        {
          name: 'events',
          partitions: [
            { partitionIndex: 3, errorCode: 0, timestamp: 1_700_000_000_123, offset: 2 ** 40, leaderEpoch: 4 },
          ],
        },
      ],
    },
    frames: {
      1: '012345670000000100066576656e7473000000010000000300000000018bcfe5687b0000010000000000',
      6: '01234567000000000002076576656e7473020000000300000000018bcfe5687b000001000000000000000004000000',
      10: '01234567000000000002076576656e7473020000000300000000018bcfe5687b000001000000000000000004000000',
    },
  },
  {
    api: Metadata,
    direction: 'request',
    body: {
      topics: [{ topicId, name: 'events' }],
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: true,
      includeTopicAuthorizedOperations: true,
    },
    frames: {
      0: '0003000001234567000b706167656c6f6720e298820000000100066576656e7473',
      9: '0003000901234567000b706167656c6f6720e298820002076576656e74730000010100',
      13: '0003000d01234567000b706167656c6f6720e298820002000102030405060708090a0b0c0d0e0f076576656e747300000100',
    },
  },
  {
    api: Metadata,
    direction: 'response',
    body: {
      throttleTimeMs: 3,
      brokers: [node, { nodeId: 8, host: '::1', port: 65_535, rack: null }],
      clusterId: 'cluster-1',
      controllerId: 8,
      topics: [
        {
          errorCode: 0,
          name: 'events',
          topicId,
          isInternal: true,
          partitions: [
            {
              errorCode: 5,
              partitionIndex: 0,
              leaderId: -1,
              leaderEpoch: 12,
              replicaNodes: [7, 8],
              isrNodes: [8],
              offlineReplicas: [7],
            },
          ],
          topicAuthorizedOperations: 0x0df8,
        },
      ],
      clusterAuthorizedOperations: 0x1f04,
      errorCode: 129,
    },
    frames: {
      0: '012345670000000200000007001062726f6b65722d372e6578616d706c65000023840000000800033a3a310000ffff00000001000000066576656e747300000001000500000000ffffffff0000000200000007000000080000000100000008',
      9: '01234567000000000303000000071162726f6b65722d372e6578616d706c65000023840372310000000008043a3a310000ffff00000a636c75737465722d3100000008020000076576656e74730102000500000000ffffffff0000000c030000000700000008020000000802000000070000000df80000001f0400',
      13: '01234567000000000303000000071162726f6b65722d372e6578616d706c65000023840372310000000008043a3a310000ffff00000a636c75737465722d3100000008020000076576656e7473000102030405060708090a0b0c0d0e0f0102000500000000ffffffff0000000c030000000700000008020000000802000000070000000df800008100',
    },
  },
  {
    api: FindCoordinator,
    direction: 'request',
    body: { key: 'group-1', keyType: 1, coordinatorKeys: ['group-1', 'group-2'] },
    frames: {
      0: '000a000001234567000b706167656c6f6720e29882000767726f75702d31',
      3: '000a000301234567000b706167656c6f6720e29882000867726f75702d310100',
      6: '000a000601234567000b706167656c6f6720e298820001030867726f75702d310867726f75702d3200',
    },
  },
  {
    api: FindCoordinator,
    direction: 'response',
    body: {
      throttleTimeMs: 9,
      errorCode: 15,
      errorMessage: 'not yet',
      nodeId: 7,
      host: 'broker-7.example',
      port: 9092,
      coordinators: [
        { key: 'group-1', nodeId: 7, host: 'broker-7.example', port: 9092, errorCode: 0, errorMessage: null },
        { key: 'group-2', nodeId: -1, host: '', port: -1, errorCode: 15, errorMessage: 'not yet' },
      ],
    },
    frames: {
      0: '01234567000f00000007001062726f6b65722d372e6578616d706c6500002384',
      3: '012345670000000009000f086e6f7420796574000000071162726f6b65722d372e6578616d706c650000238400',
      6: '012345670000000009030867726f75702d31000000071162726f6b65722d372e6578616d706c6500002384000000000867726f75702d32ffffffff01ffffffff000f086e6f74207965740000',
    },
  },
  {
    api: ApiVersions,
    direction: 'request',
    body: { clientSoftwareName: 'pagelog', clientSoftwareVersion: '0.1.0' },
    frames: {
      0: '0012000001234567000b706167656c6f6720e29882',
      3: '0012000301234567000b706167656c6f6720e298820008706167656c6f6706302e312e3000',
      4: '0012000401234567000b706167656c6f6720e298820008706167656c6f6706302e312e3000',
    },
  },
  {
    api: ApiVersions,
    direction: 'response',
    body: {
      errorCode: 35,
      apiKeys: [
        { apiKey: 0, minVersion: 0, maxVersion: 13 },
        { apiKey: 18, minVersion: 0, maxVersion: 4 },
      ],
      throttleTimeMs: 100,
      supportedFeatures: [{ name: 'transaction.version', minVersion: 0, maxVersion: 2 }],
      finalizedFeaturesEpoch: 42,
      finalizedFeatures: [{ name: 'transaction.version', maxVersionLevel: 1, minVersionLevel: 1 }],
      zkMigrationReady: true,
    },
    frames: {
      0: '0123456700230000000200000000000d001200000004',
      3: '0123456700230300000000000d00001200000004000000006404001a02147472616e73616374696f6e2e76657273696f6e00000002000108000000000000002a021a02147472616e73616374696f6e2e76657273696f6e0001000100030101',
      4: '0123456700230300000000000d00001200000004000000006404001a02147472616e73616374696f6e2e76657273696f6e00000002000108000000000000002a021a02147472616e73616374696f6e2e76657273696f6e0001000100030101',
    },
  },
  {
    api: CreateTopics,
    direction: 'request',
    body: {
      topics: [
        {
          name: 'events',
          numPartitions: -1,
          replicationFactor: -1,
          assignments: [{ partitionIndex: 0, brokerIds: [7, 8] }],
          configs: [
            { name: 'retention.ms', value: '1000' },
            { name: 'cleanup.policy', value: null },
          ],
        },
      ],
      timeoutMs: 60_000,
      validateOnly: true,
    },
    frames: {
      2: '0013000201234567000b706167656c6f6720e298820000000100066576656e7473ffffffffffff000000010000000000000002000000070000000800000002000c726574656e74696f6e2e6d73000431303030000e636c65616e75702e706f6c696379ffff0000ea6001',
      5: '0013000501234567000b706167656c6f6720e298820002076576656e7473ffffffffffff020000000003000000070000000800030d726574656e74696f6e2e6d730531303030000f636c65616e75702e706f6c6963790000000000ea600100',
      7: '0013000701234567000b706167656c6f6720e298820002076576656e7473ffffffffffff020000000003000000070000000800030d726574656e74696f6e2e6d730531303030000f636c65616e75702e706f6c6963790000000000ea600100',
    },
  },
  {
    api: CreateTopics,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      topics: [
        {
          name: 'events',
          topicId,
          errorCode: 36,
          errorMessage: 'there already',
          topicConfigErrorCode: 29,
          numPartitions: 6,
          replicationFactor: 3,
          configs: [{ name: 'retention.ms', value: '1000', readOnly: false, configSource: 1, isSensitive: true }],
        },
      ],
    },
    frames: {
      2: '01234567000000000000000100066576656e74730024000d746865726520616c7265616479',
      5: '01234567000000000002076576656e747300240e746865726520616c7265616479000000060003020d726574656e74696f6e2e6d73053130303000010100010002001d00',
      7: '01234567000000000002076576656e7473000102030405060708090a0b0c0d0e0f00240e746865726520616c7265616479000000060003020d726574656e74696f6e2e6d73053130303000010100010002001d00',
    },
  },
  {
    api: DeleteTopics,
    direction: 'request',
    body: {
      topics: [
        { name: null, topicId },
        { name: 'events', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' },
      ],
      topicNames: ['events', 'gone'],
      timeoutMs: 5000,
    },
    frames: {
      1: '0014000101234567000b706167656c6f6720e298820000000200066576656e74730004676f6e6500001388',
      4: '0014000401234567000b706167656c6f6720e298820003076576656e747305676f6e650000138800',
      6: '0014000601234567000b706167656c6f6720e29882000300000102030405060708090a0b0c0d0e0f00076576656e747300000000000000000000000000000000000000138800',
    },
  },
  {
    api: DeleteTopics,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      responses: [{ name: 'events', topicId, errorCode: 73, errorMessage: 'not here' }],
    },
    frames: {
      1: '01234567000000000000000100066576656e74730049',
      4: '01234567000000000002076576656e747300490000',
      6: '01234567000000000002076576656e7473000102030405060708090a0b0c0d0e0f0049096e6f7420686572650000',
    },
  },
  {
    api: InitProducerId,
    direction: 'request',
    body: { transactionalId: null, transactionTimeoutMs: 60_000, producerId: 4000, producerEpoch: 2 },
    frames: {
      0: '0016000001234567000b706167656c6f6720e29882ffff0000ea60',
      2: '0016000201234567000b706167656c6f6720e2988200000000ea6000',
      5: '0016000501234567000b706167656c6f6720e2988200000000ea600000000000000fa0000200',
    },
  },
  {
    api: InitProducerId,
    direction: 'response',
    body: { throttleTimeMs: 0, errorCode: 0, producerId: 2 ** 45, producerEpoch: 3 },
    frames: {
      0: '0123456700000000000000002000000000000003',
      2: '01234567000000000000000000200000000000000300',
      5: '01234567000000000000000000200000000000000300',
    },
  },
  {
    api: OffsetForLeaderEpoch,
    direction: 'request',
    body: {
      replicaId: -1,
      topics: [{ topic: 'events', partitions: [{ partition: 3, currentLeaderEpoch: 7, leaderEpoch: 5 }] }],
    },
    frames: {
      2: '0017000201234567000b706167656c6f6720e298820000000100066576656e747300000001000000030000000700000005',
      4: '0017000401234567000b706167656c6f6720e2988200ffffffff02076576656e747302000000030000000700000005000000',
    },
  },
  {
    api: OffsetForLeaderEpoch,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      topics: [{ topic: 'events', partitions: [{ errorCode: 0, partition: 3, leaderEpoch: 5, endOffset: 2 ** 40 }] }],
    },
    frames: {
      2: '01234567000000000000000100066576656e747300000001000000000003000000050000010000000000',
      4: '01234567000000000002076576656e747302000000000003000000050000010000000000000000',
    },
  },
  {
    api: DescribeConfigs,
    direction: 'request',
    body: {
      resources: [
        { resourceType: 2, resourceName: 'events', configurationKeys: ['retention.ms'] },
        { resourceType: 4, resourceName: '7', configurationKeys: null },
      ],
      includeSynonyms: true,
      includeDocumentation: true,
    },
    frames: {
      1: '0020000101234567000b706167656c6f6720e29882000000020200066576656e747300000001000c726574656e74696f6e2e6d7304000137ffffffff01',
      4: '0020000401234567000b706167656c6f6720e29882000302076576656e7473020d726574656e74696f6e2e6d73000402370000010100',
    },
  },
  {
    api: DescribeConfigs,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      results: [
        {
          errorCode: 0,
          errorMessage: null,
          resourceType: 2,
          resourceName: 'events',
          configs: [
            {
              name: 'retention.ms',
              value: '1000',
              readOnly: false,
              configSource: 1,
              isSensitive: false,
              synonyms: [{ name: 'log.retention.ms', value: null, source: 5 }],
              configType: 5,
              documentation: 'How long.',
            },
          ],
        },
      ],
    },
    frames: {
      1: '0123456700000000000000010000ffff0200066576656e747300000001000c726574656e74696f6e2e6d730004313030300001000000000100106c6f672e726574656e74696f6e2e6d73ffff05',
      4: '0123456700000000000200000002076576656e7473020d726574656e74696f6e2e6d73053130303000010002116c6f672e726574656e74696f6e2e6d73000500050a486f77206c6f6e672e000000',
    },
  },
  {
    api: CreatePartitions,
    direction: 'request',
    body: {
      topics: [
        { name: 'events', count: 6, assignments: [{ brokerIds: [1, 2] }, { brokerIds: [2, 3] }] },
        { name: 'other', count: 3, assignments: null },
      ],
      timeoutMs: 1000,
      validateOnly: true,
    },
    frames: {
      0: '0025000001234567000b706167656c6f6720e298820000000200066576656e7473000000060000000200000002000000010000000200000002000000020000000300056f7468657200000003ffffffff000003e801',
      2: '0025000201234567000b706167656c6f6720e298820003076576656e74730000000603030000000100000002000300000002000000030000066f74686572000000030000000003e80100',
      3: '0025000301234567000b706167656c6f6720e298820003076576656e74730000000603030000000100000002000300000002000000030000066f74686572000000030000000003e80100',
    },
  },
  {
    api: CreatePartitions,
    direction: 'response',
    body: {
      throttleTimeMs: 7,
      results: [
        { name: 'events', errorCode: 0, errorMessage: null },
        { name: 'other', errorCode: 37, errorMessage: 'Too few.' },
      ],
    },
    frames: {
      0: '01234567000000070000000200066576656e74730000ffff00056f7468657200250008546f6f206665772e',
      2: '01234567000000000703076576656e747300000000066f74686572002509546f6f206665772e0000',
      3: '01234567000000000703076576656e747300000000066f74686572002509546f6f206665772e0000',
    },
  },
  {
    api: ElectLeaders,
    direction: 'request',
    body: { electionType: 1, topicPartitions: [{ topic: 'events', partitions: [0, 3] }], timeoutMs: 5000 },
    frames: {
      0: '002b000001234567000b706167656c6f6720e298820000000100066576656e747300000002000000000000000300001388',
      2: '002b000201234567000b706167656c6f6720e29882000102076576656e7473030000000000000003000000138800',
    },
  },
  {
    api: ElectLeaders,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      errorCode: 41,
      replicaElectionResults: [
        { topic: 'events', partitionResult: [{ partitionId: 3, errorCode: 84, errorMessage: 'Not needed.' }] },
      ],
    },
    frames: {
      0: '01234567000000000000000100066576656e747300000001000000030054000b4e6f74206e65656465642e',
      2: '012345670000000000002902076576656e7473020000000300540c4e6f74206e65656465642e000000',
    },
  },
  {
    api: DescribeCluster,
    direction: 'request',
    body: { includeClusterAuthorizedOperations: true, endpointType: 2, includeFencedBrokers: true },
    frames: {
      0: '003c000001234567000b706167656c6f6720e29882000100',
      2: '003c000201234567000b706167656c6f6720e298820001020100',
    },
  },
  {
    api: DescribeCluster,
    direction: 'response',
    body: {
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      endpointType: 1,
      clusterId: 'cluster-1',
      controllerId: 2,
      brokers: [
        { brokerId: 1, host: 'one.example', port: 9092, rack: null, isFenced: false },
        { brokerId: 2, host: 'two.example', port: 9093, rack: 'r1', isFenced: true },
      ],
      clusterAuthorizedOperations: 8096,
    },
    frames: {
      0: '0123456700000000000000000a636c75737465722d310000000203000000010c6f6e652e6578616d706c65000023840000000000020c74776f2e6578616d706c65000023850372310000001fa000',
      2: '012345670000000000000000010a636c75737465722d310000000203000000010c6f6e652e6578616d706c6500002384000000000000020c74776f2e6578616d706c6500002385037231010000001fa000',
    },
  },
]
