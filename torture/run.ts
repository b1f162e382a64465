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
import { World } from "./world.ts";

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
  await using world = await World.start(directory, report);
  if (points) await crashPoints(world, directory, seconds / 2);
  await playScenarios(scenarios, world, directory);
  const agent = new Agent(world);
  if (schedule.rounds.length > 0) agent.start();
  let rounds = 0;
  for (const round of schedule.rounds) {
    if (performance.now() - began > seconds * 1000) break;
    const these = round.pods.map((plan) => new Pod(plan, world));
    const ended = await within(roundMs, playRound(round, these, world, agent));
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
  for (const fault of world.plugins.executed()) report.count("faults", fault);
  const leaks = await remains(world);
  for (const process of await strangers())
    report.find(`left in the end: process ${process}`);
  for (const [what, count] of Object.entries(leaks)) {
    if (count > 0) report.find(`${count} ${what} left in the end`);
  }
  if (/TORTURE-SECRET/.test(world.log())) report.find("a secret is in the log");
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
  world: World,
  agent: Agent,
): Promise<void> {
  world.diskFailed = false;
  await Promise.all([
    ...pods.map((pod) => live(pod, world)),
    ...(round.disk ? [failDisk(round.disk, world)] : []),
    ...besides(round, pods, world),
    ...(round.agent ?? []).map(({ afterMs, fault }) =>
      after(afterMs, () => agent.disturb(fault)),
    ),
  ]);
  await sweep(pods, world);
}

/** Whatever collects garbage while these pods live. */
function besides(
  { gc: own, otherGc, genieGc: command }: Round,
  pods: readonly Pod[],
  world: World,
): Promise<void>[] {
  const beside = (what: string, ms: number, work: () => Promise<unknown>) =>
    after(ms, () => besidePods(what, pods, world, work));
  return [
    ...(own
      ? [after(own.afterMs, () => runtimeGc(pods, world, own.killMs))]
      : []),
    ...(otherGc
      ? [
          beside("GC of another list", otherGc.afterMs, () =>
            gcOfOtherList(world),
          ),
        ]
      : []),
    ...(command
      ? [beside("genie gc", command.afterMs, () => genieGc(world))]
      : []),
  ];
}

async function live(pod: Pod, world: World): Promise<void> {
  try {
    await pod.live();
  } catch (error) {
    world.report.find(
      `${pod.label}: the torture itself failed: ${String(error)}`,
    );
  }
}

async function failDisk(
  { fault, afterMs, forMs }: NonNullable<Round["disk"]>,
  world: World,
): Promise<void> {
  await Bun.sleep(afterMs);
  const repair = await world.breakDisk(fault);
  world.report.count("faults", fault);
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
  world: World,
  killMs?: number,
): Promise<void> {
  const living = pods.filter(({ state }) => state !== "gone");
  await besidePods("GC", pods, world, () => gc(living, world, killMs));
}

/** The end of a round: every plugin works again, then `genie gc` for some pods, GC for the others. */
async function sweep(pods: readonly Pod[], world: World): Promise<void> {
  for (const { containerId } of pods) world.plugins.forget(containerId);
  if (pods.some(({ plan }) => plan.end === "genie gc")) {
    const { exitCode, text } = await genieGc(world);
    if (exitCode !== 0) world.report.find(`genie gc fails: ${text}`);
  }
  for (const { containerId } of pods) world.age(containerId);
  const last = await gc([], world);
  if (last.exitCode !== 0)
    world.report.find(`GC of nothing valid fails: ${last.text}`);
  for (const pod of pods) {
    const left = [
      ...heldBy(pod, world),
      ...[...world.locks(), ...world.abandoned(), ...world.records()].filter(
        (name) =>
          name.startsWith(pod.containerId) && !name.endsWith(".corrupt"),
      ),
    ];
    for (const entry of left)
      world.report.find(`${pod.label}: left after GC: ${entry}`);
  }
}

/** The processes that some delegates leave behind live for a second. */
async function untilGone(): Promise<void> {
  for (let i = 0; i < 30 && (await strangers()).length > 0; i++)
    await Bun.sleep(100);
}

async function remains(world: World): Promise<Record<string, number>> {
  const links = Bun.spawnSync(["ip", "-json", "link"]).stdout.toString();
  const names = (JSON.parse(links) as { ifname: string }[]).map(
    ({ ifname }) => ifname,
  );
  const nodes = new Set(["lo", "trunk0", "trunk1", "br0", "br1"]);
  const addresses = world.addresses();
  const nobodys = addresses.filter(({ owner }) => owner === "").length;
  world.report.count(
    "upstream",
    "address reserved for nobody: host-local was killed in between",
    nobodys,
  );
  const isAside = (name: string) => name.endsWith(".corrupt");
  const [records, abandoned] = [world.records(), world.abandoned()];
  world.report.count(
    "upstream",
    "truncated record moved aside",
    [...records, ...abandoned].filter(isAside).length,
  );
  return {
    addresses: addresses.length - nobodys,
    "ledger entries": world.plugins.ledger().length,
    interfaces: names.filter((name) => !nodes.has(name)).length,
    namespaces: Bun.spawnSync(["ip", "netns", "list"])
      .stdout.toString()
      .split("\n")
      .filter(Boolean).length,
    records: records.filter((name) => !isAside(name)).length,
    abandoned: abandoned.filter((name) => !isAside(name)).length,
    locks: world.locks().length,
    processes: (await strangers()).length,
  };
}
