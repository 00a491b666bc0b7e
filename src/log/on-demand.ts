/** Verifying and repairing: imported when somebody asks for it, because a log that is opened has no use for it. */
import type { verifyLog as VerifyLog } from './log-views.ts'
import type { repairOpen as RepairOpen, verifyOpen as VerifyOpen } from './open-repair.ts'
import type { repairLog as RepairLog } from './repair.ts'

export type { RepairOptions, RepairReport } from './repair.ts'

export const verifyLog: typeof VerifyLog = async (...given) => (await import('./log-views.ts')).verifyLog(...given)
export const repairLog: typeof RepairLog = async (...given) => (await import('./repair.ts')).repairLog(...given)
export const verifyOpen: typeof VerifyOpen = async (...given) => (await import('./open-repair.ts')).verifyOpen(...given)
export const repairOpen: typeof RepairOpen = async (...given) => (await import('./open-repair.ts')).repairOpen(...given)
