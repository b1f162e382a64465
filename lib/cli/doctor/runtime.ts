/**
 * The container runtime, its version, and the consequences for genie
 * (container-runtimes.md §1–§3).
 */
import { existsSync } from "node:fs";
import { compareVersions } from "../../cni/version.ts";
import { cachedNetworks, crioHazards, hazardText } from "../crio.ts";
import { executableMemoryProblems } from "../executable-memory.ts";
import type { Host } from "../host.ts";
import {
  type RuntimeProcess,
  runtimeProcesses,
  versionIn,
  versionOf,
} from "../runtime-process.ts";
import { type Runtime, runtimesOf } from "../runtime.ts";
import type { Check, Finding, Node } from "./check.ts";
import { usesCri } from "./settings.ts";

const check = "runtime";

/** The versions since which each sends annotations and calls STATUS. */
const since: Readonly<
  Record<Runtime, { annotations: string; status: string }>
> = {
  containerd: { annotations: "1.5.0", status: "2.0.1" },
  crio: { annotations: "1.29.0", status: "1.32.0" },
};

export const checkRuntime: Check = async ({ host, config }) => {
  const processes = host.isOurs ? runtimeProcesses() : [];
  const running = await Promise.all(
    processes.map((process) => runningFinding(process, host, config)),
  );
  const idle = runtimesOf(host)
    .filter((runtime) => processes.every((one) => one.runtime !== runtime))
    .map((runtime) => idleFinding(runtime, host));
  const findings = [...running, ...(await Promise.all(idle))];
  return findings.length > 0
    ? findings
    : [
        {
          check,
          verdict: "skip",
          found: "neither containerd nor CRI-O was found",
        },
      ];
};

async function runningFinding(
  process: RuntimeProcess,
  host: Host,
  config: Node["config"],
): Promise<Finding> {
  const { runtime, pid, program } = process;
  const where = `${program}, process ${pid}`;
  if (!usesCri(process, host))
    return {
      check,
      verdict: "skip",
      found: `${runtime} (${where}) has its CRI plugin disabled: it creates no pods`,
    };
  const version = await versionOf(process);
  if (version === undefined)
    return {
      check,
      verdict: "skip",
      found: `${runtime} (${where}), version unknown`,
    };
  const { annotations, status } = since[runtime];
  const found = `${runtime} ${version} (${where})`;
  if (compareVersions(version, annotations) < 0)
    return {
      check,
      verdict: config?.kube.kubeconfig === undefined ? "fail" : "warn",
      found: `${found} does not send annotations: every pod costs an API request`,
      advice: `use ${runtime} ${annotations} or later`,
    };
  const asks = compareVersions(version, status) < 0 ? "does not call" : "calls";
  return {
    check,
    verdict: "ok",
    found: `${found} sends annotations, ${asks} STATUS`,
  };
}

/** The program of a runtime that does not run. */
const programs: Readonly<Record<Runtime, readonly string[]>> = {
  containerd: [
    "/usr/bin/containerd",
    "/usr/local/bin/containerd",
    "/var/lib/rancher/k3s/data/current/bin/containerd",
    "/var/lib/rancher/rke2/bin/containerd",
  ],
  crio: ["/usr/bin/crio", "/usr/local/bin/crio", "/usr/libexec/crio/crio"],
};

async function idleFinding(runtime: Runtime, host: Host): Promise<Finding> {
  // Below another root, processes are invisible and programs cannot be executed.
  if (!host.isOurs)
    return { check, verdict: "skip", found: `${runtime}, version unknown` };
  const program = programs[runtime].find((path) => existsSync(path));
  const version = program && (await installedVersion(program));
  return {
    check,
    verdict: "warn",
    found: `${runtime} does not run${program === undefined ? "" : `; installed is ${version ?? "an unknown version"} (${program})`}`,
    advice: `start ${runtime}, if it is the node's runtime`,
  };
}

async function installedVersion(program: string): Promise<string | undefined> {
  const child = Bun.spawn([program, "--version"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: 5000,
    killSignal: "SIGKILL",
  });
  return versionIn(await child.stdout.text());
}

export const checkExecutableMemory: Check = ({ host }) =>
  executableMemoryProblems(host).map(({ found, advice }) => ({
    check: "executable memory",
    verdict: "fail",
    found: `${found}: genie cannot run, and every pod fails`,
    advice,
  }));

export const checkCrio: Check = ({ host, networks, own }) => {
  if (!own || !runtimesOf(host).includes("crio")) return [];
  const hazards = crioHazards({
    candidates: networks.candidates,
    name: own.list.name,
    cached: cachedNetworks(host),
  });
  const title = "CRI-O's GC";
  if (hazards.length === 0)
    return [
      {
        check: title,
        verdict: "ok",
        found: "CRI-O's start leaves every pod its network",
      },
    ];
  return hazards.map((hazard) => ({
    check: title,
    verdict: "fail",
    found: `network ${JSON.stringify(hazard.network)} would lose its pods at CRI-O's next start`,
    advice: hazardText(hazard),
  }));
};
