/**
 * The access that the calls of this process share: opened at the first call,
 * because most pods need none, and opened anew once it was refused.
 */
import type { Access } from "./access.ts";

export interface Session {
  access(): Promise<Access>;
  /** The next call reads kubeconfig and credentials again, unless another call has asked for it already. */
  renew(refused: Access): void;
}

export function createSession(open: () => Promise<Access>): Session {
  let current: { promise: Promise<Access>; access?: Access } | undefined;
  return {
    async access() {
      current ??= { promise: open() };
      const mine = current;
      mine.access = await mine.promise;
      return mine.access;
    },
    renew(refused) {
      if (current?.access === refused) current = undefined;
    },
  };
}
