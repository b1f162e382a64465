/**
 * `genie doctor`: checks the node and says what to do.
 */
import { messageOf } from "../cni/error.ts";
import type { Command } from "./command.ts";
import { checkAccess } from "./doctor/access.ts";
import {
  checkBinary,
  checkLoopback,
  checkRuntimeFolders,
} from "./doctor/binary.ts";
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
import { checkCredential } from "./doctor/credential.ts";
import { checkNetworks, checkSameNames } from "./doctor/networks.ts";
import { checkDataDir, checkLeftOver } from "./doctor/records.ts";
import { checkCrio, checkRuntime } from "./doctor/runtime.ts";
import { folderOptions, foldersOf, hostOf, rootOption } from "./folders.ts";
import { columns } from "./table.ts";

/** In the order in which a pod meets them. */
const checks: readonly Check[] = [
  checkRuntime,
  checkRuntimeFolders,
  checkRuntimeChoice,
  checkBinary,
  checkLoopback,
  checkConfiguration,
  checkRenamed,
  checkDefaultNetwork,
  checkNetworks,
  checkSameNames,
  checkCredential,
  checkAccess,
  checkDataDir,
  checkLeftOver,
  checkCrio,
];

export const doctor: Command = {
  about: `Changes nothing. The exit code is 1 when something is wrong, 0 also with warnings.`,
  options: {
    output: {
      value: "FORMAT",
      short: "o",
      choices: ["table", "json"],
      about: "table or json (table)",
    },
    ...folderOptions,
    ...rootOption,
  },
  async run(input, terminal) {
    const node = readNode(foldersOf(input), hostOf(input), terminal);
    const findings = await diagnose(node);
    await terminal.stdout(
      input.text("output") === "json"
        ? `${JSON.stringify(findings, null, 2)}\n`
        : tableOf(findings, terminal.colour),
    );
    return findings.some(({ verdict }) => verdict === "fail") ? 1 : 0;
  },
};

/** A check that breaks off is a finding like any other. */
export async function diagnose(node: Node): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of checks) {
    try {
      findings.push(...(await check(node)));
    } catch (error) {
      findings.push({
        check: check.name || "check",
        verdict: "fail",
        found: messageOf(error),
      });
    }
  }
  return findings;
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
  return `${columns(rows)}\n${count("ok")} ok, ${count("warn")} warnings, ${count("fail")} failures\n`;
}
