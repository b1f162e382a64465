/**
 * `genie agent --attach` by the compiled executable, with real plugins: the networks of a
 * running pod follow its annotations (agent.md "Hot attach and detach").
 */
import type { V1Pod } from "@kubernetes/client-node";
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Agent } from "../../lib/agent/part.ts";
import { createReconcile } from "../../lib/agent/pods/reconcile.ts";
import type { Context } from "../../lib/attach/context.ts";
import { Records } from "../../lib/state/records.ts";
import { RunningAgent } from "../support/agent.ts";
import { genieBinary } from "../support/build.ts";
import { removeCerts } from "../support/certs.ts";
import {
  Cluster,
  defaultKey,
  lan,
  networksKey,
  staticLan,
} from "../support/cluster.ts";
import { contextOf } from "../support/context.ts";
import { patienceMs, temporaryDirectory, until } from "../support/delegate.ts";
import { changed, configure, recorded } from "../support/hot-cluster.ts";
import { type Pod, nothing } from "../support/node.ts";
import { attachmentOf, recordOf, resultsOf } from "../support/records.ts";

afterAll(removeCerts);
setDefaultTimeout(60_000);

class HotCluster implements AsyncDisposable {
  readonly cluster: Cluster;
  agent: RunningAgent;

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.agent = this.newAgent();
  }

  static async start(): Promise<HotCluster> {
    const cluster = await Cluster.start();
    configure(cluster);
    symlinkSync(genieBinary(), join(cluster.node.binDir, "genie"));
    cluster.define("lan", lan(cluster.node));
    cluster.define("fixed", staticLan());
    cluster.define("wan", wan(cluster));
    return new HotCluster(cluster);
  }

  newAgent(): RunningAgent {
    return (this.agent = new RunningAgent(this.cluster.node, "--attach"));
  }

  /** A pod of this node, attached by its ADD. */
  async pod(annotations: Record<string, string> = {}): Promise<Pod> {
    const pod = await this.cluster.pod(annotations);
    this.put(pod, annotations);
    await this.cluster.add(pod);
    return pod;
  }

  put(
    { name, namespace, uid }: Pod,
    annotations: Record<string, string>,
    more: { spec?: object; status?: object; metadata?: object } = {},
  ): void {
    const { api } = this.cluster;
    const before = api.pods.get(namespace, name);
    const kept = Object.fromEntries(
      Object.entries(before?.metadata.annotations ?? {}).filter(
        ([key]) => key.endsWith("network-status") || key.startsWith("multi-ip"),
      ),
    );
    api.pods.put({
      metadata: {
        name,
        namespace,
        uid,
        annotations: { ...kept, ...annotations },
        ...more.metadata,
      },
      spec: { nodeName: "node1", ...more.spec },
      status: { phase: "Running", ...more.status },
    });
  }

  /** Waits until network-status has exactly these interfaces. */
  async has(pod: Pod, ...ifnames: string[]): Promise<void> {
    await eventually(() => {
      const { status = [] } = this.cluster.written() as {
        status?: { interface: string }[];
      };
      expect(status.map((one) => one.interface)).toEqual(ifnames);
    });
    const links = await pod.netns.links();
    expect(links.map(({ name }) => name)).toEqual(ifnames.toSorted());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}

function wan({ node }: Cluster): object {
  return lan(node, { name: "wan", ipam: node.ipam("10.32.0.0/24") });
}

async function eventually(check: () => void | Promise<void>): Promise<void> {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await Bun.sleep(20);
    }
  }
}

const element = (more: object) => JSON.stringify([{ name: "fixed", ...more }]);

describe("genie agent --attach", () => {
  test("annotations that change all the time: looked at 64 times, and the other pods at once", async () => {
    await using hot = await HotCluster.start();
    const { cluster, agent } = hot;
    const pod = await hot.pod();
    const other = await cluster.node.pod("other");
    hot.put(other, {});
    await cluster.add(other);
    await until(() => cluster.api.watches > 1, "its watches");
    const told = (name: string) =>
      agent.log.filter(
        (line) =>
          line["reason"] === "InvalidNetworks" &&
          line["pod"] === `shop/${name}`,
      ).length;
    for (let i = 0; i < 90; i++) {
      hot.put(pod, { [networksKey]: `not a name ${i}` });
      const before = told(pod.name);
      // One look for each edit, as long as it is looked at.
      for (let ms = 0; ms < 20 && told(pod.name) === before; ms++)
        await Bun.sleep(1);
    }
    hot.put(other, { [networksKey]: "not a name" });
    await until(() => told("other") === 1, "the other pod");
    expect(told(pod.name)).toBeLessThan(70);
  });

  test("networks are named, changed, and named no longer", async () => {
    await using hot = await HotCluster.start();
    const { cluster } = hot;
    const pod = await hot.pod();
    hot.put(pod, { [networksKey]: "lan", cni: "canal,weave" });
    await hot.has(pod, "eth0", "eth1", "net1");
    await cluster.check(pod);
    // Other requests: the same interface, another address.
    hot.put(pod, { [networksKey]: element({ ips: ["10.31.0.8/24"] }) });
    await hot.has(pod, "eth0", "net2");
    hot.put(pod, { [networksKey]: element({ ips: ["10.31.0.9/24"] }) });
    await eventually(() => {
      expect(cluster.written().status).toMatchObject([
        {},
        { interface: "net2", ips: ["10.31.0.9"] },
      ]);
    });
    hot.put(pod, {});
    await hot.has(pod, "eth0");
    expect(cluster.node.addresses()).toEqual(["10.66.0.2"]);
    await cluster.del(pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });

  test("a primary that is the default network, under another name", async () => {
    await using hot = await HotCluster.start();
    const pod = await hot.pod({ cni: "canal" });
    hot.put(pod, { cni: "default,weave" });
    await hot.has(pod, "eth0", "eth1");
    hot.put(pod, { cni: "weave-net,canal-net", [networksKey]: "lan" });
    await hot.has(pod, "eth0", "eth1", "net1");
    const told = hot.agent.log.filter(({ reason }) => reason !== undefined);
    expect(told).toEqual([]);
  });

  test("a definition is the primary, and is named beside it too", async () => {
    await using hot = await HotCluster.start();
    const networks = { [defaultKey]: "shop/lan", [networksKey]: "lan" };
    const pod = await hot.pod(networks);
    hot.put(pod, { ...networks, [networksKey]: "lan,wan" });
    await hot.has(pod, "eth0", "net1", "net2");
  });

  test("KubeVirt: an interface of a virtual machine is plugged and unplugged", async () => {
    await using hot = await HotCluster.start();
    const one = { name: "wan", namespace: "shop", interface: "pod0a" };
    const pod = await hot.pod({ [networksKey]: JSON.stringify([one]) });
    const two = { name: "lan", namespace: "shop", interface: "pod16477688c0e" };
    hot.put(pod, { [networksKey]: JSON.stringify([one, two]) });
    await hot.has(pod, "eth0", "pod0a", "pod16477688c0e");
    hot.put(pod, { [networksKey]: JSON.stringify([one]) });
    await hot.has(pod, "eth0", "pod0a");
  });

  test("an interface that the pod made itself stays, and the network gets another name", async () => {
    await using hot = await HotCluster.start();
    const pod = await hot.pod();
    await pod.netns.ip("link add eth1 type bridge");
    const interfaces = () =>
      recorded(hot.cluster, pod).map(({ ifname }) => ifname);
    hot.put(pod, { cni: "canal,weave" });
    await eventually(() => {
      expect(interfaces()).toEqual(["eth0", "eth2"]);
    });
    hot.put(pod, {});
    await eventually(() => {
      expect(interfaces()).toEqual(["eth0"]);
    });
    const links = await pod.netns.links();
    expect(links.map(({ name }) => name)).toEqual(["eth0", "eth1"]);
  });

  test("a definition is gone: what is attached stays, with one event; then it is detached by the record", async () => {
    await using hot = await HotCluster.start();
    const pod = await hot.pod({ [networksKey]: "lan" });
    hot.cluster.api.definitions.delete("shop", "lan");
    hot.put(pod, { [networksKey]: "lan,wan" });
    await hot.has(pod, "eth0", "net1", "net2");
    const { msg } = await said(hot.agent, "NetworkNotFound");
    expect(msg).toContain("network shop/lan of net1");
    // Other requests of it: it would be lost.
    const other = { name: "lan", mac: "02:00:00:00:00:01" };
    hot.put(pod, { [networksKey]: JSON.stringify([other]) });
    await hot.has(pod, "eth0", "net1");
    hot.put(pod, { [networksKey]: "wan" });
    await hot.has(pod, "eth0", "net2");
  });

  test("one fails: the others go on, and it comes when it can", async () => {
    await using hot = await HotCluster.start();
    const pod = await hot.pod();
    hot.put(pod, { [networksKey]: "late,lan" });
    await hot.has(pod, "eth0", "net2");
    const { error } = await hot.agent.said("failed to attach a network");
    expect(error).toContain("shop/late");
    // A name of any length: the log does not repeat all of it with each try.
    hot.put(pod, {
      [networksKey]: "late,lan",
      cni: `canal,${"x".repeat(5000)}`,
    });
    await eventually(() => {
      const networks = hot.agent.log.map((line) => line["network"]);
      expect(networks).toContain(`${"x".repeat(128)}…`);
    });
    // A retry that is due does nothing to a pod that ends, and does not spin.
    hot.put(
      pod,
      { [networksKey]: "late,lan" },
      { status: { phase: "Failed" } },
    );
    const before = cpuSeconds(hot.agent.pid);
    await Bun.sleep(1200);
    expect(cpuSeconds(hot.agent.pid) - before).toBeLessThan(0.3);
    hot.put(pod, { [networksKey]: "late,lan" });
    hot.cluster.define("late", wan(hot.cluster));
    await hot.has(pod, "eth0", "net2", "net1");
  });

  test("what is not touched: by hand, the primary, an annotation that is invalid", async () => {
    await using hot = await HotCluster.start();
    const { cluster } = hot;
    const pod = await hot.pod({ cni: "canal" });
    await changed(cluster, "attach", "shop/web", "shop/lan@byhand");
    hot.put(pod, { cni: "weave,,canal" });
    await said(hot.agent, "InvalidNetworks");
    hot.put(pod, { cni: "weave" });
    await hot.has(pod, "eth0", "byhand", "eth1");
    const { msg } = await said(hot.agent, "PrimaryNetworkUnchanged");
    expect(msg).toContain("a running pod keeps canal");
    // The same mistake again, after it was mended.
    hot.put(pod, { cni: "weave,,canal" });
    const reasons = () =>
      hot.agent.log.map(({ reason }) => reason).filter(Boolean);
    await until(() => reasons().length === 3, "the second InvalidNetworks");
    hot.put(pod, { cni: "weave,,canal", other: "changed" });
    // An ADD would refuse it: the default network has eth0.
    hot.put(pod, { [networksKey]: "shop/lan@eth0,shop/lan" });
    await until(() => reasons().length === 4, "the third InvalidNetworks");
    expect(recorded(cluster, pod)).toHaveLength(3);
    expect(reasons()).toEqual([
      "InvalidNetworks",
      "PrimaryNetworkUnchanged",
      "InvalidNetworks",
      "InvalidNetworks",
    ]);
  });

  test("several pods were edited without an agent: it changes all of them when it starts", async () => {
    await using hot = await HotCluster.start();
    const { cluster } = hot;
    const pods = [await hot.pod()];
    for (const name of ["db", "cache"]) {
      const pod = await cluster.node.pod(name);
      hot.put(pod, {});
      await cluster.add(pod);
      pods.push(pod);
    }
    await hot.agent.end("SIGKILL");
    for (const pod of pods) hot.put(pod, { cni: "canal,weave" });
    utimesSync(join(cluster.node.dataDir, "attachments"), 1, 1);
    hot.newAgent();
    const began = performance.now();
    const attached = () =>
      hot.agent.log.filter(({ msg }) => msg === "attached");
    await until(() => attached().length === pods.length, "the networks");
    // Not at the next look at all pods, which is 30 s later.
    expect(performance.now() - began).toBeLessThan(25_000);
  });

  test("killed at any moment, the next one goes on", async () => {
    await using hot = await HotCluster.start();
    const pod = await hot.pod();
    for (const [i, networks] of ["lan", "lan,wan", "wan", ""].entries()) {
      hot.put(pod, { [networksKey]: networks });
      await Bun.sleep(40 * i);
      await hot.agent.end("SIGKILL");
      hot.newAgent();
    }
    await eventually(async () => {
      expect(await pod.netns.links()).toHaveLength(1);
      expect(recorded(hot.cluster, pod)).toHaveLength(1);
      const { status = [{ interface: "eth0" }] } = hot.cluster.written();
      expect(status).toMatchObject([{ interface: "eth0" }]);
    });
    await hot.cluster.del(pod);
    expect(await hot.cluster.node.remains()).toEqual(nothing);
    expect(await hot.agent.end("SIGTERM")).toBe(0);
  });
});

/** The part alone, with the record of one pod: canal on eth0, weave on eth1. */
function startPart(pod: V1Pod) {
  const directory = temporaryDirectory();
  const dataDir = join(directory.path, "data");
  const confDir = join(directory.path, "net.d");
  const networkFile = (name: string) => join(confDir, `${name}.conf`);
  mkdirSync(confDir);
  for (const name of ["canal", "weave"])
    writeFileSync(networkFile(name), JSON.stringify({ name, type: "ptp" }));
  const contextWith = (keys: Record<string, unknown>) =>
    contextOf({
      command: "STATUS",
      config: { name: "genie", type: "genie", confDir, dataDir, ...keys },
    });
  const attached = (network: string, ifname: string) =>
    attachmentOf(network, ifname, { element: { network } });
  const record = recordOf("c1", {
    pod: metadata,
    attachments: [attached("canal", "eth0"), attached("weave", "eth1")],
  });
  const result = { cniVersion: "1.0.0" } as const;
  const records = new Records(dataDir);
  records.write(record).close();
  records.writeResults(record, resultsOf(record, [result, result]));
  const controller = new AbortController();
  const part = {
    pod,
    /** The reasons of events. */
    told: [] as string[],
    /** What genie was asked for. */
    changes: [] as string[],
    changed: () => {},
    configure: (keys: Record<string, unknown>) =>
      void (agent.context = contextWith(keys)),
    removeNetwork: (name: string) => rmSync(networkFile(name)),
    /** Its first comparison, and the changes that follow from it. */
    compared: () => until(() => looks > 1, "the first comparison"),
    async [Symbol.asyncDispose]() {
      controller.abort();
      await running;
      directory[Symbol.dispose]();
    },
  };
  let looks = 0;
  const agent = {
    context: contextWith({ default_plugin: "canal" }),
    pods: () => ({
      list: () => (looks++, [part.pod]),
      get: () => part.pod,
      subscribe: () => () => {},
    }),
    log: () => {},
    event: (_subject: unknown, _type: string, reason: string) =>
      void part.told.push(reason),
    genie(_words: unknown, { stdin }: { stdin: string }) {
      const { verb, network } = JSON.parse(stdin) as Record<string, string>;
      part.changes.push(`${verb} ${network}`);
      part.changed();
      const stdout = JSON.stringify({ outcome: "attached" });
      return Promise.resolve({ code: 0, stdout, stderr: "" });
    },
  } as unknown as Agent & { context: Context };
  const running = createReconcile(10).run(agent, controller.signal);
  return part;
}

const metadata = { namespace: "shop", name: "web", uid: "u" };
const podWith = (cni: string) => ({
  metadata: { ...metadata, annotations: { cni } },
});

describe("createReconcile", () => {
  test("a network of the node goes: its attachment is told of", async () => {
    await using part = startPart(podWith("canal,weave"));
    await part.compared();
    expect(part.told).toEqual([]);
    part.removeNetwork("weave");
    await until(() => part.told.length > 0, "the event");
    expect(part.told).toEqual(["NetworkNotFound"]);
  });

  test("the configuration names another default network: the primary's is told of", async () => {
    await using part = startPart(podWith("default,weave"));
    await part.compared();
    expect(part.told).toEqual([]);
    part.configure({ default_plugin: "weave" });
    await until(() => part.told.length > 0, "the event");
    expect(part.told).toEqual(["PrimaryNetworkUnchanged"]);
  });

  const two = podWith("canal,weave,a,b");
  const other = (more: object) => ({
    metadata: { ...two.metadata, ...more },
  });
  const spec = { hostNetwork: true, containers: [] };
  const unlike: [string, V1Pod][] = [
    ["is being deleted", other({ deletionTimestamp: new Date(0) })],
    ["is made anew", other({ uid: "another" })],
    ["has ended", { ...two, status: { phase: "Succeeded" } }],
    ["has failed", { ...two, status: { phase: "Failed" } }],
    ["is on the host's network", { ...two, spec }],
  ];

  test("a pod runs: attached", async () => {
    await using part = startPart(two);
    await part.compared();
    expect(part.changes).toEqual(["attach a", "attach b"]);
  });

  test.each(unlike)("a pod %s: left alone", async (_, pod) => {
    await using part = startPart(pod);
    await part.compared();
    expect(part.changes).toEqual([]);
  });

  test.each([
    ...unlike,
    ["has other annotations", podWith("canal,weave,a")] as const,
  ])(
    "a pod %s after the first of two changes: no second one",
    async (_, pod) => {
      await using part = startPart(two);
      part.changed = () => (part.pod = pod);
      await part.compared();
      expect(part.changes).toEqual(["attach a"]);
    },
  );
});

/** The CPU time of a process, of user and system, from proc_pid_stat(5). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ");
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

async function said(agent: RunningAgent, reason: string) {
  const find = () => agent.log.find((line) => line["reason"] === reason);
  await eventually(() => expect(find()).toBeDefined());
  return find() ?? { msg: "" };
}
