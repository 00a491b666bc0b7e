/** The door to the old formats: their code is imported when the first of their messages is met. */
import type { ConvertOptions, LegacyConversion } from './legacy-converter.ts'

/**
 * Converts the message of format 0 or 1 at `position` (see `isLegacy`), and those after it that go into the same batch,
 * into one uncompressed batch of version 2. Rejects with PAGELOG_CORRUPT for a damaged message (position in the error),
 * PAGELOG_TOO_LARGE for a wrapper that holds more than `maxBytes`, PAGELOG_UNSUPPORTED for an unknown codec.
 */
export async function convertLegacy(
  bytes: Uint8Array,
  position: number,
  options: ConvertOptions,
): Promise<LegacyConversion> {
  const { convert } = await import('./legacy-converter.ts')
  return await convert(bytes, position, options)
}
