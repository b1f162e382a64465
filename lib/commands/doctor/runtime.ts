/**
 * The container runtime: which, which version, and what follows from it for how
 * genie is called (container-runtimes.md §1–§3).
 */
import { existsSync } from "node:fs";
import { compareVersions } from "../../cni/version.ts";
import { cachedNetworks, crioHazards, hazardText } from "../crio.ts";
import type { Host } from "../host.ts";
import { type Runtime, runtimesOf } from "../runtime.ts";
import type { Check, Finding } from "./check.ts";

/** Since when each hands over annotations, and when it asks STATUS. */
const since: Readonly<
  Record<Runtime, { annotations: string; status: string }>
> = {
  containerd: { annotations: "1.5.0", status: "2.0.1" },
  crio: { annotations: "1.29.0", status: "1.32.0" },
};

const programs: Readonly<Record<Runtime, readonly string[]>> = {
  containerd: [
    "/usr/bin/containerd",
    "/usr/local/bin/containerd",
    "/var/lib/rancher/k3s/data/current/bin/containerd",
    "/var/lib/rancher/rke2/bin/containerd",
  ],
  crio: ["/usr/bin/crio", "/usr/local/bin/crio", "/usr/libexec/crio/crio"],
};

export const checkRuntime: Check = async ({ host, config }) => {
  const runtimes = runtimesOf(host);
  if (runtimes.length === 0)
    return [
      {
        check: "runtime",
        verdict: "skip",
        found: "neither containerd nor CRI-O was found",
      },
    ];
  return Promise.all(
    runtimes.map(async (runtime): Promise<Finding> => {
      const version = await versionOf(runtime, host);
      if (version === undefined)
        return {
          check: "runtime",
          verdict: "skip",
          found: `${runtime}, version unknown`,
        };
      const { annotations, status } = since[runtime];
      const found = `${runtime} ${version}`;
      if (compareVersions(version, annotations) < 0)
        return {
          check: "runtime",
          verdict: config?.kube.kubeconfig === undefined ? "fail" : "warn",
          found: `${found} does not hand over annotations: every pod costs a call of the API server`,
          advice: `use ${runtime} ${annotations} or later`,
        };
      const asks =
        compareVersions(version, status) < 0 ? "does not ask" : "asks";
      return {
        check: "runtime",
        verdict: "ok",
        found: `${found} hands over annotations, ${asks} for STATUS`,
      };
    }),
  );
};

/** Milliseconds. */
const limitMs = 5000;

/** undefined when the program is not where it usually is, or belongs to another root. */
async function versionOf(
  runtime: Runtime,
  host: Host,
): Promise<string | undefined> {
  const program = programs[runtime].find((path) => existsSync(host.path(path)));
  if (program === undefined || !host.isOurs) return undefined;
  const child = Bun.spawn([program, "--version"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  return /\d+\.\d+\.\d+/.exec(await child.stdout.text())?.[0];
}

export const checkCrio: Check = ({ host, networks, own }) => {
  if (!own || !runtimesOf(host).includes("crio")) return [];
  const hazards = crioHazards({
    candidates: networks.candidates,
    name: own.list.name,
    cached: cachedNetworks(host),
  });
  const check = "CRI-O's GC";
  if (hazards.length === 0)
    return [
      {
        check,
        verdict: "ok",
        found: "CRI-O's start leaves every pod its network",
      },
    ];
  return hazards.map((hazard) => ({
    check,
    verdict: "fail",
    found: `network ${JSON.stringify(hazard.network)} would lose its pods at CRI-O's next start`,
    advice: hazardText(hazard),
  }));
};
