/**
 * The bench's end of the API server, which is another process: see api-server.ts.
 */
import { join } from "node:path";

export interface Api extends Disposable {
  kubeconfig: string;
  /** How many requests it has had until now. */
  requests(): Promise<number>;
}

/** Resolves when it listens. Throws Error when it ends instead. */
export async function startApi(): Promise<Api> {
  const inbox: ((message: unknown) => void)[] = [];
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "api-server.ts")],
    {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message: unknown) => inbox.shift()?.(message),
    },
  );
  const ended = child.exited.then((code) => {
    throw new Error(`the API server ended with code ${code}`);
  });
  // Ended by us in the end, when nobody waits any more.
  ended.catch(() => {});

  const received = () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    inbox.push(resolve);
    return Promise.race([promise, ended]);
  };

  return {
    kubeconfig: String(await received()),
    requests() {
      const answer = received();
      child.send("requests");
      return answer.then(Number);
    },
    [Symbol.dispose]: () => child.disconnect(),
  };
}
