/**
 * The container runtime, its version, and the consequences for genie
 * (container-runtimes.md §1–§3); genie's executable, and whether the runtime looks
 * for plugins in its directory.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { compareVersions } from "../../cni/version.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { sameContent } from "../install/executable.ts";
import { crioHazards, hazardText } from "../node/crio.ts";
import { ownType } from "../node/directories.ts";
import { executableMemoryProblems } from "../node/executable-memory.ts";
import type { Host } from "../node/host.ts";
import { versionsOf } from "../node/plugin-versions.ts";
import {
  binDirProblem,
  confDirProblem,
  runtimeSettings,
  usesCri,
} from "../node/runtime-settings.ts";
import {
  type Runtime,
  type RuntimeProcess,
  printedVersion,
  runtimeProcesses,
  runtimesOf,
  versionOf,
} from "../node/runtimes.ts";
import {
  type Check,
  type Node,
  type Outcome,
  fail,
  named,
  ok,
  skip,
  warn,
} from "./check.ts";

/** The versions since which each sends annotations and calls STATUS. */
const since: Readonly<
  Record<Runtime, { annotations: string; status: string }>
> = {
  containerd: { annotations: "1.5.0", status: "2.0.1" },
  crio: { annotations: "1.29.0", status: "1.32.0" },
};

export const checkRuntime: Check = async ({ host, config }) => {
  const processes = host.isOwnRoot ? runtimeProcesses() : [];
  const running = await Promise.all(
    processes.map((process) => runningFinding(process, host, config)),
  );
  const idle = runtimesOf(host)
    .filter((runtime) => processes.every((one) => one.runtime !== runtime))
    .map((runtime) => idleFinding(runtime, host));
  const findings = [...running, ...(await Promise.all(idle))];
  return findings.length > 0
    ? findings
    : skip("neither containerd nor CRI-O was found");
};

async function runningFinding(
  process: RuntimeProcess,
  host: Host,
  config: Node["config"],
): Promise<Outcome> {
  const { runtime, pid, program } = process;
  const where = `${program}, process ${pid}`;
  if (!usesCri(process, host))
    return skip(
      `${runtime} (${where}) has its CRI plugin disabled: it creates no pods`,
    );
  const version = await versionOf(process);
  if (version === undefined)
    return skip(`${runtime} (${where}), version unknown`);
  const { annotations, status } = since[runtime];
  const found = `${runtime} ${version} (${where})`;
  const outcome = config?.kube.kubeconfig === undefined ? fail : warn;
  if (compareVersions(version, annotations) < 0)
    return outcome(
      `${found} does not send annotations: every pod costs an API request`,
      `use ${runtime} ${annotations} or later`,
    );
  const asks = compareVersions(version, status) < 0 ? "does not call" : "calls";
  return ok(`${found} sends annotations, ${asks} STATUS`);
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

async function idleFinding(runtime: Runtime, host: Host): Promise<Outcome> {
  // Below another root, processes are invisible and programs cannot be executed.
  if (!host.isOwnRoot) return skip(`${runtime}, version unknown`);
  const program = programs[runtime].find((path) => existsSync(path));
  const version = program && (await printedVersion(program));
  return warn(
    `${runtime} does not run${program === undefined ? "" : `; installed is ${version ?? "an unknown version"} (${program})`}`,
    `start ${runtime}, if it is the node's runtime`,
  );
}

export const checkExecutableMemory: Check = ({ host }) =>
  executableMemoryProblems(host).map(({ found, advice }) =>
    fail(`${found}: genie cannot run, and every pod fails`, advice),
  );

export const checkCrio: Check = ({ host, networks, ours }) => {
  if (!ours || !runtimesOf(host).includes("crio")) return [];
  const { candidates } = networks;
  const hazards = crioHazards(host, candidates, ours.list.name);
  if (hazards.length === 0)
    return ok("CRI-O's start leaves every pod its network");
  return hazards.map((hazard) =>
    fail(
      `network ${quote(hazard.network)} would lose its pods at CRI-O's next start`,
      hazardText(hazard),
    ),
  );
};

export const checkExecutable: Check = async ({
  host,
  directories,
  terminal,
}) => {
  const path = join(directories.binDir, ownType);
  const place = host.path(path);
  if (!statSync(place, { throwIfNoEntry: false })?.isFile())
    return fail(
      `${path} is missing`,
      "genie install, with --bin-dir if the runtime has another",
    );
  try {
    accessSync(place, constants.X_OK);
    const asked = { type: ownType, directories: [directories.binDir] };
    const versions = await versionsOf(asked, host, terminal);
    const found = `${path} supports CNI ${versions.join(", ")}`;
    if (sameContent(terminal.self, place)) return ok(found);
    return warn(
      `${found}, but is another build than this one`,
      "genie install updates it",
    );
  } catch (error) {
    return fail(
      `${path} cannot be executed: ${messageOf(error)}`,
      "genie install with the build for this machine",
    );
  }
};

/** containerd needs the plugin `loopback`; CRI-O does not (container-runtimes.md §2.4, §3.2). */
export const checkLoopback: Check = ({ host, path }) => {
  const type = "loopback";
  if (!runtimesOf(host).includes("containerd")) return [];
  if (path.some((directory) => existsSync(host.path(join(directory, type)))))
    return [];
  return warn(
    `no plugin "${type}" in ${path.join(", ")}`,
    "install the reference plugins, unless containerd has use_internal_loopback",
  );
};

/** Compares the runtime's configured directories with genie's. */
export const checkRuntimeDirectories: Check = ({ host, directories }) =>
  runtimeSettings(host).flatMap((settings) => {
    const { runtime, file, confDir } = settings;
    const problems = [
      binDirProblem(settings, directories),
      confDir === undefined ? undefined : confDirProblem(settings, directories),
    ].filter((problem) => problem !== undefined);
    const outcomes =
      problems.length > 0
        ? problems.map(({ found, advice }) => fail(found, advice))
        : [ok(`${file} agrees`)];
    return outcomes.map((one) => named(`${runtime} directories`, one));
  });
