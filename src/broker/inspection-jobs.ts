/** The inspection of records as a job for `Workers`. The batch is best transferred. */
import { type Job, jobAt, moved } from '../env/index.ts'
import { compression, loadCodec } from '../record/index.ts'
import { type Inspection, type InspectionRules, inspect, refused, verdictOf } from './record-inspection.ts'

export interface InspectJob {
  readonly batch: Uint8Array
  readonly rules: InspectionRules
}

export const inspectJob: Job = jobAt(import.meta.url, './inspection-jobs', 'inspectRecords')

export async function inspectRecords({ batch, rules }: InspectJob): Promise<Inspection> {
  try {
    const [from, to] = await Promise.all([loadCodec(compression(batch, 0)), loadCodec(rules.codec)])
    const inspection = inspect(batch, rules, { from, to })
    return inspection.batch === undefined ? inspection : moved(inspection, inspection.batch)
  } catch (error) {
    return refused(verdictOf(error)) // a codec that this process cannot have
  }
}
