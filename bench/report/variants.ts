/** How brokers and their clients are called and coloured in reports where there is room for more than their short names. */
import { allDrivers, allTargets, type DriverName, type TargetName, variantName } from '../result.ts'

export const targetTitles: Readonly<Record<TargetName, string>> = {
  pagelog: 'pagelog',
  kafka: 'Apache Kafka',
  hosts: 'the given hosts',
}
const driverTitles: Readonly<Record<DriverName, string>> = {
  'pagelog-client': 'pagelog’s client',
  'kafka-tools': 'its own tools',
  kafkajs: 'kafkajs',
  platformatic: '@platformatic/kafka',
  'node-rdkafka': 'node-rdkafka',
  librdkafka: 'librdkafka',
}

function titleOf(target: TargetName, driver: DriverName): string {
  if (driver === 'pagelog-client' && target !== 'kafka') return targetTitles[target]
  const driverTitle = driver === 'kafka-tools' && target !== 'kafka' ? 'Kafka’s tools' : driverTitles[driver]
  return `${targetTitles[target]}, ${driverTitle}`
}

const pairs = allTargets.flatMap((target) => allDrivers.map((driver) => ({ target, driver })))

export const variantTitles: Readonly<Record<string, string>> = Object.fromEntries(
  pairs.map(({ target, driver }) => [variantName(target, driver), titleOf(target, driver)]),
)

/** The three that are always there; the rest have colours that can be seen on light and dark. */
const PAIRED = ['pagelog', 'kafka', 'kafka+pagelog-client']
const COLOURS = [
  ...['#3b82f6', '#d946ef', '#ca8a04', '#ec4899', '#16a34a', '#ef4444', '#0891b2', '#65a30d'],
  ...['#8b5cf6', '#f59e0b', '#64748b', '#e11d48'],
]

export const otherColours: Readonly<Record<string, string>> = Object.fromEntries(
  Object.keys(variantTitles)
    .filter((name) => !PAIRED.includes(name))
    .map((name, i) => [name, COLOURS[i % COLOURS.length]!]),
)

/** The style sheet's class of a variant's colour. */
export function variantClass(name: string): string {
  return `key-${name.replaceAll('+', '-')}`
}
