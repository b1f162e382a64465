/**
 * Many pods at once: a Deployment, also while its API server is away and while
 * genie is replaced.
 */
import { mkdirSync, renameSync } from "node:fs";
import { join, resolve } from "node:path";
import { compile } from "../../../scripts/compile.ts";
import { readElfHeader } from "../../../lib/linux/elf.ts";
import { targetFor } from "../../../scripts/targets.ts";
import { expectEqual, expectMatch } from "../expect.ts";
import { install, installed } from "../genie.ts";
import type { Kubectl } from "../kubectl.ts";
import { nodeName } from "../kubelet.ts";
import { type Cluster, leftovers } from "../node.ts";
import { podSpec } from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { expectNothing } from "./pods.ts";

const replicas = 20;

export async function checkScale(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, api, directory } = cluster;
  report.heading(`A Deployment of ${replicas}`);
  await report.check(`0 to ${replicas}, each with two networks`, async () => {
    await kubectl.apply([deployment("many")]);
    await scale(cluster, "many", replicas);
    await until("a record and its results for each", 10, async () => {
      const { records } = await leftovers(directory);
      expectEqual("records", records.length, 2 * replicas);
      return true;
    });
    return `${await kubectl.run("get", "deployment", "many")}${await installed("list")}`;
  });

  await report.check(
    `${replicas} to 0 with the API server stopped in the middle`,
    async () => {
      await kubectl.run("scale", "deployment/many", "--replicas=0");
      await until("the kubelet to know of all deletions", 60, async () => {
        const pods = await podsOfKubelet(kubectl, "many");
        return pods.every(({ metadata }) => metadata.deletionTimestamp);
      });
      await until(
        "the first to be gone",
        60,
        async () => (await leftovers(directory)).records.length < 2 * replicas,
      );
      await api.stop("SIGKILL");
      const before = (await leftovers(directory)).records.length / 2;
      // The kubelet goes on with deletions that it knows, without the API server.
      await until(
        "the rest to be gone",
        90,
        async () => (await leftovers(directory)).records.length === 0,
      );
      await api.start();
      await until(
        "no pod to be left",
        90,
        async () => (await podsOf(kubectl, "many")).length === 0,
      );
      await expectNothing(directory);
      return `${Math.ceil(before)} attached when it stopped, none when it came back`;
    },
  );
}

export async function checkUpgrade(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, directory } = cluster;
  report.heading("Upgrade under load");
  const next = await newerGenie(directory);
  await report.check(
    `genie is replaced again and again while ${replicas} pods are made and deleted`,
    async () => {
      await kubectl.apply([deployment("upgraded")]);
      const upgrades = await upgradeDuring(cluster, next, async () => {
        await scale(cluster, "upgraded", replicas);
        await scale(cluster, "upgraded", 0);
      });
      const failed = await kubectl.run(
        "get",
        "events",
        "--field-selector=reason=FailedCreatePodSandBox",
        "-o",
        "custom-columns=POD:.involvedObject.name,MESSAGE:.message",
        "--no-headers",
      );
      const ours = failed
        .split("\n")
        .filter((line) => line.startsWith("upgraded-"));
      expectEqual("failed pods", ours, []);
      await kubectl.run("delete", "deployment", "upgraded");
      await expectNothing(directory);
      return `${upgrades} upgrades, no pod failed`;
    },
  );
  await install(cluster);
}

function deployment(name: string): object {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { cni: "flannel,canal" } },
        spec: podSpec,
      },
    },
  };
}

async function scale(
  { kubectl }: Cluster,
  name: string,
  count: number,
): Promise<void> {
  const object = `deployment/${name}`;
  await kubectl.run("scale", object, `--replicas=${count}`);
  await kubectl.run("rollout", "status", object, "--timeout=120s");
  await until(`${count} pods`, 120, async () => {
    const pods = await podsOf(kubectl, name);
    return pods.length === count;
  });
}

async function podsOf(kubectl: Kubectl, name: string): Promise<string[]> {
  const pods = await kubectl.run(
    "get",
    "pods",
    "-l",
    `app=${name}`,
    "-o",
    "name",
  );
  return pods.split("\n").filter(Boolean);
}

/** Those that the kubelet knows, as it knows them. */
async function podsOfKubelet(
  kubectl: Kubectl,
  name: string,
): Promise<Labelled[]> {
  const path = `/api/v1/nodes/${nodeName}/proxy/pods`;
  const { items } = JSON.parse(await kubectl.run("get", "--raw", path)) as {
    items: Labelled[];
  };
  return items.filter(({ metadata }) => metadata.labels?.["app"] === name);
}

interface Labelled {
  metadata: { labels?: Record<string, string>; deletionTimestamp?: string };
}

/** Installs one executable and the other in turn; how often. */
async function upgradeDuring(
  cluster: Cluster,
  next: string,
  load: () => Promise<void>,
): Promise<number> {
  let upgrades = 0;
  const state = { loaded: true };
  const upgrading = async () => {
    while (state.loaded) {
      const executable = upgrades % 2 === 0 ? next : cluster.genie;
      const said = await install(cluster, executable);
      expectMatch("install", said, /^changed +\/opt\/cni\/bin\/genie/m);
      upgrades++;
    }
  };
  const loading = async () => {
    try {
      await load();
    } finally {
      state.loaded = false;
    }
  };
  // Both must have ended before anything else begins.
  const ended = await Promise.allSettled([upgrading(), loading()]);
  const failed = ended.find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
  return upgrades;
}

/** The same program as another file: its version differs. */
async function newerGenie(directory: string): Promise<string> {
  const root = resolve(import.meta.dir, "../../..");
  const scratch = join(directory, "newer");
  mkdirSync(scratch, { recursive: true });
  const compiled = join(scratch, "genie");
  const target = targetFor(await readElfHeader(process.execPath));
  await compile({
    entry: join(root, "genie.ts"),
    outfile: compiled,
    target: target.bun,
    runtime: process.execPath,
    constants: {
      GENIE_VERSION: "0.0.0-upgrade",
      GENIE_LIBC: target.libc,
      GENIE_COMMIT: "",
    },
  });
  const path = join(directory, "genie-newer");
  renameSync(compiled, path);
  return path;
}
