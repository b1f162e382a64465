/**
 * `--load`: the traffic of each network, in bytes per second over the host ends of its
 * attachments, every 10 s into `<dataDir>/load.json`, for the automatic choice
 * (selection.md §10).
 */
import { type Load, loadPath } from "../attach/automatic.ts";
import type { Context } from "../attach/context.ts";
import { hostInterfaces } from "../cni/result-query.ts";
import { hostEndTraffic } from "../linux/traffic.ts";
import { replaceOwnFile } from "./own-file.ts";
import type { Part } from "./part.ts";
import { pause } from "./pause.ts";

const everyMs = 10_000;

export const load: Part = {
  name: "load",
  async run({ context, log }, signal) {
    const sampler = new LoadSampler(context);
    while (!signal.aborted) {
      const sample = await sampler.next();
      if (sample) {
        replaceOwnFile(
          loadPath(context.config.dataDir),
          JSON.stringify(sample),
        );
        log("debug", "sampled the traffic", sample.bytesPerSecond);
      }
      await pause(everyMs, signal);
    }
  },
};

/** A host end of an attachment, with the `name` of its network. */
interface HostEnd {
  network: string;
  ifname: string;
}

export class LoadSampler {
  readonly #context: Context;
  readonly #sys: string | undefined;
  /** By record: it is read again when it has changed. */
  readonly #ends = new Map<string, { version: string; ends: HostEnd[] }>();
  /** By interface. */
  #before: { uptimeMs: number; bytes: ReadonlyMap<string, number> } | undefined;

  constructor(context: Context, sys?: string) {
    this.#context = context;
    this.#sys = sys;
  }

  /** undefined for the first sample: a rate needs two. */
  async next(): Promise<Load | undefined> {
    const { dependencies } = this.#context;
    await this.#readRecords();
    const uptimeMs = dependencies.uptimeMs();
    const before = this.#before;
    const bytes = new Map<string, number>();
    const moved: Record<string, number> = {};
    for (const { network, ifname } of this.#allEnds()) {
      const traffic = hostEndTraffic(ifname, this.#sys);
      if (!traffic || bytes.has(ifname)) continue;
      const now = traffic.received + traffic.sent;
      bytes.set(ifname, now);
      // An interface that was made since then has counted from 0.
      const then = before?.bytes.get(ifname) ?? 0;
      moved[network] = (moved[network] ?? 0) + Math.max(0, now - then);
    }
    this.#before = { uptimeMs, bytes };
    if (!before) return undefined;
    const seconds = Math.max(1, uptimeMs - before.uptimeMs) / 1000;
    for (const [network, count] of Object.entries(moved))
      moved[network] = Math.round(count / seconds);
    return { bootId: dependencies.bootId(), uptimeMs, bytesPerSecond: moved };
  }

  #allEnds(): HostEnd[] {
    return [...this.#ends.values()].flatMap(({ ends }) => ends);
  }

  async #readRecords(): Promise<void> {
    const { records, dependencies } = this.#context;
    const bootId = dependencies.bootId();
    const versions = new Map<string, string>();
    const hasChanged = (name: string): boolean => {
      const version = records.versionOf(name) ?? "";
      versions.set(name, version);
      return this.#ends.get(name)?.version !== version;
    };
    for await (const { name, record } of records.all(hasChanged)) {
      if (record?.bootId !== bootId) continue;
      const { results } = await records.readResults(record);
      const ends = record.attachments.flatMap(({ ifname, list }) => {
        const result = results.get(ifname);
        return (result ? hostInterfaces(result) : []).map((host) => ({
          network: list.name,
          ifname: host,
        }));
      });
      // While results are missing, it is read again the next time.
      const isComplete = record.attachments.every(({ ifname }) =>
        results.has(ifname),
      );
      const version = isComplete ? (versions.get(name) ?? "") : "incomplete";
      this.#ends.set(name, { version, ends });
    }
    for (const name of this.#ends.keys())
      if (!versions.has(name)) this.#ends.delete(name);
  }
}
