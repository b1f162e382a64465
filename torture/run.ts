/**
 * Runs a schedule: rounds of pods that live at the same time, with failing disks and
 * GC in between, then a last GC, after which nothing may be left.
 */
import { Agent } from "./agent.ts";
import { besidePods, gc, gcOfOtherList, genieGc, heldBy } from "./collect.ts";
import { crashPoints } from "./crashpoints.ts";
import { strangers } from "./isolation.ts";
import { Pod } from "./life.ts";
import { type Figures, Report, figuresOf } from "./report.ts";
import { type Round, type Schedule, podsPerRound } from "./schedule.ts";
import { type ScenarioName, playScenarios } from "./scenarios/scenarios.ts";
import { TorturedNode } from "./tortured-node.ts";

export interface Extent {
  /** No other round begins after them. */
  seconds: number;
  /** Whether the crash points come first. */
  points: boolean;
  /** Scenarios before the rounds. */
  scenarios: readonly ScenarioName[];
}

export async function torture(
  schedule: Schedule,
  directory: string,
  { seconds, points, scenarios }: Extent,
): Promise<Figures> {
  const began = performance.now();
  const report = new Report();
  await using node = await TorturedNode.start(directory, report);
  if (points) await crashPoints(node, directory, seconds / 2);
  await playScenarios(scenarios, node, directory);
  const agent = new Agent(node);
  if (schedule.rounds.length > 0) agent.start();
  let rounds = 0;
  for (const round of schedule.rounds) {
    if (performance.now() - began > seconds * 1000) break;
    const these = round.pods.map((plan) => new Pod(plan, node));
    const ended = await within(roundMs, playRound(round, these, node, agent));
    if (!ended) {
      const stuck = these
        .filter(({ state }) => state !== "gone")
        .map((pod) => `${pod.label}: ${pod.step}`);
      report.find(
        `round ${rounds} does not end: ${stuck.join("; ")}; ${(await strangers()).join("; ")}`,
      );
      break;
    }
    rounds++;
  }
  await agent.stop();
  await untilGone();
  for (const fault of node.plugins.executed()) report.count("faults", fault);
  const leaks = await remains(node);
  for (const process of await strangers())
    report.find(`left in the end: process ${process}`);
  for (const [what, count] of Object.entries(leaks)) {
    if (count > 0) report.find(`${count} ${what} left in the end`);
  }
  if (/TORTURE-SECRET/.test(node.log())) report.find("a secret is in the log");
  return figuresOf(report, {
    seed: schedule.seed,
    rounds,
    seconds: (performance.now() - began) / 1000,
    pods: rounds * podsPerRound,
    leaks,
  });
}

/** Longer than anything that a round can take when every time limit is kept. */
const roundMs = 90_000;

async function within(ms: number, work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function playRound(
  round: Round,
  pods: readonly Pod[],
  node: TorturedNode,
  agent: Agent,
): Promise<void> {
  node.diskFailed = false;
  await Promise.all([
    ...pods.map((pod) => live(pod, node)),
    ...(round.disk ? [failDisk(round.disk, node)] : []),
    ...besides(round, pods, node),
    ...(round.agent ?? []).map(({ afterMs, fault }) =>
      after(afterMs, () => agent.disturb(fault)),
    ),
  ]);
  await sweep(pods, node);
}

/** Whatever collects garbage while these pods live. */
function besides(
  { gc: own, otherGc, genieGc: command }: Round,
  pods: readonly Pod[],
  node: TorturedNode,
): Promise<void>[] {
  const beside = (what: string, ms: number, work: () => Promise<unknown>) =>
    after(ms, () => besidePods(what, pods, node, work));
  return [
    ...(own
      ? [after(own.afterMs, () => runtimeGc(pods, node, own.killMs))]
      : []),
    ...(otherGc
      ? [
          beside("GC of another list", otherGc.afterMs, () =>
            gcOfOtherList(node),
          ),
        ]
      : []),
    ...(command
      ? [beside("genie gc", command.afterMs, () => genieGc(node))]
      : []),
  ];
}

async function live(pod: Pod, node: TorturedNode): Promise<void> {
  try {
    await pod.live();
  } catch (error) {
    node.report.find(
      `${pod.label}: the torture itself failed: ${String(error)}`,
    );
  }
}

async function failDisk(
  { fault, afterMs, forMs }: NonNullable<Round["disk"]>,
  node: TorturedNode,
): Promise<void> {
  await Bun.sleep(afterMs);
  const repair = await node.breakDisk(fault);
  node.report.count("faults", fault);
  await Bun.sleep(forMs);
  await repair();
}

async function after(ms: number, work: () => Promise<unknown>): Promise<void> {
  await Bun.sleep(ms);
  await work();
}

/** The runtime's GC; its list has every pod that is not gone. */
async function runtimeGc(
  pods: readonly Pod[],
  node: TorturedNode,
  killMs?: number,
): Promise<void> {
  const living = pods.filter(({ state }) => state !== "gone");
  await besidePods("GC", pods, node, () => gc(living, node, killMs));
}

/** The end of a round: every plugin works again, then `genie gc` for some pods, GC for the others. */
async function sweep(pods: readonly Pod[], node: TorturedNode): Promise<void> {
  for (const { containerId } of pods) node.plugins.forget(containerId);
  if (pods.some(({ plan }) => plan.end === "genie gc")) {
    const { exitCode, text } = await genieGc(node);
    if (exitCode !== 0) node.report.find(`genie gc fails: ${text}`);
  }
  for (const { containerId } of pods) node.age(containerId);
  const last = await gc([], node);
  if (last.exitCode !== 0)
    node.report.find(`GC of nothing valid fails: ${last.text}`);
  for (const pod of pods) {
    const left = [
      ...heldBy(pod, node),
      ...[...node.locks(), ...node.abandoned(), ...node.records()].filter(
        (name) =>
          name.startsWith(pod.containerId) && !name.endsWith(".corrupt"),
      ),
    ];
    for (const entry of left)
      node.report.find(`${pod.label}: left after GC: ${entry}`);
  }
}

/** The processes that some delegates leave behind live for a second. */
async function untilGone(): Promise<void> {
  for (let i = 0; i < 30 && (await strangers()).length > 0; i++)
    await Bun.sleep(100);
}

async function remains(node: TorturedNode): Promise<Record<string, number>> {
  const links = Bun.spawnSync(["ip", "-json", "link"]).stdout.toString();
  const names = (JSON.parse(links) as { ifname: string }[]).map(
    ({ ifname }) => ifname,
  );
  const nodes = new Set(["lo", "trunk0", "trunk1", "br0", "br1"]);
  const addresses = node.addresses();
  const nobodys = addresses.filter(({ owner }) => owner === "").length;
  node.report.count(
    "upstream",
    "address reserved for nobody: host-local was killed in between",
    nobodys,
  );
  const isAside = (name: string) => name.endsWith(".corrupt");
  const [records, abandoned] = [node.records(), node.abandoned()];
  node.report.count(
    "upstream",
    "truncated record moved aside",
    [...records, ...abandoned].filter(isAside).length,
  );
  return {
    addresses: addresses.length - nobodys,
    "ledger entries": node.plugins.ledger().length,
    interfaces: names.filter((name) => !nodes.has(name)).length,
    namespaces: Bun.spawnSync(["ip", "netns", "list"])
      .stdout.toString()
      .split("\n")
      .filter(Boolean).length,
    records: records.filter((name) => !isAside(name)).length,
    abandoned: abandoned.filter((name) => !isAside(name)).length,
    locks: node.locks().length,
    processes: (await strangers()).length,
  };
}
