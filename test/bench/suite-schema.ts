/** The published schema of what the suite's commands write. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { packageRoot } from '../../bench/process/package-root.ts'

/** What is wrong with a result; an empty list when it is as the schema says. */
export function schemaErrors(result: unknown): string[] {
  const schema = JSON.parse(readFileSync(join(packageRoot, 'bench/suite.schema.json'), 'utf8')) as {
    definitions: Record<string, object>
  }
  const kinds: Record<string, string> = { 'find-max': 'findMax', 'linkedin-2014': 'linkedin' }
  const { kind } = result as { kind: string }
  const one = { ...schema, oneOf: undefined, $ref: `#/definitions/${kinds[kind] ?? kind}` }
  const validate = new Ajv({ allowUnionTypes: true, strictTuples: false }).compile(JSON.parse(JSON.stringify(one)))
  validate(JSON.parse(JSON.stringify(result)))
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}
