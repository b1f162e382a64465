/**
 * `--repair`: attachments of running pods are checked, and those that break are attached
 * again (agent.md "Repair"). An attachment that has passed no CHECK of this process is left
 * alone: its plugins may be unable to CHECK.
 */
import { monotonicMs } from "../../linux/deadline.ts";
import { requestChange } from "./change-request.ts";
import { Retries } from "../retries.ts";
import { podSubject } from "../report/event-writer.ts";
import { namespacedName } from "../watch/kinds.ts";
import type { Agent, Part } from "../part.ts";
import { pause } from "../timing.ts";
import { type IndexedRecord, RecordIndex } from "../record-index.ts";

/** Milliseconds. */
const usualLimits = {
  /** From CHECK to CHECK of an attachment. */
  round: 60_000,
  /** From repair to repair of an attachment, at least. */
  again: 3_600_000,
};

export const repair: Part = createRepair();

export function createRepair(limits = usualLimits): Part {
  return {
    name: "repair",
    run: (agent, signal) => new Repair(agent, signal, limits).run(),
  };
}

/** The state of one attachment, lost when this process ends. */
interface AttachmentState {
  /** Record and interface. */
  key: string;
  record: IndexedRecord;
  /** Changes with its ADD. */
  id: string;
  ifname: string;
  network: string;
  /** Whether it passed a CHECK since its ADD. */
  hasPassed: boolean;
  /** Failed CHECKs in a row. */
  failures: number;
  /** The time of the last repair by the monotonic clock. */
  repairedAt: number;
}

class Repair {
  readonly #agent: Agent;
  readonly #signal: AbortSignal;
  readonly #limits: typeof usualLimits;
  readonly #index: RecordIndex;
  /** By record and interface. */
  #states = new Map<string, AttachmentState>();
  /** Attachments whose repair failed: the pod does not have them now. */
  readonly #retries = new Retries();

  constructor(agent: Agent, signal: AbortSignal, limits: typeof usualLimits) {
    this.#agent = agent;
    this.#signal = signal;
    this.#limits = limits;
    this.#index = new RecordIndex(agent.context);
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const records = await this.#index.all();
      const known = new Set(records.map(keyOfRecord));
      for (const [key, { record }] of this.#states)
        if (!known.has(keyOfRecord(record))) this.#states.delete(key);
      this.#retries.keepOnly(...this.#states.keys());
      const spread = this.#limits.round / Math.max(1, records.length);
      for (const record of records) {
        const began = monotonicMs();
        await this.#check(record);
        await this.#rest(spread - (monotonicMs() - began));
        if (this.#signal.aborted) return;
      }
      if (records.length === 0) await this.#rest(spread);
    }
  }

  /** Meanwhile failed repairs are tried again. */
  async #rest(ms: number): Promise<void> {
    const end = monotonicMs() + ms;
    while (!this.#signal.aborted) {
      for (const state of this.#states.values())
        if (this.#retries.isDue(state.key)) await this.#retry(state);
      const leftMs = end - monotonicMs();
      if (leftMs <= 0) return;
      const nextMs = Math.max(1, this.#retries.nextMs());
      await pause(Math.min(leftMs, nextMs), this.#signal);
    }
  }

  async #check(record: IndexedRecord): Promise<void> {
    for (const one of await this.#outcomesOf(record)) {
      const { outcome, why = "" } = one;
      const state = this.#stateOf(one, record);
      state.failures = outcome === "failed" ? state.failures + 1 : 0;
      if (outcome === "passed") {
        state.hasPassed = true;
        this.#retries.forget(state.key);
      }
      if (!state.hasPassed || state.failures < 2) continue;
      if (!one.primary) await this.#repair(state, why);
      else if (state.failures === 2)
        this.#tell(state, "error", "NetworkBroken", why);
    }
  }

  #stateOf(
    { id, ifname, network }: { id: string; ifname: string; network: string },
    record: IndexedRecord,
  ): AttachmentState {
    const key = `${keyOfRecord(record)}:${ifname}`;
    const before = this.#states.get(key);
    const isSame = before?.id === id;
    const state = {
      key,
      record,
      id,
      ifname,
      network,
      hasPassed: isSame && before.hasPassed,
      failures: isSame ? before.failures : 0,
      // Of an earlier attachment too: a repair gives it another ID.
      repairedAt: before?.repairedAt ?? -Infinity,
    };
    this.#states.set(key, state);
    return state;
  }

  /** The outcome of each CHECK; empty if the pod was left alone. */
  async #outcomesOf({ containerId, ifname }: IndexedRecord) {
    const request = { verb: "check", containerId, ifname } as const;
    return (await requestChange(this.#agent, request)).attachments ?? [];
  }

  async #repair(state: AttachmentState, why: string): Promise<void> {
    if (monotonicMs() - state.repairedAt < this.#limits.again) return;
    state.repairedAt = monotonicMs();
    await this.#attachAgain(state, why);
  }

  /** Somebody else, such as `--attach`, may have attached it meanwhile. */
  async #retry(state: AttachmentState): Promise<void> {
    const outcomes = await this.#outcomesOf(state.record);
    const isThere = outcomes.some(({ ifname }) => ifname === state.ifname);
    if (outcomes.length === 0 || isThere) this.#retries.forget(state.key);
    else await this.#attachAgain(state, "");
  }

  async #attachAgain(state: AttachmentState, why: string): Promise<void> {
    const { record, ifname } = state;
    const { containerId } = record;
    const done = await requestChange(this.#agent, {
      verb: "repair",
      containerId,
      ifname: record.ifname,
      interface: ifname,
    });
    // The new one has another ID: it is repaired only when it has passed, too.
    state.failures = 0;
    if (done.outcome === "failed") {
      this.#retries.later(state.key);
      this.#tell(state, "error", "FailedAddingInterface", done.why ?? "");
      return;
    }
    this.#retries.forget(state.key);
    if (done.outcome === "repaired") this.#tell(state, "info", "Repaired", why);
  }

  #tell(
    { record: { pod }, ifname, network }: AttachmentState,
    level: "info" | "error",
    reason: string,
    why: string,
  ): void {
    const name = pod && namespacedName(pod);
    const fields = { part: "repair", pod: name, network, ifname, reason };
    const message = `${ifname} (${network})${why === "" ? "" : `: ${why}`}`;
    this.#agent.log(level, message, fields);
    if (!pod) return;
    const type = level === "info" ? "Normal" : "Warning";
    this.#agent.event(podSubject(pod), type, reason, message);
  }
}

/** Equal for records of one ADD. */
function keyOfRecord({
  containerId,
  ifname,
  uptimeMs,
}: Pick<IndexedRecord, "containerId" | "ifname" | "uptimeMs">): string {
  return `${containerId}:${ifname}:${uptimeMs}`;
}
