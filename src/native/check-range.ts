/** The argument checks of the plain-JS twins, with the same classes of error as the addon's. */
export function checkRange(bytes: Uint8Array, start: number, end: number): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array')
  if (typeof start !== 'number') throw new TypeError('start must be a number')
  if (typeof end !== 'number') throw new TypeError('end must be a number')
  if (!(Number.isInteger(end) && end >= 0 && end <= bytes.length)) throw new RangeError('end is out of range')
  if (!(Number.isInteger(start) && start >= 0 && start <= end)) throw new RangeError('start is out of range')
}
