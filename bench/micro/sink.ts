/** Where results of work end up that only its time is wanted of: no optimiser sees that nobody reads it. */
export const sink = { value: 0 }
