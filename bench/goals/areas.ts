/** All areas that have goals. Every issue adds its own. */
import { cluster } from './cluster/area.ts'
import { compression } from './compression/area.ts'
import { firstLight } from './first-light/area.ts'
import type { GoalArea } from './goal.ts'
import { storage } from './storage/area.ts'
import { suite } from './suite/area.ts'

export const areas: readonly GoalArea[] = [firstLight, storage, compression, cluster, suite]
