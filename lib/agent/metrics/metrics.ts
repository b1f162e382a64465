/**
 * The text of all metrics. The counters are kept in `<dataDir>/calls.json` with the place
 * up to which calls.log is counted: they go on after a restart, and `genie metrics` prints
 * what the agent serves.
 */
import * as v from "valibot";
import type { Context } from "../../attach/context.ts";
import { parseJson } from "../../cni/json.ts";
import { map, object } from "../../cni/schema.ts";
import {
  readOwnFileIfAny,
  removeFile,
  replaceFile,
} from "../../linux/files.ts";
import { callFamilies, count } from "./call-metrics.ts";
import {
  type Offsets,
  keepCallsLog,
  pathsOf,
  readCalls,
} from "./call-reader.ts";
import {
  auditFindings,
  auditMetrics,
  nodeFamilies,
  nodeMetrics,
} from "./node-metrics.ts";
import type { Agent } from "../part.ts";
import { type Family, Metrics, areSamples } from "./prometheus.ts";

/** All that the agent serves. */
export const families: readonly Family[] = [
  ...callFamilies,
  ...nodeFamilies,
  auditFindings,
];

const stored = object({
  offsets: map(v.number()),
  values: map(map(v.array(v.number()))),
});

/** The counters of one node. */
export class CallCounters {
  readonly #dataDir: string;
  #offsets: Offsets = {};
  readonly #metrics: Metrics;
  #stored = "";

  /** Begins with the stored counters; without them with all that the log has. */
  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    const { offsets, values } = read(pathOf(dataDir)) ?? {};
    this.#offsets = offsets ?? {};
    this.#metrics = new Metrics(values);
  }

  /** Counts the new lines. */
  update(): void {
    const { calls, offsets } = readCalls(this.#dataDir, this.#offsets);
    for (const call of calls) count(this.#metrics, call);
    this.#offsets = offsets;
  }

  /** For the agent: makes and rotates the log, and stores the counters. */
  keep(): void {
    this.update();
    this.#offsets = keepCallsLog(this.#dataDir, this.#offsets);
    const { values } = this.#metrics;
    const state = JSON.stringify({ offsets: this.#offsets, values });
    if (state !== this.#stored) replaceFile(pathOf(this.#dataDir), state);
    this.#stored = state;
  }

  text(): string {
    return this.#metrics.text(callFamilies);
  }
}

/** Without a part that reads it: each call would append to it for nothing. */
export function removeCallsLog(dataDir: string): void {
  for (const path of [...pathsOf(dataDir), pathOf(dataDir)]) removeFile(path);
}

function pathOf(dataDir: string): string {
  return `${dataDir}/calls.json`;
}

/** undefined for a missing, damaged or foreign file. */
function read(path: string): v.InferOutput<typeof stored> | undefined {
  try {
    const text = readOwnFileIfAny(path);
    const { success, output } = v.safeParse(stored, parseJson(text ?? "null"));
    const isWhole =
      success &&
      callFamilies.every((family) =>
        areSamples(family, output.values[family.name]),
      );
    return isWhole ? output : undefined;
  } catch {
    return undefined;
  }
}

const ofAgents = new WeakMap<Context, CallCounters>();

/** The counters that the parts of one agent share. */
export function sharedCounters({ context }: Agent): CallCounters {
  const known =
    ofAgents.get(context) ?? new CallCounters(context.config.dataDir);
  ofAgents.set(context, known);
  return known;
}

/** All metrics in Prometheus' text format. `place`: the path of a node's file for this process. */
export async function metricsText(
  context: Context,
  counters: CallCounters,
  place: (path: string) => string,
): Promise<string> {
  counters.update();
  const metrics = await nodeMetrics(context, place);
  return counters.text() + metrics.text(nodeFamilies);
}

/** All metrics, with the audit of the agent's pods once it knows them. */
export async function agentMetricsText(agent: Agent): Promise<string> {
  const { context } = agent;
  const place = (path: string) => agent.place(path);
  const text = await metricsText(context, sharedCounters(agent), place);
  const pods = agent.pods();
  if (!pods.hasStarted) return text;
  const metrics = new Metrics();
  await auditMetrics(metrics, pods.list(), context, place);
  return text + metrics.text([auditFindings]);
}
