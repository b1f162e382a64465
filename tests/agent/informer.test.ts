/** Informers against a real TLS server (agent.md, issue 14: relist, resume, renew). */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { definitionKind, podKind } from "../../lib/agent/watch/kinds.ts";
import {
  type Informer,
  startInformer,
} from "../../lib/agent/watch/informer.ts";
import type { NetworkAttachmentDefinition } from "../../lib/kube/objects.ts";
import { openApi } from "../../lib/kube/typed-api.ts";
import { statusFault } from "../support/api-faults.ts";
import type { StoredObject } from "../support/api-objects.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { removeCerts } from "../support/certs.ts";
import { until } from "../support/delegate.ts";

afterAll(removeCerts);

const definition = (name: string, config = "{}"): StoredObject => ({
  metadata: { name, namespace: "shop" },
  spec: { config },
});

interface Watched extends AsyncDisposable {
  server: ApiServer;
  informer: Informer<NetworkAttachmentDefinition>;
  /** `put net1`, in the order of arrival. */
  changes: string[];
  log: string[];
  kubeconfig: string;
  /** LIST and WATCH requests so far. */
  requests(): string[];
}

async function watch({
  objects = ["net1"],
  limits = {},
  prepare,
}: {
  objects?: string[];
  limits?: Record<string, number>;
  prepare?: (server: ApiServer) => void;
} = {}): Promise<Watched> {
  const server = await startApiServer();
  for (const name of objects) server.definitions.put(definition(name));
  prepare?.(server);
  const controller = new AbortController();
  const kubeconfig = server.kubeconfig();
  const api = openApi({ kubeconfig }, {});
  const changes: string[] = [];
  const log: string[] = [];
  const informer = startInformer(definitionKind, {
    api: () => api,
    log: (level, message, fields) =>
      void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    signal: controller.signal,
    limits: { longestPause: 20, ...limits },
  });
  informer.subscribe((change, { metadata: { name } }) =>
    changes.push(`${change} ${name}`),
  );
  return {
    server,
    informer,
    changes,
    log,
    kubeconfig,
    requests: () =>
      server.requests.map(({ path }) =>
        path.includes("watch=true") ? "WATCH" : "LIST",
      ),
    async [Symbol.asyncDispose]() {
      controller.abort();
      await server.stop();
    },
  };
}

const isWatching = ({ server }: Watched) => server.watches === 1;

describe("startInformer", () => {
  test("what is there, what comes, changes and goes", async () => {
    await using watched = await watch();
    const { server, informer, changes } = watched;
    await informer.listed;
    await until(() => isWatching(watched), "the watch");
    server.definitions.put(definition("net2"));
    server.definitions.put(definition("net1", '{"a":1}'));
    server.definitions.delete("shop", "net2");
    await until(() => changes.length === 4, "the changes");
    expect(changes).toEqual([
      "put net1",
      "put net2",
      "put net1",
      "delete net2",
    ]);
    expect(informer.list().map(({ spec }) => spec)).toEqual([
      { config: '{"a":1}' },
    ]);
    expect(informer.get("net1", "shop")?.metadata.namespace).toBe("shop");
    expect(informer.state()).toBe("current");
    expect(watched.requests()).toEqual(["LIST", "WATCH"]);
  });

  const version = { metadata: { resourceVersion: "2" } };
  test.each([
    ["a bookmark", { type: "BOOKMARK", object: version }, []],
    ["410", { type: "ERROR", object: { code: 410 } }, ["LIST"]],
  ])(
    "each watch ends after %s: the next one is not asked for at once",
    async (_, event, between) => {
      const times: number[] = [];
      await using watched = await watch({
        limits: { longestPause: 60_000 },
        prepare: (server) =>
          server.inject({
            kind: "answer",
            body: `${JSON.stringify(event)}\n`,
            times: Infinity,
            match({ path }) {
              const isWatch = path.includes("watch=true");
              if (isWatch) times.push(performance.now());
              return isWatch;
            },
          }),
      });
      await until(() => times.length > 1, "the second watch");
      const [first = 0, second = 0] = times;
      expect(second - first).toBeGreaterThan(400);
      expect(watched.requests()).toEqual([
        "LIST",
        "WATCH",
        ...between,
        "WATCH",
      ]);
      expect(watched.log).toEqual([]);
    },
  );

  test("a list of several pages is whole", async () => {
    const objects = Array.from({ length: 1001 }, (_, i) => `net${i}`);
    await using watched = await watch({ objects });
    await watched.informer.listed;
    expect(watched.informer.list()).toHaveLength(1001);
    expect(watched.requests().slice(0, 3)).toEqual(["LIST", "LIST", "LIST"]);
  });

  test("a list that does not end is given up", async () => {
    const objects = Array.from({ length: 1001 }, (_, i) => `net${i}`);
    await using watched = await watch({ objects, limits: { pages: 1 } });
    const { log, informer } = watched;
    await until(() => log.length > 0, "the failure");
    expect(log).toEqual([
      'warn failed to watch network-attachment-definitions {"error":"the list of network-attachment-definitions has no end"}',
    ]);
    expect(informer.hasListed).toBe(false);
  });

  test.each(["end", "destroy"] as const)(
    "a watch that ends (%s), resumes without a LIST and misses nothing",
    async (how) => {
      await using watched = await watch();
      const { server, changes } = watched;
      await until(() => isWatching(watched), "the watch");
      server.endWatches(how);
      await until(() => server.watches === 0, "its end");
      server.definitions.put(definition("meanwhile"));
      await until(() => changes.includes("put meanwhile"), "the change");
      expect(watched.requests()).toEqual(["LIST", "WATCH", "WATCH"]);
    },
  );

  test("a bookmark, the next watch begins there", async () => {
    await using watched = await watch();
    const { server } = watched;
    await until(() => isWatching(watched), "the watch");
    server.pods.put({ metadata: { name: "web", namespace: "shop" } });
    const { resourceVersion } = server.pods.get("shop", "web")?.metadata ?? {};
    server.bookmark();
    server.endWatches("end");
    await until(() => watched.requests().length === 3, "the next watch");
    expect(server.requests.at(-1)?.path).toContain(
      `resourceVersion=${resourceVersion}&`,
    );
  });

  test.each<["end" | "destroy"]>([["end"], ["destroy"]])(
    "an idle watch that ends again and again after a while (%s), is resumed as fast as the first time",
    async (how) => {
      await using watched = await watch({
        limits: { longestPause: 60_000, lasting: 50 },
      });
      const { server, log } = watched;
      for (let i = 0; i < 3; i++) {
        await until(() => isWatching(watched), "the watch");
        await Bun.sleep(100);
        server.endWatches(how);
        await until(() => server.watches === 0, "its end");
      }
      const began = performance.now();
      await until(() => isWatching(watched), "the watch");
      expect(performance.now() - began).toBeLessThan(2000);
      expect(log[0]).toBe(
        how === "end"
          ? undefined
          : 'warn failed to watch network-attachment-definitions {"error":"connection closed"}',
      );
    },
    20_000,
  );

  test("410, lists again: also what went meanwhile is told", async () => {
    await using watched = await watch({ objects: ["net1", "net2"] });
    const { server, changes } = watched;
    await until(() => isWatching(watched), "the watch");
    // A watch of the dead connection tells nothing.
    server.definitions.listeners.clear();
    server.definitions.delete("shop", "net1");
    server.compact();
    await until(() => changes.includes("delete net1"), "the change");
    expect(watched.requests().slice(0, 3)).toEqual(["LIST", "WATCH", "LIST"]);
    expect(watched.informer.state()).toBe("current");
  });

  test("410 as the status of the response, the same", async () => {
    await using watched = await watch();
    const { server } = watched;
    await until(() => isWatching(watched), "the watch");
    server.inject({
      ...statusFault(410),
      match: ({ path }) => path.includes("watch=true"),
    });
    server.endWatches("destroy");
    await until(() => watched.requests().length === 5, "a list");
    expect(watched.requests()).toEqual([
      "LIST",
      "WATCH",
      "WATCH",
      "LIST",
      "WATCH",
    ]);
  });

  test("401, is refused until the kubeconfig has a new token", async () => {
    await using watched = await watch();
    const { server, informer, kubeconfig } = watched;
    await until(() => isWatching(watched), "the watch");
    server.tokens.clear();
    server.tokens.set("new-token", "genie");
    server.endWatches("destroy");
    await until(() => informer.state() === "refused", "the refusal");
    expect(watched.log[0]).toBe(
      'warn failed to watch network-attachment-definitions {"error":"connection closed"}',
    );
    writeFileSync(
      kubeconfig,
      readFileSync(kubeconfig, "utf8").replace("test-token", "new-token"),
    );
    await until(() => informer.state() === "current", "the watch");
    expect(watched.log.join()).not.toContain("token");
  });

  test.each([
    [403, "refused"],
    [404, "refused"],
    [429, "away"],
    [500, "away"],
    [503, "away"],
  ] as const)(
    "status %p, the state is %p, then it is current",
    async (status, state) => {
      await using watched = await watch({
        prepare: (server) =>
          server.inject({ ...statusFault(status), times: 3 }),
      });
      await until(() => watched.informer.state() === state, "the state");
      await watched.informer.listed;
      expect(watched.informer.state()).toBe("current");
      expect(watched.log[0]).toStartWith(
        "warn failed to watch network-attachment-definitions",
      );
      expect(watched.log[1]).toStartWith(
        "info watching network-attachment-definitions again",
      );
    },
  );

  test("a server that goes, is away and keeps the objects", async () => {
    await using watched = await watch();
    const { server, informer } = watched;
    await until(() => isWatching(watched), "the watch");
    await server.stop();
    await until(() => informer.state() === "away", "the state");
    expect(informer.list()).toHaveLength(1);
  });

  test.each([
    ["LIST", { list: 50 }],
    ["WATCH", { connect: 50 }],
  ] as const)(
    "a %s without a response, is away and tried again",
    async (verb, limits) => {
      const isThis = (path: string) =>
        path.includes("watch=true") === (verb === "WATCH");
      await using watched = await watch({
        limits,
        prepare: (server) =>
          server.inject({ kind: "stall", match: ({ path }) => isThis(path) }),
      });
      await until(() => watched.informer.state() === "away", "the state");
      await until(() => isWatching(watched), "the watch");
      expect(watched.informer.list()).toHaveLength(1);
    },
  );

  test("a silent watch, is resumed at once after a sign of life; a bookmark is one", async () => {
    await using watched = await watch({ limits: { silence: 1000 } });
    const { server, changes } = watched;
    await until(() => isWatching(watched), "the watch");
    const began = performance.now();
    while (performance.now() - began < 1500) {
      server.bookmark();
      await Bun.sleep(20);
    }
    expect(watched.requests()).toEqual(["LIST", "WATCH"]);
    // The silent connection is dead: what changes is told after it.
    server.definitions.listeners.clear();
    server.definitions.put(definition("meanwhile"));
    await until(() => changes.includes("put meanwhile"), "the change");
    expect(watched.requests()).toEqual(["LIST", "WATCH", "LIST", "WATCH"]);
    expect(server.requests.at(-2)?.path).toEndWith("?limit=1");
    expect(watched.informer.state()).toBe("current");
    expect(watched.log).toEqual([]);
  });

  test("a silent watch of a server that is away, is away", async () => {
    await using watched = await watch({ limits: { silence: 100 } });
    const { server, informer } = watched;
    await until(() => isWatching(watched), "the watch");
    server.inject({ kind: "close", times: 1000 });
    await until(() => informer.state() === "away", "the state");
    expect(informer.list()).toHaveLength(1);
  });

  test("after an absence that is too long, lists again in place of resuming", async () => {
    await using watched = await watch({ limits: { current: 50 } });
    const { server } = watched;
    await until(() => isWatching(watched), "the watch");
    await Bun.sleep(60);
    server.endWatches("destroy");
    await until(() => watched.requests().length >= 4, "the watch");
    expect(watched.requests().slice(0, 4)).toEqual([
      "LIST",
      "WATCH",
      "LIST",
      "WATCH",
    ]);
  });

  test.each([
    "no JSON",
    '{"type":"ADDED"}',
    '{"type":"ERROR","object":{"code":500}}',
  ])(
    "an event that cannot be read (%s), the watch begins again",
    async (line) => {
      await using watched = await watch({
        prepare: (server) =>
          server.inject({
            kind: "answer",
            body: `${line}\n`,
            match: ({ path }) => path.includes("watch=true"),
          }),
      });
      await until(() => isWatching(watched), "the watch");
      expect(watched.log.length).toBeGreaterThan(0);
    },
  );
});

describe("kinds", () => {
  test("podKind, of this node only, with the keys that parts read", async () => {
    expect(podKind("node1").fieldSelector).toBe("spec.nodeName=node1");
    expect(
      podKind("node1").keep({
        apiVersion: "v1",
        metadata: {
          name: "web",
          namespace: "shop",
          uid: "u",
          resourceVersion: "7",
          managedFields: [{}],
          labels: { a: "b" },
          annotations: {
            cni: "a",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
          },
        },
        spec: { hostNetwork: true, containers: [{}] },
        status: { phase: "Running", conditions: [{}], podIPs: [{}] },
      }),
    ).toEqual({
      metadata: {
        name: "web",
        namespace: "shop",
        uid: "u",
        resourceVersion: "7",
        annotations: { cni: "a" },
      },
      spec: { hostNetwork: true },
      status: { phase: "Running", conditions: [{}] },
    });
  });

  test.each([
    {},
    { metadata: null },
    { metadata: { name: 7, namespace: "shop" } },
    { metadata: { name: "a" } },
    { metadata: { name: "a/../../b", namespace: "shop" } },
    { metadata: { name: "a", namespace: ".." } },
    { metadata: { name: "a\0b", namespace: "shop" } },
  ])("keep, %j is no object", (object) => {
    expect(definitionKind.keep(object)).toBeUndefined();
  });
});
