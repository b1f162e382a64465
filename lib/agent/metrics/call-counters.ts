/**
 * The calls of the plugin, as calls.log tells them: counted, and handed to the parts that
 * follow them. The counters are kept in `<dataDir>/calls.json` with the place up to which
 * the log is read: they go on after a restart, and `genie metrics` prints what the agent
 * serves.
 */
import * as v from "valibot";
import { parseJson } from "../../cni/json.ts";
import { map, object } from "../../cni/schema.ts";
import { removeFile, replaceFile } from "../../linux/files.ts";
import { readOwnFileIfAny } from "../../linux/own-files.ts";
import { callFamilies, count } from "./call-metrics.ts";
import {
  type CallLine,
  type Offsets,
  keepCallsLog,
  pathsOf,
  readCalls,
} from "./call-reader.ts";
import { Metrics, areSamples } from "./prometheus.ts";

const stored = object({
  offsets: map(v.number()),
  values: map(map(v.array(v.number()))),
});

type Listener = (call: CallLine) => void;

/** The counters of one node. */
export class CallCounters {
  readonly #dataDir: string;
  readonly #listeners = new Set<Listener>();
  #offsets: Offsets;
  readonly #metrics: Metrics;
  #stored = "";

  /** Begins with the stored counters; without them with all that the log has. */
  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    const { offsets, values } = read(pathOf(dataDir)) ?? {};
    this.#offsets = offsets ?? {};
    this.#metrics = new Metrics(values);
  }

  /**
   * Called for each call that {@link update} reads from now on. Must not throw. Returns the
   * function that ends it.
   */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Reads and counts the new lines. */
  update(): void {
    const { calls, offsets } = readCalls(this.#dataDir, this.#offsets);
    this.#offsets = offsets;
    for (const call of calls) {
      count(this.#metrics, call);
      for (const listener of this.#listeners) listener(call);
    }
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
