/**
 * The API access that the requests of this process share: opened at the first
 * request, because most pods send none, and reopened after a 401.
 */
import type { Access } from "./access.ts";

export interface Session {
  access(): Promise<Access>;
  /** The next request reads kubeconfig and credential again, unless another request has done so. */
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
