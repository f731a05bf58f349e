/** The dashboard's stream (server-sent events). */
import { useEffect, useState } from 'react';
import { address } from './client.ts';

export interface LiveMinute {
  readonly at: string;
  readonly accepted: number;
  readonly refused: number;
  readonly delivered: number;
  readonly deferred: number;
  readonly failed: number;
}

export interface LiveAlarm {
  readonly level: 'bad' | 'warn';
  readonly text: string;
  readonly mend: string;
}

export interface Live {
  readonly minutes: readonly LiveMinute[];
  readonly queue: {
    readonly queued: number;
    readonly sending: number;
    readonly held: number;
    readonly oldestAt: string | null;
    readonly holdAll: boolean;
  };
  readonly topDestinations: readonly { readonly destination: string; readonly waiting: number }[];
  readonly topReasons: readonly { readonly reason: string; readonly count: number }[];
  readonly alarms: readonly LiveAlarm[];
  readonly server: {
    readonly hostname: string;
    readonly startedAt: string | null;
    readonly sessions: number;
    readonly memoryBytes: number;
    readonly listeners: readonly { readonly name: string; readonly endpoints: readonly string[] }[];
  };
  readonly nodes: readonly { readonly name: string; readonly alive: boolean; readonly seenAt: string }[];
}

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
