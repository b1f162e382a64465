/** `genie doctor`: checks the node and gives advice. */
import { messageOf } from "../linux/errno.ts";
import { escapeControls } from "../linux/text.ts";
import type { Command } from "./command/command.ts";
import { outputOption, structured } from "./command/output.ts";
import { columns, counted } from "./command/table.ts";
import type { Terminal } from "./command/terminal.ts";
import { checkAccess } from "./doctor/access.ts";
import {
  type Check,
  type Node,
  readNode,
  type Finding,
  type Verdict,
  fail,
} from "./doctor/check.ts";
import * as choice from "./doctor/choice.ts";
import * as configuration from "./doctor/configuration.ts";
import * as credential from "./doctor/credential.ts";
import { checkDevices } from "./doctor/devices.ts";
import { checkMounts } from "./doctor/mounts.ts";
import * as networks from "./doctor/networks.ts";
import * as records from "./doctor/records.ts";
import * as runtime from "./doctor/runtime.ts";
import {
  type Directories,
  directoriesOf,
  nodeOptions,
} from "./node/directories.ts";

/** In the order in which a pod depends on them. */
const checks: readonly [name: string, check: Check][] = [
  ["runtime", runtime.checkRuntime],
  ["runtime directories", runtime.checkRuntimeDirectories],
  ["runtime files", configuration.checkRuntimeChoice],
  ["executable memory", runtime.checkExecutableMemory],
  ["executable", runtime.checkExecutable],
  ["loopback", runtime.checkLoopback],
  ["configuration", configuration.checkConfiguration],
  ["renamed files", configuration.checkRenamed],
  ["default network", configuration.checkDefaultNetwork],
  ["networks", networks.checkNetworks],
  ["networks", networks.checkSameNames],
  ["networks", networks.checkChainedTwice],
  ["allowed IPAM", networks.checkAllowedIpams],
  ["automatic", choice.checkAutomatic],
  ["auxiliary chain", choice.checkAuxiliaryChain],
  ["kubeconfig", credential.checkCredential],
  ["token", credential.checkTokenPod],
  ["API server", checkAccess],
  ["kubelet's devices", checkDevices],
  ["records", records.checkDataDir],
  ["left-over records", records.checkLeftOver],
  ["abandoned attachments", records.checkAbandoned],
  ["CRI-O's GC", runtime.checkCrio],
];

export const doctor: Command = {
  about: `Checks the container runtime, genie's files, every network, the credential and the attachment
records. Changes nothing. The exit code is 1 if something is wrong, 0 with warnings only.`,
  options: { output: outputOption("table", "json"), ...nodeOptions },
  async run(input, terminal) {
    const findings =
      terminal.uid === 0
        ? await examine(directoriesOf(input), terminal)
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
  terminal: Terminal,
): Promise<Finding[]> {
  const hanging = await checkMounts(directories);
  return hanging.length > 0
    ? hanging
    : diagnose(readNode(directories, terminal));
}

/** An exception of a check becomes a finding. */
async function diagnose(node: Node): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, check] of checks) {
    try {
      for (const outcome of [await check(node)].flat())
        findings.push({ check: name, ...outcome });
    } catch (error) {
      findings.push({ check: name, verdict: "fail", found: messageOf(error) });
    }
  }
  return findings;
}

/** Other users cannot read half of the node, and unreadable files look like missing ones. */
function notRoot(uid: number): Finding {
  const found = `genie doctor runs as user ${uid}: only root may read our configuration, the credential and the records`;
  return { check: "user", ...fail(found, "sudo genie doctor") };
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
    // A file's name may have any character.
    [paint(verdict), escapeControls(check), escapeControls(found)],
    ...(advice === undefined ? [] : [["", "", `→ ${escapeControls(advice)}`]]),
  ]);
  const count = (verdict: Verdict): number =>
    findings.filter((finding) => finding.verdict === verdict).length;
  const summary = [
    `${count("ok")} ok`,
    counted(count("warn"), "warning"),
    counted(count("fail"), "failure"),
  ].join(", ");
  return `${columns(rows)}\n${summary}\n`;
}
