/** Holding what arrives later for one destination: the word `hold` in its rule (smtp.destinationRules). */
import {
  type DestinationRule,
  destinationRule,
  destinationRulesType,
  parseRulePattern,
} from '../settings/destination-rules.ts';
import { table } from '../settings/table.ts';
import { type AdminContext, OperationError } from './context.ts';
import { accepted } from './settings-operations.ts';

/** Sets or lifts `hold` in the destination's own rule. Resolves to whether anything had to change. */
export async function setHoldRule(
  { settings, author }: AdminContext,
  destination: string,
  hold: boolean,
): Promise<boolean> {
  const { key } = table.destinationRules;
  const version = await settings.version();
  const { destinationRules } = settings.current();
  const own = destinationRules.find(({ pattern }) => pattern === destination);
  if ((own?.hold ?? false) === hold) return false;
  const others = destinationRules.filter((rule) => rule !== own);
  const changed = own === undefined ? newRule(settings.current(), destination) : { ...own, hold };
  // A rule that held and said nothing else is not needed any more, unless it was an exception from a wider one.
  const rules = isNeeded(changed, others) ? [...others, changed] : others;
  accepted(await settings.set([{ key, value: destinationRulesType.format(rules) }], author, version));
  return true;
}

/** The rule it comes under so far, with `hold`: one rule applies alone, so nothing else must change with it. */
function newRule(current: { readonly destinationRules: readonly DestinationRule[] }, destination: string) {
  const pattern = parseRulePattern(destination);
  if (!pattern.ok || pattern.value.startsWith('*')) {
    const mend =
      'Give a destination as "cmail queue list" shows it. Rules with * are entered in smtp.destinationRules.';
    throw new OperationError(`"${destination}" is not a domain`, mend, 2);
  }
  return { ...destinationRule(current, pattern.value), pattern: pattern.value, hold: true };
}

function isNeeded(rule: DestinationRule, others: readonly DestinationRule[]): boolean {
  const { pattern, ...words } = rule;
  const says = Object.values(words).some((word) => word !== null && word !== false);
  const wider = destinationRule({ destinationRules: others }, pattern ?? '').pattern !== null;
  return says || wider;
}
