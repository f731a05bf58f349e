import { t } from '../strings.ts';

const words = t.setup.administrator;
const MIN_LENGTH = 8;
/** Bits that make a password weak, fair, good, strong. */
const STEPS = [40, 60, 80] as const;

/** 0 too short … 4 strong. Length counts most; repeated and neighbouring signs count little. */
export function strengthOf(password: string): number {
  if ([...password].length < MIN_LENGTH) return 0;
  const bits = estimateBits(password);
  return 1 + STEPS.filter((step) => bits >= step).length;
}

function estimateBits(password: string): number {
  const signs = [...password];
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^a-zA-Z\d]/].filter((kind) => kind.test(password)).length;
  const perSign = 3 + kinds * 0.7;
  const telling = signs.filter((sign, at) => {
    const before = signs[at - 1]?.codePointAt(0) ?? -9;
    return Math.abs((sign.codePointAt(0) ?? 0) - before) > 1;
  });
  const different = new Set(signs.map((sign) => sign.toLowerCase())).size;
  return Math.min(telling.length, different * 1.8) * perSign;
}

/** A meter with its word. */
export function Strength({ password }: { readonly password: string }) {
  const strength = strengthOf(password);
  return (
    <div className="strength">
      <meter
        className={`strength-bar strength-${strength}`}
        min={0}
        max={4}
        value={strength}
        aria-label={words.strength}
      />
      <span className="small">
        {words.strength}: <strong>{words.strengths[strength]}</strong>
      </span>
    </div>
  );
}
