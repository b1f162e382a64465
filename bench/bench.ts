/**
 * Measures whole processes as a runtime starts them, with genie compiled as in a
 * release. All rows are interleaved in one run, so that a busy machine slows all of
 * them alike. Prints a table and the budgets, writes bench/report.json, and with
 * PLOT=1 docs/performance.svg. A missed budget is reported and is no failure; a wrong
 * response is one. ROUNDS (default and minimum 40): how often each row is run.
 * API=real: with the real API server.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { version } from "../package.json";
import { NoopNode } from "../scripts/noop-node.ts";
import { Netns } from "../tests/support/netns.ts";
import { startApi } from "./api.ts";
import { verdictsOf } from "./budgets.ts";
import { definitions } from "./cluster.ts";
import { compileEmpty } from "./empty-program.ts";
import { measure } from "./measure.ts";
import type { Measured } from "./measured.ts";
import { type MemoryGroup, makeMemoryGroup } from "./memory-group.ts";
import { printing } from "./noop.ts";
import { hasPeers, startPeers } from "./peers/peers.ts";
import { plotOf } from "./plot.ts";
import { reportOf } from "./report.ts";
import { startAgents } from "./rows/agent.ts";
import { burstsOf, groupLimitMiB } from "./rows/bursts.ts";
import { deviceNote, deviceUnitsOf, startKubelet } from "./rows/devices.ts";
import { floorUnitsOf } from "./rows/floors.ts";
import { genieAt, genieUnitsOf } from "./rows/genie.ts";
import { unitsOf } from "./rows/plugin.ts";
import { findStrace } from "./strace.ts";
import { tableOf, verdictTableOf } from "./table.ts";

const minRounds = 40;

const root = resolve(import.meta.dir, "..");
const rounds = roundsOf(process.env["ROUNDS"] || `${minRounds}`);
const directory = mkdtempSync(join(tmpdir(), "genie-bench-"));
try {
  await bench();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  // Peers do not accept the double.
  const withPeers = hasPeers(process.env);
  const isReal = withPeers || process.env["API"] === "real";
  const binary = join(root, "dist/bench/genie");
  const api = stack.use(await startApi(directory, isReal ? binary : undefined));
  const netns = withPeers ? stack.use(await Netns.create()).path : undefined;
  const node = stack.use(new NoopNode(netns, api.pods.plain));
  node.plugin("noop", printing(JSON.stringify(resultIn(node.netns))));
  const around = { node, api };
  const peers = stack.use(await startPeers(process.env, around));

  const genie = genieAt(binary, node);
  const notes = [`API server: ${isReal ? "the real one" : "the double"}`];
  const units = await floorUnitsOf(await compileEmpty(directory), around);
  const groups: MemoryGroup[] = [];
  const others = peers.plugins.map((peer) => ({
    ...peer,
    pod: api.pods.peers,
  }));
  for (const plugin of [genie, ...others]) {
    units.push(...unitsOf(plugin, around));
    if (plugin === genie) {
      units.push(...genieUnitsOf(genie, around));
      if (isReal)
        units.push(...stack.use(await startAgents(genie, around)).units);
    }
    const group = makeMemoryGroup(groupLimitMiB, plugin.program);
    if ("missing" in group)
      notes.push(`no burst in little memory: ${group.missing}`);
    else groups.push(stack.use(group));
    units.push(
      ...burstsOf(plugin, around, "missing" in group ? undefined : group),
    );
  }

  const kubelet = stack.use(await startKubelet(directory));
  units.push(...deviceUnitsOf(genie, around, kubelet.socket));

  if (Bun.which("curl") === null)
    notes.push("no TLS GET: curl is not installed");
  const strace = findStrace();
  if ("missing" in strace) notes.push(`no system calls: ${strace.missing}`);
  const plan = { units, rounds, api, directory };
  const measured = await measure(
    "missing" in strace ? plan : { ...plan, strace: strace.path },
  );
  verifyStatus((await api.seen()).networkStatus);
  for (const group of groups)
    notes.push(
      `${group.name}: ${group.peakMiB().toFixed(0)} of ${groupLimitMiB} MiB at the peak of the bursts in little memory`,
    );
  notes.push(deviceNote(measured));
  notes.push(...(await peers.notes()));
  await publish(measured, notes);
}

/** Throws Error unless it tells of the default network and all definitions. */
function verifyStatus(networkStatus: string): void {
  const entries = v.parse(v.array(v.unknown()), JSON.parse(networkStatus));
  if (entries.length !== definitions.length + 1)
    throw new Error(`wrong network status of a pod: ${networkStatus}`);
}

async function publish(
  measured: readonly Measured[],
  notes: readonly string[],
): Promise<void> {
  const rows = reportOf(measured);
  const budgets = verdictsOf(rows);
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    kernel: release(),
  };
  const bun = Bun.version;
  const report = { version, bun, machine, rounds, rows, budgets, notes };
  await Bun.write(
    join(import.meta.dir, "report.json"),
    `${JSON.stringify(report, null, 2)}\n`,
  );
  if (process.env["PLOT"])
    await Bun.write(join(root, "docs/performance.svg"), plotOf(rows));
  const legend =
    "times in ms, ratio of medians to the empty program, RSS in MiB, read in KiB";
  console.log(
    [
      tableOf(rows),
      `\n${rounds} rounds of the release build; ${legend}`,
      ...notes,
      "\nbudgets of genie",
      verdictTableOf(budgets),
    ].join("\n"),
  );
}

/** The delegate prints it for every verb; only ADD reads it. */
function resultIn(sandbox: string) {
  return {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox }],
    ips: [{ address: "10.1.2.3/24", interface: 0 }],
  };
}

function roundsOf(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= minRounds) return count;
  throw new Error(
    `ROUNDS: expected a number from ${minRounds} up, got ${JSON.stringify(text)}`,
  );
}
