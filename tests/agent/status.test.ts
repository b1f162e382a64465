/**
 * `--status`, both sides, by the compiled executable, and statuses that ADD could not
 * write (agent.md, issue 14 numbers 5 and 6).
 */
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  watch,
} from "node:fs";
import { join } from "node:path";
import { RunningAgent } from "../support/agent.ts";
import { statusFault } from "../support/api-faults.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { until } from "../support/delegate.ts";
import { type Node, type Pod, nothing } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

const statusKey = "k8s.v1.cni.cncf.io/network-status";

interface Setup extends AsyncDisposable {
  api: ApiServer;
  node: Node;
  agent(...words: string[]): RunningAgent;
  /** A pod, at the API server too. */
  pod(name?: string): Promise<Pod>;
  add(pod: Pod): Promise<void>;
  /** Requests of the plugin so far: `PATCH /api/…`. */
  asked(): string[];
  /** The addresses in the pod's network-status. */
  addresses(name?: string): string[] | undefined;
  /** While true, the API server is away for everybody. */
  isDown: boolean;
}

const annotations = { [statusKey.replace("-status", "s")]: "extra" };

async function start(): Promise<Setup> {
  const api = await startApiServer({
    tokens: { "test-token": "plugin", "agent-token": "agent" },
  });
  const node = await startScriptedNode();
  const config = JSON.stringify({ cniVersion: "1.0.0", type: "beta" });
  const metadata = { name: "extra", namespace: "shop" };
  api.definitions.put({ metadata, spec: { config } });
  const kubeconfig = join(node.directory, "kubeconfig");
  const agentKubeconfig = join(node.directory, "agent-kubeconfig");
  copyFileSync(api.kubeconfig(), kubeconfig);
  const user = { token: "agent-token" };
  copyFileSync(api.kubeconfig({ user }), agentKubeconfig);
  const setup: Setup = {
    api,
    node,
    isDown: false,
    agent: (...words) =>
      new RunningAgent(node, `--kubeconfig=${agentKubeconfig}`, ...words),
    async pod(name = "web") {
      const pod = await node.pod(name);
      const { namespace, uid } = pod;
      api.pods.put({
        metadata: { namespace, name, uid, annotations },
        spec: { nodeName: "node1" },
      });
      return pod;
    },
    async add(pod) {
      await node.succeed("ADD", pod, {
        annotations,
        config: { kubernetes: { kubeconfig } },
      });
    },
    asked: () =>
      api.requests
        .filter(({ user: name }) => name === "plugin")
        .map(({ method, path }) => `${method} ${path}`),
    addresses(name = "web") {
      const text = api.pods.get("shop", name)?.metadata.annotations?.[
        statusKey
      ];
      if (text === undefined) return undefined;
      const statuses = JSON.parse(text) as { ips: string[] }[];
      return statuses.flatMap(({ ips }) => ips);
    },
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await api.stop();
    },
  };
  api.inject({
    ...statusFault(503),
    times: Infinity,
    match: () => setup.isDown,
  });
  return setup;
}

const isSynced = ({ node }: Setup) =>
  existsSync(join(node.dataDir, "status.synced")) &&
  existsSync(join(node.dataDir, "definitions/.synced"));

/** The files beside a record. */
const beside = ({ node }: Setup, pod: Pod) =>
  readdirSync(join(node.dataDir, "attachments"))
    .filter((name) => name.startsWith(pod.containerId))
    .map((name) => name.slice(pod.containerId.length))
    .toSorted();

const both = ["10.1.0.2", "10.2.0.2"];

const patchFailure = (status: number) => ({
  ...statusFault(status),
  match: ({ method }: { method: string }) => method === "PATCH",
});

describe("--status", () => {
  test("ADD, with --cache too, asks the API server nothing, and the agent writes", async () => {
    await using setup = await start();
    const { node } = setup;
    await using agent = setup.agent("--status");
    await until(() => isSynced(setup), "both files");
    const pod = await setup.pod();
    await setup.add(pod);
    expect(setup.asked()).toEqual([]);
    await until(() => setup.addresses() !== undefined, "the status");
    expect(setup.addresses()).toEqual(both);
    const files = [":eth0.json", ":eth0.result.json", ":eth0.status"];
    await until(() => beside(setup, pod).length === 3, "the note");
    expect(beside(setup, pod)).toEqual(files);
    await agent.said("wrote the pod's network status");
    await node.succeed("DEL", pod);
    expect(await node.remains()).toEqual(nothing);
    expect(beside(setup, pod)).toEqual([]);
  });

  test("ADD, the API server away, starts the pod; the status comes when it is back", async () => {
    await using setup = await start();
    await using agent = setup.agent("--status");
    await until(() => isSynced(setup), "both files");
    const pods = [await setup.pod("web"), await setup.pod("db")];
    setup.isDown = true;
    setup.api.endWatches("destroy");
    for (const pod of pods) await setup.add(pod);
    expect(setup.asked()).toEqual([]);
    await agent.said("failed to write the pod's network status");
    setup.isDown = false;
    for (const name of ["web", "db"])
      await until(() => setup.addresses(name) !== undefined, "the status");
    expect(setup.addresses("db")).toEqual(both);
  });

  test("ended, ADD writes the status itself at once", async () => {
    await using setup = await start();
    await using agent = setup.agent("--status", "--no-cache");
    const synced = join(setup.node.dataDir, "status.synced");
    await until(() => existsSync(synced), "status.synced");
    await agent.end();
    expect(existsSync(synced)).toBe(false);
    const pod = await setup.pod();
    await setup.add(pod);
    expect(setup.asked().at(-1)).toStartWith("PATCH");
    expect(setup.addresses()).toEqual(both);
  });

  test("killed, what is due is written at the next start", async () => {
    await using setup = await start();
    await using agent = setup.agent("--status", "--no-cache");
    const synced = join(setup.node.dataDir, "status.synced");
    await until(() => existsSync(synced), "status.synced");
    await agent.end("SIGKILL");
    const pod = await setup.pod();
    const directory = join(setup.node.dataDir, "attachments");
    const written: (string | null)[] = [];
    const watcher = watch(directory, (_, file) => void written.push(file));
    await setup.add(pod);
    expect(setup.addresses()).toBeUndefined();
    // At once with the results: an ADD that is killed leaves both or none.
    const results = `${pod.containerId}:eth0.result.json`;
    await until(() => written.includes(results), "the results");
    watcher.close();
    expect(written.filter((file) => file === results)).toHaveLength(1);
    await using next = setup.agent();
    await next.said("wrote the pod's network status");
    expect(setup.addresses()).toEqual(both);
  });
});

describe("a status that ADD could not write", () => {
  test.each([401, 403])(
    "%p, is written by the agent without --status",
    async (status) => {
      await using setup = await start();
      // A 401 is tried again once, with the credential read anew.
      setup.api.inject({
        ...patchFailure(status),
        times: status === 401 ? 2 : 1,
      });
      const pod = await setup.pod();
      await setup.add(pod);
      expect(setup.addresses()).toBeUndefined();
      await using agent = setup.agent();
      await agent.said("wrote the pod's network status");
      expect(setup.addresses()).toEqual(both);
      const patches = () =>
        setup.api.requests.filter(({ method }) => method === "PATCH").length;
      const before = patches();
      await agent.end();
      await using next = setup.agent();
      await next.said("the agent starts");
      await next.said("definitions in the cache");
      expect(patches()).toBe(before);
    },
  );

  test("422, is not due: it would be refused again", async () => {
    await using setup = await start();
    setup.api.inject(patchFailure(422));
    const pod = await setup.pod();
    await setup.add(pod);
    const path = setup.node.resultPath(pod);
    expect(readFileSync(path, "utf8")).not.toContain('"status"');
  });

  test("422 of the agent's own, is told once, and not as written", async () => {
    await using setup = await start();
    setup.api.inject(patchFailure(403));
    await setup.add(await setup.pod());
    setup.api.inject(patchFailure(422));
    await using agent = setup.agent();
    await agent.said("the API server refuses the network status");
    await agent.end();
    expect(
      agent.log.filter(({ msg }) => msg.includes("network status")),
    ).toHaveLength(1);
  });

  test("the sandbox was made again meanwhile: the newer status stays", async () => {
    await using setup = await start();
    const { node, api } = setup;
    api.inject(patchFailure(403));
    const pod = await setup.pod();
    await setup.add(pod);
    const again = { ...(await node.pod()), uid: pod.uid };
    await setup.add(again);
    const newer = api.pods.get("shop", "web")?.metadata.resourceVersion;
    expect(setup.addresses()).toEqual(both);
    await using agent = setup.agent();
    await agent.said("definitions in the cache");
    await agent.end();
    expect(api.pods.get("shop", "web")?.metadata.resourceVersion).toBe(newer);
    // Nothing was written for the old one.
    expect(beside(setup, pod)).toEqual([":eth0.json", ":eth0.result.json"]);
  });

  test("another pod has the name now: it is left alone", async () => {
    await using setup = await start();
    setup.api.inject(patchFailure(403));
    await setup.add(await setup.pod());
    await setup.pod();
    await using agent = setup.agent();
    expect(
      await agent.said("failed to write the pod's network status"),
    ).toMatchObject({ error: "the pod of that name is another one" });
    expect(setup.addresses()).toBeUndefined();
  });

  test("the pod changes between GET and PATCH: read again", async () => {
    await using setup = await start();
    const { api } = setup;
    api.inject(patchFailure(403));
    await setup.add(await setup.pod());
    api.inject({ ...patchFailure(409), times: 2 });
    await using agent = setup.agent();
    await agent.said("wrote the pod's network status");
    expect(setup.addresses()).toEqual(both);
  });

  test("a response that breaks off, is no success: it is written again", async () => {
    await using setup = await start();
    const { api } = setup;
    api.inject(patchFailure(403));
    await setup.add(await setup.pod());
    api.inject({
      kind: "truncate",
      match: ({ method }: { method: string }) => method === "PATCH",
    });
    await using agent = setup.agent();
    await agent.said("wrote the pod's network status");
    expect(setup.addresses()).toEqual(both);
  });

  test("403 for each PATCH, is told once; later tries are told as debug", async () => {
    await using setup = await start();
    const { api, node } = setup;
    api.inject({ ...patchFailure(403), times: Infinity });
    await setup.add(await setup.pod());
    node.network("00-genie.conflist", {
      cniVersion: "1.0.0",
      name: "genie-net",
      plugins: [{ type: "genie", log_level: "debug" }],
    });
    await using agent = setup.agent("--no-cache");
    const failures = () =>
      agent.log.filter(({ msg }) => msg.startsWith("failed to write"));
    await until(() => failures().length === 2, "the second failure");
    expect(failures().map(({ level, pod }) => [level, pod])).toEqual([
      ["warn", "shop/web"],
      ["debug", "shop/web"],
    ]);
  });

  test("the mirror of a static pod comes later: it is written then", async () => {
    await using setup = await start();
    const { api, node } = setup;
    api.inject(patchFailure(403));
    const pod = await setup.pod();
    await setup.add(pod);
    api.pods.delete("shop", "web");
    await using agent = setup.agent();
    await agent.said("failed to write the pod's network status");
    api.pods.put({
      metadata: {
        namespace: "shop",
        name: "web",
        annotations: { "kubernetes.io/config.hash": pod.uid },
      },
    });
    await agent.said("wrote the pod's network status");
    expect(setup.addresses()).toEqual(both);
    await node.succeed("DEL", pod);
  });
});
