/**
 * `--load`: the traffic of each network, in bytes per second over the host ends of its
 * attachments, every 10 s into `<dataDir>/load.json`, for the automatic choice
 * (selection.md §10).
 */
import { type Load, loadPath } from "../../attach/choice/automatic.ts";
import type { Context } from "../../attach/context.ts";
import { hostInterfaces } from "../../cni/result-query.ts";
import { replaceFile } from "../../linux/files.ts";
import { hostEndTraffic } from "../../linux/traffic.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { Part } from "../part.ts";
import { repeat } from "../timing.ts";

const everyMs = 10_000;

export const load: Part = {
  name: "load",
  run({ context, log }, signal) {
    const sampler = new LoadSampler(context);
    return repeat(everyMs, signal, async () => {
      const sample = await sampler.next();
      if (!sample) return;
      replaceFile(loadPath(context.config.dataDir), JSON.stringify(sample));
      log("debug", "sampled the traffic", sample.bytesPerSecond);
    });
  },
};

export class LoadSampler {
  readonly #context: Context;
  readonly #sys: string | undefined;
  /** The last sample: bytes by interface. */
  #before: { uptimeMs: number; bytes: ReadonlyMap<string, number> } | undefined;

  constructor(context: Context, sys?: string) {
    this.#context = context;
    this.#sys = sys;
  }

  /** undefined for the first sample: a rate needs two. */
  async next(): Promise<Load | undefined> {
    const { dependencies } = this.#context;
    const ends = await this.#hostEnds();
    const uptimeMs = dependencies.uptimeMs();
    const before = this.#before;
    const bytes = new Map<string, number>();
    const moved: Record<string, number> = {};
    for (const [ifname, network] of ends) {
      const traffic = hostEndTraffic(ifname, this.#sys);
      if (!traffic) continue;
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

  /** The `name` of the network by the host end of each attachment. */
  async #hostEnds(): Promise<ReadonlyMap<string, string>> {
    const { dependencies } = this.#context;
    const records = recordDirectory(this.#context);
    const bootId = dependencies.bootId();
    const ends = new Map<string, string>();
    for await (const { record } of records.all()) {
      if (record?.bootId !== bootId) continue;
      const { results } = await records.readResults(record);
      for (const { ifname, list } of record.attachments) {
        const result = results.get(ifname);
        for (const host of result ? hostInterfaces(result) : [])
          ends.set(host, list.name);
      }
    }
    return ends;
  }
}
