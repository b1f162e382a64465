/**
 * What grows with a node (`make bench SCALE=1`): networks in its directory, records of
 * pods, pods at once, the distance of the API server. Prints a table with its bounds. A
 * missed bound is reported and is no failure; a wrong response is one. It needs root.
 */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { NoopNode } from "../scripts/noop-node.ts";
import { Netns } from "../tests/support/netns.ts";
import { startApi } from "./api.ts";
import type { Command } from "./child.ts";
import { printing } from "./noop.ts";
import { runAll } from "./process.ts";
import { median } from "./stats.ts";

const rounds = 30;
const networkCounts = [1, 20, 100, 300];
const recordCounts = [1, 100, 1000, 5000];
const podsAtOnce = 110;
const awayMs = 50;
/** To the smallest size. */
const ratio = 1.1;
const commandMs = 1000;
const genie = resolve(import.meta.dir, "../dist/bench/genie");

interface Row {
  what: string;
  /** Milliseconds; user and system time. */
  wall: number;
  cpu: number;
  note?: string;
}

await using stack = new AsyncDisposableStack();
const directory = mkdtempSync(join(tmpdir(), "genie-scale-"));
stack.defer(() => rmSync(directory, { recursive: true, force: true }));
const api = stack.use(await startApi(directory));
/** The namespace of all pods, which `genie gc` takes for living ones. */
const netns = stack.use(await Netns.create()).path;

print("networks in the directory", measureNetworks());
print("records of living pods", measureRecords());
print("at once", [measureBurst()]);
print(`an API server ${awayMs} ms away`, measureDistance());

function newNode(): NoopNode {
  const node = stack.use(new NoopNode(netns));
  node.plugin("noop", printing(JSON.stringify(resultIn(netns))));
  return node;
}

function resultIn(sandbox: string) {
  return {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox }],
    ips: [{ address: "10.1.2.3/24", interface: 0 }],
  };
}

function measureNetworks(): Row[] {
  const nodes = networkCounts.map((count) => {
    const node = newNode();
    for (let i = 1; i < count; i++) node.network(`net-${i}`, ["noop"]);
    return { node, name: `${count}` };
  });
  const calls = nodes.flatMap(({ node, name }) => lifecycle(node, name));
  return withRatios(interleaved(calls), networkCounts.length);
}

function measureRecords(): Row[] {
  const nodes = recordCounts.map((count) => {
    const node = newNode();
    fill(node, count);
    return { node, count };
  });
  const calls = nodes.flatMap(({ node, count }) => [
    ...lifecycle(node, `${count}`),
    ...["list", "gc"].map((name) => ({
      what: `genie ${name}, ${count}`,
      command: (): Command => ({
        // The list does not fit into the pipe that the bench reads afterwards.
        argv: [
          "/bin/sh",
          "-c",
          'exec "$@" >/dev/null',
          "sh",
          genie,
          name,
          `--data-dir=${node.dataDir}`,
        ],
        env: {},
        stdin: "",
      }),
    })),
  ]);
  const rows = interleaved(calls);
  const verbs = rows.filter(({ what }) => !what.startsWith("genie"));
  const commands = rows.filter(({ what }) => what.startsWith("genie"));
  const most = recordCounts.at(-1);
  return [
    ...withRatios(verbs, recordCounts.length),
    ...commands.map((row) =>
      row.what.endsWith(` ${most}`)
        ? { ...row, note: verdict(row.cpu, commandMs, "ms CPU") }
        : row,
    ),
  ];
}

/** Records of as many pods: copies of one that genie wrote. */
function fill(node: NoopNode, count: number): void {
  const id = idOf(0);
  succeed(request(node, "ADD", id));
  const place = join(node.dataDir, "attachments");
  const files = readdirSync(place).map((file) => ({
    file,
    text: readFileSync(join(place, file), "utf8"),
  }));
  for (let i = 1; i < count; i++)
    for (const { file, text } of files)
      writeFileSync(
        join(place, file.replace(id, idOf(i))),
        text.replaceAll(id, idOf(i)),
        { mode: 0o600 },
      );
}

function measureBurst(): Row {
  const node = newNode();
  const ids = Array.from({ length: podsAtOnce }, (_, i) => idOf(i));
  const together = (verb: string) =>
    runAll(
      ids.map((id) => request(node, verb, id)),
      podsAtOnce,
    );
  const { outcomes, ms } = together("ADD");
  const failed = outcomes.filter(({ code }) => code !== 0).length;
  const cpu = outcomes.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  const deleted = together("DEL").outcomes.filter(({ code }) => code !== 0);
  const note = verdict(failed + deleted.length, 0, "failed");
  return { what: `${podsAtOnce} ADDs`, wall: ms, cpu, note };
}

function measureDistance(): Row[] {
  const node = newNode();
  const kubernetes = { kubeconfig: api.kubeconfig(awayMs) };
  const stdin = node.withoutAnnotations({ kubernetes });
  const calls = Object.entries({
    "ADD, one GET": api.pods.plain,
    "ADD, default + 3 definitions": api.pods.wide,
  }).map(([what, pod]) => {
    let id = "";
    return {
      what,
      command: (): Command => ({
        argv: [genie],
        env: node.env("ADD", (id = freshId()), pod),
        stdin,
      }),
      after: () => succeed(request(node, "DEL", id)),
    };
  });
  return interleaved(calls).map((row) => ({
    ...row,
    note: `${(row.wall / awayMs).toFixed(1)} round trips`,
  }));
}

interface Call {
  what: string;
  command(): Command;
  after?: () => void;
}

/** ADD and DEL of one more pod. */
function lifecycle(node: NoopNode, name: string): Call[] {
  let added = "";
  const id = freshId();
  return [
    {
      what: `ADD, ${name}`,
      command: () => request(node, "ADD", (added = freshId())),
      after: () => succeed(request(node, "DEL", added)),
    },
    {
      what: `DEL, ${name}`,
      command() {
        succeed(request(node, "ADD", id));
        return request(node, "DEL", id);
      },
    },
  ];
}

function request(node: NoopNode, verb: string, id: string): Command {
  const stdin = node.withAnnotations();
  return { argv: [genie], env: node.env(verb, id), stdin };
}

function succeed(command: Command) {
  const [outcome] = runAll([command]).outcomes;
  if (outcome?.code === 0) return outcome;
  throw new Error(
    `${command.argv.join(" ")}: exit code ${outcome?.code}: ${outcome?.stdout}${outcome?.stderr}`,
  );
}

/** All calls once in each round, in random order. */
function interleaved(calls: readonly Call[]): Row[] {
  const measured = calls.map(() => ({
    wall: [] as number[],
    cpu: [] as number[],
  }));
  for (let round = -2; round < rounds; round++) {
    Bun.gc(true);
    const order = calls
      .map((_, i) => ({ i, at: Math.random() }))
      .toSorted((a, b) => a.at - b.at);
    for (const { i } of order) {
      const call = calls[i];
      if (!call) continue;
      const { ms, cpuMs } = succeed(call.command());
      call.after?.();
      if (round < 0) continue;
      measured[i]?.wall.push(ms);
      measured[i]?.cpu.push(cpuMs);
    }
  }
  return calls.map(({ what }, i) => ({
    what,
    wall: median(measured[i]?.wall ?? []),
    cpu: median(measured[i]?.cpu ?? []),
  }));
}

/** `rows` has the verbs of the smallest size first; CPU times are compared, which a busy machine changes least. */
function withRatios(rows: readonly Row[], sizes: number): Row[] {
  const verbs = rows.length / sizes;
  return rows.map((row, i) => {
    const base = rows[i % verbs]?.cpu ?? Number.NaN;
    return i < verbs
      ? row
      : { ...row, note: verdict(row.cpu / base, ratio, "× CPU") };
  });
}

function verdict(value: number, allowed: number, unit: string): string {
  const met = value <= allowed ? "met" : "MISSED";
  return `${Number(value.toFixed(2))} ${unit}, at most ${allowed}: ${met}`;
}

function print(title: string, rows: readonly Row[]): void {
  console.log(`\n${title}`);
  for (const { what, wall, cpu, note = "" } of rows)
    console.log(
      `  ${what.padEnd(30)} ${wall.toFixed(2).padStart(9)} ms  CPU ${cpu.toFixed(2).padStart(8)} ms  ${note}`.trimEnd(),
    );
}

/** 64 hexadecimal digits. */
function idOf(number: number): string {
  return number.toString(16).padStart(64, "0");
}

function freshId(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}
