import { useDebouncedValue } from '@mantine/hooks';
import { usePasswordStrength } from '../api/setup.ts';
import { t } from '../strings.ts';

const words = t.setup.administrator;
const ASK_AFTER_MS = 200;

/** What the server thinks of a password; null until it has said so of just this one. */
export function useStrength(password: string, name: string) {
  const [settled] = useDebouncedValue(password, ASK_AFTER_MS);
  const { data, isPlaceholderData } = usePasswordStrength(settled, name);
  return {
    strength: password === '' ? null : (data ?? null),
    fresh: settled === password && !isPlaceholderData,
  };
}

/** A meter with its word; its room is there from the start. */
export function Strength({ password, name = '' }: { readonly password: string; readonly name?: string }) {
  const { strength } = useStrength(password, name);
  const score = strength?.score ?? 0;
  return (
    <div className="strength">
      <meter
        className={`strength-bar strength-${score}`}
        min={0}
        max={4}
        value={score}
        aria-label={words.strength}
      />
      <span className="small">{strength?.text ?? ''}</span>
    </div>
  );
}
