/**
 * The other way to install: the manifest's DaemonSet, from the archive of `make image`.
 * It leaves genie installed by hand.
 */
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { version } from "../../../package.json";
import { expectAddresses, expectEqual, expectMatch } from "../expect.ts";
import {
  account,
  applyManifest,
  install,
  installed,
  untilRuntimeReads,
} from "../genie.ts";
import type { Kubectl } from "../kubectl.ts";
import { nodeName } from "../kubelet.ts";
import { binDir, confDir, prefixes } from "../networks.ts";
import { type Cluster, expectRequests } from "../node.ts";
import { addresses, createPods, deletePods, networks } from "../pod.ts";
import type { Report } from "../report.ts";
import { run } from "../../../scripts/run.ts";
import { until } from "../until.ts";
import { type Files, nodeFiles } from "./files.ts";

const archive = resolve(import.meta.dir, "../../../dist/genie-image.tar");
const image = `--image=localhost/genie:${version}`;
const set = ["daemonset/genie", "-n", "kube-system"] as const;
const networkFiles = ["10-flannel.conflist", "20-canal.conflist"];
const config = join(confDir, "00-genie.conflist");

/** `before`: the node's files without genie. */
export async function checkDaemonSet(
  cluster: Cluster,
  before: Files,
  report: Report,
): Promise<void> {
  const { kubectl } = cluster;
  report.heading("DaemonSet");
  await report.check(
    "`make image`, `ctr images import`, `genie manifest | kubectl apply`: on a fresh node the pod waits for the first network",
    () => expectWaiting(cluster),
  );
  await report.check(
    "with a network, it installs onto the node and uses the kubelet's credential",
    async () => {
      for (const file of networkFiles)
        renameSync(join(confDir, `${file}.aside`), join(confDir, file));
      const said = await apply(cluster);
      await expectServed(cluster, "by-node", `system:node:${nodeName}`);
      return `${said}${await installed("doctor")}`;
    },
  );
  await report.check(
    "`--service-account --set`: the account's token serves pods, the ConfigMap sets a key",
    async () => {
      const options = ["--service-account", '--set=log_level="info"'];
      const said = await apply(cluster, ...options);
      await expectServed(cluster, "by-account", account);
      expectMatch(config, await Bun.file(config).text(), /"log_level": "info"/);
      return said;
    },
  );
  await report.check(
    "`--gc`: the agent executes the node's genie outside of its container, which deletes what an earlier boot left",
    async () => {
      const left = leftRecord();
      await apply(cluster, "--gc", "--attach", "--metrics=9464");
      await until("the record to go", 30, () => !existsSync(left));
      return kubectl.run("logs", ...set);
    },
  );
  await report.check(
    "`--metrics`: the port has a name, and the kubelet asks /readyz",
    () => expectMetrics(kubectl),
  );
  await report.check(
    "`--attach`: the agent in its container works on the node's networks",
    () => expectAttached(kubectl),
  );
  await report.check("it puts back a configuration that went", async () => {
    rmSync(config);
    await untilRuntimeReads(cluster, () =>
      until("the file", 30, () => Bun.file(config).exists()),
    );
  });
  await report.check(
    "`genie manifest --uninstall | kubectl replace` waits for a pod that needs genie, then removes genie",
    async () => {
      const said = await uninstall(cluster);
      expectEqual("files", nodeFiles(), before);
      return said;
    },
  );
  await kubectl.run("delete", ...set, "--wait", "--cascade=foreground");
  await install(cluster);
}

/** The log of its pod once it is ready. */
async function apply(cluster: Cluster, ...options: string[]): Promise<string> {
  const { kubectl } = cluster;
  await untilRuntimeReads(cluster, async () => {
    await applyManifest(cluster, [image, ...options], []);
    await kubectl.run("rollout", "status", ...set, "--timeout=60s");
  });
  return kubectl.run("logs", ...set);
}

/** A pod whose genie asks as `user`. */
async function expectServed(
  { kubectl, auditLog }: Cluster,
  pod: string,
  user: string,
): Promise<void> {
  await createPods(kubectl, { [pod]: { [networks]: "extra" } });
  const seen = await addresses(kubectl, pod);
  expectAddresses(seen, { eth0: prefixes.flannel, net1: prefixes.extra });
  await expectRequests([`patch pods/status ${user} 200`], auditLog, pod);
  await deletePods(kubectl, pod);
}

/** On a node without genie and without networks. */
async function expectWaiting(cluster: Cluster): Promise<string> {
  const { kubectl, runtime } = cluster;
  rmSync(config);
  rmSync(join(confDir, "genie.d"), { recursive: true });
  rmSync(join(binDir, "genie"));
  // The copy would name the default network.
  rmSync("/var/lib/cni/genie/00-genie.conflist");
  for (const file of networkFiles)
    renameSync(join(confDir, file), join(confDir, `${file}.aside`));
  await runtime.importArchive(archive);
  await applyManifest(cluster, [image], []);
  return untilLogged(kubectl, /waiting: no (?:default )?network/);
}

function untilLogged(kubectl: Kubectl, pattern: RegExp): Promise<string> {
  return until(`${pattern} in its log`, 60, async () => {
    const text = await kubectl.run("logs", ...set);
    return pattern.test(text) && text;
  });
}

async function expectMetrics(kubectl: Kubectl): Promise<string> {
  const { items } = await kubectl.get<{ items: AgentPod[] }>(
    ..."pods -n kube-system -l app.kubernetes.io/name=genie".split(" "),
  );
  const [container] = items[0]?.spec.containers ?? [];
  expectEqual("ports", container?.ports, [
    { name: "metrics", containerPort: 9464, hostPort: 9464, protocol: "TCP" },
  ]);
  const { httpGet } = container?.readinessProbe ?? {};
  const said = await run(["curl", "-fsS", "http://127.0.0.1:9464/readyz"]);
  expectEqual("/readyz", said, "ok\n");
  return JSON.stringify(httpGet);
}

async function expectAttached(kubectl: Kubectl): Promise<string> {
  await createPods(kubectl, { running: {} });
  await kubectl.run("annotate", "pod", "running", `${networks}=extra`);
  await until("the interface", 20, async () => {
    const seen = await addresses(kubectl, "running");
    expectAddresses(seen, { eth0: prefixes.flannel, net1: prefixes.extra });
    return true;
  });
  await deletePods(kubectl, "running");
  return kubectl.run("logs", ...set, "--tail=3");
}

/** It waits for a pod in two networks, which is deleted then; why it waits. */
async function uninstall({ kubectl, genie }: Cluster): Promise<string> {
  await createPods(kubectl, { double: { cni: "flannel,canal" } });
  // As of Helm: `kubectl apply` would merge the two objects.
  const applied = "kubectl.kubernetes.io/last-applied-configuration";
  await kubectl.run("annotate", ...set, `${applied}-`);
  await kubectl.replace(await run([genie, "manifest", image, "--uninstall"]));
  const said = await untilLogged(kubectl, /default\/double/);
  expectEqual("still there", await Bun.file(config).exists(), true);
  await deletePods(kubectl, "double");
  await kubectl.run("rollout", "status", ...set, "--timeout=60s");
  return said;
}

interface AgentPod {
  spec: {
    containers: { ports?: object[]; readinessProbe: { httpGet?: object } }[];
  };
}

/** The record of a pod without attachments, from before the machine was started; its path. */
function leftRecord(): string {
  const containerId = "left-by-an-earlier-boot";
  const path = `/var/lib/cni/genie/attachments/${containerId}:eth0.json`;
  const record = {
    formatVersion: 1,
    containerId,
    ifname: "eth0",
    netns: "/run/netns/gone",
    network: "genie",
    time: new Date().toISOString(),
    bootId: crypto.randomUUID(),
    uptimeMs: 1,
    path: [binDir],
    attachments: [],
  };
  writeFileSync(path, JSON.stringify(record), { mode: 0o600 });
  return path;
}
