/** How sessions are shared out between lanes, so that however many are slow some are left for the others. */
import type { Lane, Lanes } from './lanes.ts';

/** From so many sessions on, destinations that hold sessions for long have a part of them, and so have unknown ones. */
const RESERVES_FROM = 20;
const TARDY_PART = 1 / 4;
const NOT_PROMPT_PART = 3 / 4;

/**
 * Whether a lane may have one session more. It has at most half as many as are free beside it. Those that fail, are slow
 * or have not answered for a while have a quarter of all; with those that were not heard of yet, three quarters.
 */
export function hasShare(
  lane: Lane,
  lanes: Pick<Lanes, 'standing'>,
  { most, used }: { readonly most: number; readonly used: number },
  sessionsOf: (isMeant: (lane: Lane) => boolean) => number,
): boolean {
  if (lane.sessions > 0 && lane.sessions >= (most - used) / 2) return false;
  const standing = lanes.standing(lane);
  if (most < RESERVES_FROM || standing === 'prompt') return true;
  if (standing === 'tardy') return sessionsOf((one) => lanes.standing(one) === 'tardy') < most * TARDY_PART;
  // Many that are new may turn out to be tardy.
  return sessionsOf((one) => lanes.standing(one) !== 'prompt') < most * NOT_PROMPT_PART;
}
