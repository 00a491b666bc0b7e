/**
 * DescribeConfigs, versions 1 - 4: every setting in force of a topic (resource type 2) or of this broker (4), with its
 * source and, when asked for, synonyms, type and text. The broker is named by its id; an empty name means the settings
 * that were changed for the whole cluster at run time, of which there are none yet. Other types: INVALID_REQUEST.
 */
import { ErrorCode } from '../../base/index.ts'
import {
  DescribeConfigs,
  type DescribeConfigsRequest,
  type DescribeConfigsResponse,
  type Input,
} from '../../protocol/index.ts'
import { type DescribedSetting, describeBrokerSettings, describeTopicSettings } from '../described-settings.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'
import { topicNameFault } from '../topic-name.ts'

type Resource = DescribeConfigsRequest['resources'][number]
type Result = Input<DescribeConfigsResponse['results'][number]>

const TOPIC = 2
const BROKER = 4

export const describeConfigs = handler({
  api: DescribeConfigs,
  handle: ({ body }, _session, broker) => ({
    results: body.resources.map((resource) => resultOf(broker, body, resource)),
  }),
})

function resultOf(broker: BrokerFacade, body: DescribeConfigsRequest, resource: Resource): Result {
  const { resourceType, resourceName, configurationKeys } = resource
  const described = describe(broker, resource)
  if (!Array.isArray(described)) return { resourceType, resourceName, ...described, configs: [] }
  const wanted = configurationKeys === null ? undefined : new Set(configurationKeys)
  const configs = described
    .filter(({ name }) => wanted === undefined || wanted.has(name))
    .map(({ name, value, readOnly, source, isSensitive, synonyms, type, doc }) => ({
      name,
      value,
      readOnly,
      configSource: source,
      isSensitive,
      synonyms: body.includeSynonyms ? synonyms : [],
      configType: type,
      documentation: body.includeDocumentation ? doc : null,
    }))
  return { resourceType, resourceName, errorCode: ErrorCode.NONE, configs }
}

function describe(
  broker: BrokerFacade,
  { resourceType, resourceName }: Resource,
): DescribedSetting[] | { errorCode: number; errorMessage: string } {
  if (resourceType === TOPIC) {
    const fault = topicNameFault(resourceName)
    if (fault !== undefined) return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: fault }
    const topic = broker.image.topic(resourceName)
    if (topic) return describeTopicSettings(broker, topic.configs)
    return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: 'There is no such topic.' }
  }
  if (resourceType === BROKER) {
    if (resourceName === '') return []
    if (resourceName === String(broker.nodeId)) return describeBrokerSettings(broker)
    const errorMessage = `Unexpected broker id, expected ${broker.nodeId} or empty string, but received ${resourceName}`
    return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage }
  }
  return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage: `Unsupported resource type ${resourceType}.` }
}
