/** Without 0/O, 1/l/I, so that it can be read out. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const GROUPS = 4;
const GROUP_LENGTH = 4;

/** A password of 16 letters and digits in groups of four: about 93 bits. */
export function makePassword(): string {
  const groups = Array.from({ length: GROUPS }, () => Array.from({ length: GROUP_LENGTH }, letter).join(''));
  return groups.join('-');
}

/** One letter, each as likely as any other: bytes above the last whole multiple are thrown away. */
function letter(): string {
  const limit = 256 - (256 % LETTERS.length);
  for (;;) {
    const byte = crypto.getRandomValues(new Uint8Array(1))[0] ?? 255;
    if (byte < limit) return LETTERS.charAt(byte % LETTERS.length);
  }
}
