/**
 * A process beside the bench, which responds while the bench waits for a child. It
 * sends one message when it is ready, and one for each message that it receives.
 */
import { join } from "node:path";

export interface Helper extends AsyncDisposable {
  /** Its first message. */
  ready: unknown;
  ask(): Promise<unknown>;
}

/** Starts a script of this directory. Rejects when it ends instead of answering. */
export async function startHelper(
  script: string,
  ...args: string[]
): Promise<Helper> {
  const inbox: ((message: unknown) => void)[] = [];
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, script), ...args],
    {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message: unknown) => inbox.shift()?.(message),
    },
  );
  const ended = child.exited.then((code) => {
    throw new Error(`${script} ended with code ${code}`);
  });
  // The bench disconnects it at the end, when nothing waits for it.
  ended.catch(() => {});

  const received = () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    inbox.push(resolve);
    return Promise.race([promise, ended]);
  };

  return {
    ready: await received(),
    ask() {
      const answer = received();
      child.send("?");
      return answer;
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await child.exited;
    },
  };
}
