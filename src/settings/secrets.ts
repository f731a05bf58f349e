/** Secrets at rest: AES-256-GCM under a key file of the node. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const PREFIX = 'aes-256-gcm:';

/** Encrypts a secret for one setting; the key of the setting is bound in, so texts cannot be swapped. */
export function encryptSecret(secretKey: Uint8Array, settingKey: string, plain: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', secretKey, iv).setAAD(Buffer.from(settingKey));
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  return PREFIX + Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url');
}

/** The secret, or undefined when the text is damaged or of another key. */
export function decryptSecret(secretKey: Uint8Array, settingKey: string, stored: string): string | undefined {
  if (!stored.startsWith(PREFIX)) return undefined;
  const bytes = Buffer.from(stored.slice(PREFIX.length), 'base64url');
  if (bytes.length < IV_BYTES + TAG_BYTES) return undefined;
  const iv = bytes.subarray(0, IV_BYTES);
  const tag = bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', secretKey, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(settingKey)).setAuthTag(tag);
  try {
    return decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  } catch {
    // Authentication failed: said by the caller, who knows what was lost.
    return undefined;
  }
}

/** Tells keys apart without telling anything about them. */
export function keyFingerprint(secretKey: Uint8Array): Uint8Array {
  return Uint8Array.from(createHmac('sha256', secretKey).update('cmail secret.key').digest());
}

/**
 * The key of `<data>/secret.key`, made at first use with mode 0600. Rejects when the file cannot be read or
 * made, or does not hold a key.
 */
export async function openSecretKey(dataDir: string): Promise<Uint8Array> {
  const path = join(dataDir, 'secret.key');
  const existing = await readKey(path);
  if (existing) return existing;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const made = randomBytes(KEY_BYTES);
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(`${made.toString('hex')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    // A link, not a rename: whoever is first wins, and a key in use is never replaced.
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(temporary);
  }
  const key = await readKey(path);
  if (!key) throw new Error(`${path} vanished while it was made`);
  return key;
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new Error(`${path} does not hold a key of ${KEY_BYTES} bytes in hex`);
  return Buffer.from(text, 'hex');
}
