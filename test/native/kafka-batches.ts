/**
 * Batches as Apache Kafka writes them: made by `MemoryRecords` of kafka-clients 4.1.1, which also computed the CRCs.
 * Nothing of ours took part, so they show that the tests' own builder and the code under test share no mistake.
 */
export const kafkaBatches: readonly { readonly name: string; readonly bytes: Uint8Array }[] = [
  {
    name: 'three records: key, value and two headers (one of null); no key; no value',
    bytes: fromHex(
      '00000000000000000000005cffffffff02e327e1630000000000020000018bcfe568000000018bcfe56807ffffffffffffff' +
        'ffffffffffffff000000032e000000026b0a76616c7565040268040102086e6f6e65010e000e02010277001400060408676f' +
        '6e650100',
    ),
  },
  {
    name: 'the same of producer 4711, epoch 3, sequence 42',
    bytes: fromHex(
      '00000000000000000000005cffffffff0227fcb9900000000000020000018bcfe568000000018bcfe5680700000000000012' +
        '6700030000002a000000032e000000026b0a76616c7565040268040102086e6f6e65010e000e02010277001400060408676f' +
        '6e650100',
    ),
  },
  {
    name: 'the same by gzip',
    bytes: fromHex(
      '00000000000000000000006effffffff025a39ef990001000000020000018bcfe568000000018bcfe56807ffffffffffffff' +
        'ffffffffffffff000000031f8b08000000000000ffd363606060cae62a4bcc294d6561ca606164e2c8cbcf4b65e463e06362' +
        '642a6710616063e148078930000055ba1f052b000000',
    ),
  },
  {
    name: 'a commit marker',
    bytes: fromHex(
      '000000000000000900000042000000050235ce44890030000000000000018bcfe568000000018bcfe5680000000000000012' +
        '670003ffffffff000000012000000008000000010c00000000000100',
    ),
  },
]

function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}
