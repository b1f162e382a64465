/**
 * What `genie agent` costs and how soon it acts (`make bench AGENT=1`), with the real API
 * server: memory and CPU time, idle and on a full node, and the time from an edited
 * annotation to the interface. It needs root.
 */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { NoopNode } from "../scripts/noop-node.ts";
import { run } from "../scripts/run.ts";
import { until } from "../tests/cluster/until.ts";
import { Netns } from "../tests/support/netns.ts";
import { readAccess } from "./access.ts";
import { startApi } from "./api.ts";
import { definitionOf, nodeName } from "./cluster.ts";
import { printing } from "./noop.ts";
import { median } from "./stats.ts";

const pods = 110;
const definitions = 1000;
const idleMs = 60_000;
const edits = 20;
const bounds = { memoryMiB: 110, cpuSeconds: 0.3, editMs: 150 };

const core = "/api/v1/namespaces/default/pods";
const group = "k8s.cni.cncf.io/v1";

const genie = resolve(import.meta.dir, "../dist/bench/genie");
await using stack = new AsyncDisposableStack();
const directory = mkdtempSync(join(tmpdir(), "genie-agent-"));
stack.defer(() => rmSync(directory, { recursive: true, force: true }));
const api = stack.use(await startApi(directory, genie));
const access = await readAccess(api.agentKubeconfig);
const netns = stack.use(await Netns.create()).path;
const node = stack.use(new NoopNode(netns, api.pods.plain));
const result = { cniVersion: "1.0.0", ips: [{ address: "10.1.2.3/24" }] };
node.plugin("noop", printing(JSON.stringify(result)));
copyFileSync(genie, join(node.binDir, "genie"));

const agent = stack.use(await startAgent());
await Bun.sleep(5000);
print(
  "memory, 2 pods, 3 definitions",
  agent.memoryMiB(),
  bounds.memoryMiB,
  "MiB",
);
print("CPU per minute, idle", await agent.idleCpu(), bounds.cpuSeconds, "s");
await fillNode();
await until("the cache to have all definitions", 60, () => {
  const files = readdirSync(join(node.dataDir, "definitions"));
  return files.length > definitions;
});
await Bun.sleep(5000);
print(
  `memory, ${pods} pods, ${definitions} definitions`,
  agent.memoryMiB(),
  bounds.memoryMiB,
  "MiB",
);
print("CPU per minute, idle", await agent.idleCpu(), bounds.cpuSeconds, "s");
print(
  "edited annotation to interface, median",
  median(await measureEdits()),
  bounds.editMs,
  "ms",
);

function print(what: string, value: number, bound: number, unit: string): void {
  const met = value <= bound ? "met" : "MISSED";
  const text = value.toFixed(unit === "s" ? 2 : 1);
  console.log(`${what.padEnd(42)} ${text} ${unit}, at most ${bound}: ${met}`);
}

async function startAgent() {
  const child = Bun.spawn({
    cmd: [
      join(node.binDir, "genie"),
      "agent",
      "--no-install",
      "--status",
      "--attach",
      `--node=${nodeName}`,
      `--kubeconfig=${api.agentKubeconfig}`,
      `--conf-dir=${node.confDir}`,
      `--bin-dir=${node.binDir}`,
      `--data-dir=${node.dataDir}`,
    ],
    stdio: ["ignore", Bun.file(join(directory, "agent.log")), "inherit"],
  });
  await until("the agent to be in sync", 30, () =>
    ["definitions/.synced", "status.synced"].every((file) =>
      existsSync(join(node.dataDir, file)),
    ),
  );
  const proc = (file: string) =>
    readFileSync(`/proc/${child.pid}/${file}`, "utf8");
  /** User and system time in seconds, of its children too: proc(5), fields 14 to 17 in ticks of 10 ms. */
  const cpu = () =>
    proc("stat")
      .replace(/^.*\) /, "")
      .split(" ")
      .slice(11, 15)
      .reduce((sum, ticks) => sum + Number(ticks) / 100, 0);
  return {
    memoryMiB: () =>
      Number(/^VmRSS:\s+(\d+)/m.exec(proc("status"))?.[1]) / 1024,
    async idleCpu() {
      const before = cpu();
      await Bun.sleep(idleMs);
      return cpu() - before;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}

/** Throws Error for any status but 2xx. */
async function request(
  method: string,
  path: string,
  object: object,
): Promise<void> {
  const response = await fetch(access.url.origin + path, {
    method,
    headers: {
      authorization: `Bearer ${access.token}`,
      "content-type":
        method === "PATCH"
          ? "application/merge-patch+json"
          : "application/json",
    },
    body: JSON.stringify(object),
    tls: { ca: access.ca },
    proxy: false,
  });
  if (!response.ok)
    throw new Error(
      `${method} ${path}: ${response.status}: ${await response.text()}`,
    );
}

async function fillNode(): Promise<void> {
  const work = [
    ...Array.from(
      { length: pods },
      (_, i) => () =>
        request("POST", core, {
          metadata: { name: `pod-${i}`, annotations: { cni: "noop" } },
          spec: { nodeName, containers: [{ name: "main", image: "none" }] },
        }),
    ),
    ...Array.from(
      { length: definitions },
      (_, i) => () =>
        request(
          "POST",
          `/apis/${group}/namespaces/default/network-attachment-definitions`,
          {
            apiVersion: group,
            kind: "NetworkAttachmentDefinition",
            ...definitionOf(`net-${i}`),
          },
        ),
    ),
  ];
  const worker = async () => {
    for (let next = work.pop(); next; next = work.pop()) await next();
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

/** Milliseconds from the request that edits the annotation to the result of the attachment. */
async function measureEdits(): Promise<number[]> {
  const containerId = "ab".repeat(32);
  const env = node.env("ADD", containerId);
  await run([genie], { env, stdin: node.withAnnotations() });
  const results = join(
    node.dataDir,
    `attachments/${containerId}:eth0.result.json`,
  );
  const has = () => readFileSync(results, "utf8").includes('"ifname":"net1"');
  const edit = async (networks: string | null) => {
    const key = "k8s.v1.cni.cncf.io/networks";
    const began = performance.now();
    await request("PATCH", `${core}/${api.pods.plain.name}`, {
      metadata: { annotations: { [key]: networks } },
    });
    const deadline = began + 30_000;
    while (has() !== (networks !== null)) {
      if (performance.now() > deadline)
        throw new Error(
          `no change: ${await Bun.file(join(directory, "agent.log")).text()}`,
        );
      await Bun.sleep(1);
    }
    return performance.now() - began;
  };
  const times: number[] = [];
  for (let i = 0; i < edits; i++) {
    times.push(await edit("one"));
    await edit(null);
  }
  return times;
}
