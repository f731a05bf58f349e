/** The dashboard's stream (server-sent events). */
import { useEffect, useState } from 'react';
import { type AnswerOf, address } from './client.ts';

export type Live = AnswerOf<'GET /live'>;
export type LiveMinute = Live['minutes'][number];

/** The newest state, and whether the stream stands; the browser connects again by itself. */
export function useLive(): { readonly live: Live | null; readonly connected: boolean } {
  const [live, setLive] = useState<Live | null>(null);
  const [connected, setConnected] = useState(true);
  useEffect(() => {
    const stream = new EventSource(address('/live'));
    stream.onmessage = (event: MessageEvent<string>) => {
      setConnected(true);
      setLive(JSON.parse(event.data) as Live);
    };
    stream.onerror = () => setConnected(false);
    return () => stream.close();
  }, []);
  return { live, connected };
}
