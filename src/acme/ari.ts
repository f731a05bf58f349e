/** Renewal information of the CA (RFC 9773): the window in which it wants a certificate replaced. */
import { z } from 'zod';
import { failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeFailure, acmeFailure } from './contract.ts';
import type { AriWindow } from './files.ts';
import { plain, refusal, retryAfterMs } from './problem.ts';
import { type AcmeSession, readJson } from './session.ts';

const windowSchema = z.object({
  suggestedWindow: z.object({ start: z.string(), end: z.string() }),
  explanationURL: z.string().optional(),
});

export interface AriAnswer {
  /** Null when the CA does not offer renewal information. */
  readonly window: AriWindow | null;
  /** When the CA wants to be asked again, ms; null when it does not say. */
  readonly retryAfterMs: number | null;
}

/**
 * Asks for the window of the certificate named `id`. A window that did not move keeps the moment chosen in it
 * before: `previous`.
 */
export async function askRenewalInfo(
  session: AcmeSession,
  id: string,
  previous: AriWindow | null,
  random: () => number,
): Promise<Result<AriAnswer, AcmeFailure>> {
  const directory = await session.directory();
  if (!directory.ok) return directory;
  const { renewalInfo } = directory.value;
  if (renewalInfo === undefined) return ok({ window: null, retryAfterMs: null });
  const answer = await session.get(`${renewalInfo.replace(/\/$/, '')}/${id}`);
  if (!answer.ok) return answer;
  if (answer.value.status !== 200) return failed(refusal(answer.value, 'renewal information', Date.now()));
  const read = readJson(answer.value, windowSchema, 'The renewal information');
  if (!read.ok) return read;
  const startMs = Date.parse(read.value.suggestedWindow.start);
  const endMs = Date.parse(read.value.suggestedWindow.end);
  if (!(startMs < endMs)) {
    const text = `The CA's renewal window is none: ${plain(JSON.stringify(read.value.suggestedWindow))}.`;
    return failed(acmeFailure('bad-answer', text, 'Nothing to do: two thirds of its life count instead.'));
  }
  const same = previous?.id === id && previous.startMs === startMs && previous.endMs === endMs;
  const chosenMs = same ? previous.chosenMs : startMs + random() * (endMs - startMs);
  const { explanationURL } = read.value;
  const explanation = explanationURL === undefined ? null : plain(explanationURL);
  return ok({
    window: { id, startMs, endMs, chosenMs, explanation },
    retryAfterMs: retryAfterMs(answer.value, Date.now()),
  });
}
