/** The suite itself: what it says of a broker is true, and what goes wrong ends well. */
import type { GoalArea } from '../goal.ts'
import { badTargets } from './bad-targets.ts'
import { honesty } from './honesty.ts'
import { leftovers } from './leftovers.ts'
import { threeConsumers } from './reading.ts'
import { stored } from './stored.ts'

export const suite: GoalArea = {
  name: 'suite',
  parts: [
    {
      name: 'honesty',
      title: 'a stub broker with known delays, rate and stop is reported as what it is',
      run: honesty,
    },
    { name: 'bad-targets', title: 'garbage, silence, a full disk: a clear end with partial results', run: badTargets },
    { name: 'leftovers', title: 'after kill -9 of the harness the next run cleans up', run: leftovers },
    { name: 'three-consumers', title: 'three consumers at once, out of the page cache', run: threeConsumers },
    { name: 'stored', title: 'the rate holds while the stored data grow', run: stored },
  ],
}
