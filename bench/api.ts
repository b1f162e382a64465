/**
 * The bench's access to its API server: kubeconfigs, also for ports with a longer
 * round trip, and a summary of its requests. The server and the ports are processes of
 * their own. The server is the double of the tests, or the real one (API=real).
 */
import { join } from "node:path";
import * as v from "valibot";
import { peers, plain, wide } from "./cluster.ts";
import { startHelper } from "./helper.ts";

export interface Api extends AsyncDisposable {
  url: string;
  /** The pods of `cluster.ts`, as served: a real server decides the uids. */
  pods: Record<"plain" | "peers" | "wide", typeof plain.pod>;
  /** A kubeconfig for a user whose requests are not counted. */
  agentKubeconfig: string;
  /** A kubeconfig for it from so many milliseconds away, round trip. */
  kubeconfig(roundTripMs: number): string;
  seen(): Promise<Seen>;
}

export interface Seen {
  /** How many until now. */
  requests: number;
  /** The last network status of the pod with definitions. */
  networkStatus: string;
}

/** Round trip times in milliseconds. */
export const distances = [5, 50] as const;

const readySchema = v.object({
  url: v.string(),
  port: v.number(),
  kubeconfig: v.string(),
  agentKubeconfig: v.string(),
  uids: v.object({ plain: v.string(), peers: v.string(), wide: v.string() }),
});
const seenSchema = v.object({
  requests: v.number(),
  networkStatus: v.string(),
});

/**
 * Resolves when all of it listens; `directory` is for the kubeconfigs. `genie` is the
 * executable whose manifest a real server gets; without it the server is the double.
 */
export async function startApi(
  directory: string,
  genie?: string,
): Promise<Api> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(
    genie === undefined
      ? await startHelper("api-server.ts")
      : await startHelper("real-api-server.ts", directory, genie),
  );
  const { url, port, kubeconfig, agentKubeconfig, uids } = v.parse(
    readySchema,
    server.ready,
  );
  const away = stack.use(
    await startHelper("distance.ts", `${port}`, ...distances.map(String)),
  );
  const ports = v.parse(v.array(v.number()), away.ready);
  const near = await Bun.file(kubeconfig).text();
  const kubeconfigs = new Map([[0, kubeconfig]]);
  for (const [i, roundTripMs] of distances.entries()) {
    const path = join(directory, `kubeconfig-${roundTripMs}`);
    await Bun.write(path, near.replace(`:${port}`, `:${ports[i]}`));
    kubeconfigs.set(roundTripMs, path);
  }
  const owned = stack.move();
  return {
    url,
    agentKubeconfig,
    pods: {
      plain: { ...plain.pod, uid: uids.plain },
      peers: { ...peers.pod, uid: uids.peers },
      wide: { ...wide.pod, uid: uids.wide },
    },
    kubeconfig(roundTripMs) {
      const path = kubeconfigs.get(roundTripMs);
      if (path === undefined)
        throw new Error(`nothing is ${roundTripMs} ms away`);
      return path;
    },
    seen: async () => v.parse(seenSchema, await server.ask()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
