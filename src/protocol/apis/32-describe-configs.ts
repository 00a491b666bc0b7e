/**
 * DescribeConfigs: settings of topics (resource type 2) and brokers (4). Keys null: all of them.
 * 1 where a value comes from, synonyms · 3 type and text of a setting · 4 flexible.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const DescribeConfigs = api(
  { key: 32, name: 'DescribeConfigs', versions: [1, 4], flexibleFrom: 4 },
  {
    resources: arrayOf({ resourceType: 'int8', resourceName: 'string', configurationKeys: 'string[]?' }),
    includeSynonyms: 'bool',
    includeDocumentation: 'bool @3+',
  },
  {
    throttleTimeMs: 'int32',
    results: arrayOf({
      errorCode: 'int16',
      errorMessage: 'string?',
      resourceType: 'int8',
      resourceName: 'string',
      configs: arrayOf({
        name: 'string',
        value: 'string?',
        readOnly: 'bool',
        configSource: 'int8 =-1',
        isSensitive: 'bool',
        synonyms: arrayOf({ name: 'string', value: 'string?', source: 'int8' }),
        configType: 'int8 @3+',
        documentation: 'string? @3+',
      }),
    }),
  },
)
export type DescribeConfigsRequest = RequestOf<typeof DescribeConfigs>
export type DescribeConfigsResponse = ResponseOf<typeof DescribeConfigs>
