/** How strong an administrator's password is. A rough estimate that needs no word lists from outside. */

export const MIN_ADMIN_PASSWORD = 10;

/** Beginnings that everybody tries first, compared without digits and punctuation at the end. */
const COMMON = new Set([
  'password',
  'passwort',
  'passw0rd',
  'p@ssword',
  'p@ssw0rd',
  'qwerty',
  'qwertz',
  'qwertyuiop',
  'qwertzuiop',
  'asdfghjkl',
  'letmein',
  'welcome',
  'willkommen',
  'administrator',
  'admin',
  'adminadmin',
  'changeme',
  'iloveyou',
  'sunshine',
  'football',
  'baseball',
  'superman',
  'princess',
  'trustno',
  'dragon',
  'monkey',
  'master',
  'shadow',
  'secret',
  'geheim',
  'mailserver',
  'cmail',
  'default',
  'postmaster',
  'abcdefghij',
  'test',
  'testtest',
  'hello',
  'hallo',
]);

export interface PasswordStrength {
  /** 0 refused … 4 very strong. */
  readonly score: 0 | 1 | 2 | 3 | 4;
  readonly acceptable: boolean;
  readonly text: string;
}

/** `name` is whose it is: a password that holds it is weak. */
export function passwordStrength(password: string, name: string): PasswordStrength {
  const refusal = refuse(password, name);
  if (refusal !== null) return { score: 0, acceptable: false, text: refusal };
  const bits = estimateBits(password);
  if (bits < 45) return { score: 1, acceptable: true, text: 'Weak: longer would be better.' };
  if (bits < 60) return { score: 2, acceptable: true, text: 'Fair.' };
  if (bits < 80) return { score: 3, acceptable: true, text: 'Strong.' };
  return { score: 4, acceptable: true, text: 'Very strong.' };
}

function refuse(password: string, name: string): string | null {
  const characters = [...password];
  if (characters.length < MIN_ADMIN_PASSWORD) {
    return `It has fewer than ${MIN_ADMIN_PASSWORD} characters.`;
  }
  const lower = password.toLowerCase();
  if (new Set(characters).size < 5) return 'It repeats a few characters.';
  if (isRun(lower)) return 'Its characters just follow one another.';
  const core = lower.replace(/[^\p{L}]+$/u, '').replace(/^[^\p{L}]+/u, '');
  if (COMMON.has(core) || COMMON.has(lower)) return 'It is one that everybody tries first.';
  const owner = name.toLowerCase();
  if (owner.length >= 3 && lower.replaceAll(owner, '').length < 6) return 'It is mostly the name.';
  return null;
}

/** All steps from one character to the next are the same, as in 1234567890. */
function isRun(text: string): boolean {
  const codes = [...text].map((character) => character.codePointAt(0) ?? 0);
  const steps = new Set(codes.slice(1).map((code, index) => code - (codes[index] ?? 0)));
  return steps.size === 1 || '12345678901234567890'.includes(text);
}

/** Size of the alphabet used, to the power of the number of characters that do not repeat the one before. */
function estimateBits(password: string): number {
  const classes: readonly (readonly [RegExp, number])[] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 10],
    [/[ -/:-@[-`{-~]/, 33],
    [/[^\x00-\x7f]/, 100],
  ];
  const alphabet = classes.reduce((sum, [test, size]) => sum + (test.test(password) ? size : 0), 0);
  const characters = [...password];
  const counting = characters.filter((character, index) => character !== characters[index - 1]);
  // Words are easier than their letters: what looks like one counts for less.
  const perCharacter = Math.log2(Math.max(alphabet, 2)) * (/[a-z]{6,}/i.test(password) ? 0.7 : 1);
  return counting.length * perCharacter;
}
