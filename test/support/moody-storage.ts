/** A real store whose calls can be made to fail or to hang, as a database that is away makes them. */
import { type AcceptInput, type Storage, StorageError } from '../../src/storage/contract.ts';

export interface MoodyStorage {
  readonly storage: Storage;
  /** What calls do from now on; leaving `hangs` makes those that hang fail. */
  set(mood: 'well' | 'fails' | 'hangs'): void;
  /** Calls that hang now. */
  readonly hanging: number;
}

/** `only`: the names of the calls that have moods; default every call that answers with a promise. */
export function moodyStorage(inner: Storage, only?: readonly (keyof Storage)[]): MoodyStorage {
  let mood: 'well' | 'fails' | 'hangs' = 'well';
  let hanging = 0;
  let gate = Promise.withResolvers<void>();
  const moods = new Set<PropertyKey>(only ?? []);
  const storage = new Proxy(inner, {
    get: (_, name) => {
      const member: unknown = Reflect.get(inner, name, inner);
      if (typeof member !== 'function') return member;
      const call = member.bind(inner) as (...args: unknown[]) => unknown;
      if (only !== undefined && !moods.has(name)) return call;
      // What answers at once asks no database.
      if (
        /^(nextMessageId|openWriter|drained|handedOnBytes|onQueued|onChanged|alarms|directoryVersion|close)$/.test(
          String(name),
        )
      )
        return call;
      return async (...args: unknown[]) => {
        if (mood === 'well') return call(...args);
        if (mood === 'hangs') {
          hanging += 1;
          await gate.promise;
          hanging -= 1;
        }
        // An engine gives up the body of what it could not accept.
        if (name === 'accept') (args[0] as AcceptInput).body.abort();
        throw new StorageError('unavailable', 'the connection is lost');
      };
    },
  });
  return {
    storage,
    set: (next) => {
      mood = next;
      if (next === 'hangs') return;
      gate.resolve();
      gate = Promise.withResolvers<void>();
    },
    get hanging() {
      return hanging;
    },
  };
}
