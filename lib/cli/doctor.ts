/**
 * `genie doctor`: checks the node and gives advice.
 */
import { messageOf } from "../linux/errno.ts";
import type { Command } from "./command/command.ts";
import {
  checkAbandoned,
  checkDataDir,
  checkLeftOver,
} from "./doctor/records.ts";
import { checkAccess } from "./doctor/access.ts";
import {
  checkBinary,
  checkLoopback,
  checkRuntimeDirectories,
  checkCrio,
  checkExecutableMemory,
  checkRuntime,
} from "./doctor/runtime.ts";
import {
  type Check,
  type Finding,
  type Node,
  type Verdict,
  readNode,
} from "./doctor/check.ts";
import {
  checkConfiguration,
  checkDefaultNetwork,
  checkRenamed,
  checkRuntimeChoice,
} from "./doctor/configuration.ts";
import { checkDevices } from "./doctor/devices.ts";
import { checkMounts } from "./doctor/mounts.ts";
import { checkAutomatic, checkAuxiliaryChain } from "./doctor/choice.ts";
import { checkCredential, checkTokenPod } from "./doctor/credential.ts";
import {
  checkAllowedIpams,
  checkChainedTwice,
  checkNetworks,
  checkSameNames,
} from "./doctor/networks.ts";
import {
  type Directories,
  nodeOptions,
  directoriesOf,
  hostOf,
} from "./node/directories.ts";
import type { Host } from "./node/host.ts";
import type { Terminal } from "./command/terminal.ts";
import {
  columns,
  counted,
  outputOption,
  structured,
} from "./command/output.ts";

/** In the order in which a pod depends on them. The name is for a check that fails unexpectedly. */
const checks: readonly [name: string, check: Check][] = [
  ["runtime", checkRuntime],
  ["runtime directories", checkRuntimeDirectories],
  ["runtime files", checkRuntimeChoice],
  ["executable memory", checkExecutableMemory],
  ["binary", checkBinary],
  ["loopback", checkLoopback],
  ["configuration", checkConfiguration],
  ["renamed files", checkRenamed],
  ["default network", checkDefaultNetwork],
  ["networks", checkNetworks],
  ["networks", checkSameNames],
  ["networks", checkChainedTwice],
  ["allowed IPAM", checkAllowedIpams],
  ["automatic", checkAutomatic],
  ["auxiliary chain", checkAuxiliaryChain],
  ["credential", checkCredential],
  ["token", checkTokenPod],
  ["API server", checkAccess],
  ["devices", checkDevices],
  ["records", checkDataDir],
  ["left-over records", checkLeftOver],
  ["abandoned attachments", checkAbandoned],
  ["CRI-O's GC", checkCrio],
];

export const doctor: Command = {
  about: `Checks the container runtime, genie's files, every network, the credential and the attachment
records. Changes nothing. The exit code is 1 if something is wrong, 0 with warnings only.`,
  options: {
    output: outputOption("table", "json"),
    ...nodeOptions,
  },
  async run(input, terminal) {
    const findings =
      terminal.uid === 0
        ? await examine(directoriesOf(input), hostOf(input), terminal)
        : [notRoot(terminal.uid)];
    await terminal.stdout(
      structured(findings, input.text("output")) ??
        tableOf(findings, terminal.colour),
    );
    return findings.some(({ verdict }) => verdict === "fail") ? 1 : 0;
  },
};

async function examine(
  directories: Directories,
  host: Host,
  terminal: Terminal,
): Promise<Finding[]> {
  const hanging = await checkMounts(directories, host);
  return hanging.length > 0
    ? hanging
    : diagnose(readNode(directories, host, terminal));
}

/** An exception of a check becomes a finding. */
async function diagnose(node: Node): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, check] of checks) {
    try {
      findings.push(...[await check(node)].flat());
    } catch (error) {
      findings.push({ check: name, verdict: "fail", found: messageOf(error) });
    }
  }
  return findings;
}

/** Without root half of the node cannot be read, and unreadable files look like missing ones. */
function notRoot(uid: number): Finding {
  return {
    check: "user",
    verdict: "fail",
    found: `genie doctor runs as user ${uid}: only root may read our configuration, the credential and the records`,
    advice: "sudo genie doctor",
  };
}

/** ANSI codes of the colours. */
const colours: Readonly<Record<Verdict, number>> = {
  ok: 32,
  warn: 33,
  fail: 31,
  skip: 90,
};

function tableOf(findings: readonly Finding[], colour: boolean): string {
  const paint = (verdict: Verdict): string =>
    colour ? `\u001b[${colours[verdict]}m${verdict}\u001b[0m` : verdict;
  const rows = findings.flatMap(({ check, verdict, found, advice }) => [
    [paint(verdict), check, found],
    ...(advice !== undefined && (verdict === "warn" || verdict === "fail")
      ? [["", "", `→ ${advice}`]]
      : []),
  ]);
  const count = (verdict: Verdict): number =>
    findings.filter((finding) => finding.verdict === verdict).length;
  return `${columns(rows)}\n${count("ok")} ok, ${counted(count("warn"), "warning")}, ${counted(count("fail"), "failure")}\n`;
}
