/**
 * What GC needs to know of all records of a node. It holds one record at a time
 * and keeps a few words of each; of each network the newest configuration.
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { statusIfAny } from "../linux/files.ts";
import type { Context } from "./context.ts";
import type { AttachmentRecord } from "./record.ts";

export interface RecordSummary extends Pick<
  AttachmentRecord,
  "containerId" | "ifname" | "network" | "bootId" | "uptimeMs"
> {
  attachments: { network: string; ifname: string }[];
  /** How many DELs of it have failed. */
  failedDels: number;
}

/** The same for all that is recorded of one ADD, at any time; see `isSameAdd`. */
export function keyOfAdd(
  record: Pick<RecordSummary, "containerId" | "ifname" | "bootId" | "uptimeMs">,
): string {
  const { containerId, ifname, bootId, uptimeMs } = record;
  return [containerId, ifname, bootId, uptimeMs].join(":");
}

/** A network of delegates that is recorded. */
export interface NetworkInUse {
  /** Of the newest record. */
  list: NetworkConfigList;
  path: readonly string[];
  /** The genie networks whose records name it. */
  owners: Set<string>;
}

export interface RecordSurvey {
  records: readonly RecordSummary[];
  unreadable: readonly { name: string; error: unknown }[];
  /** By the network's name; that of the oldest record comes first. */
  networks: ReadonlyMap<string, NetworkInUse>;
}

/** A directory that was changed so shortly before it was read may have changed in the same moment again. */
const settledMs = 1000;

/** Reads the records, and again only where one has come, gone or been replaced since. */
export class RecordSurveyor {
  readonly #context: Context;
  #last:
    { survey: RecordSurvey; changedMs: number; readMs: number } | undefined;

  constructor(context: Context) {
    this.#context = context;
  }

  read(): RecordSurvey {
    const { config, dependencies } = this.#context;
    const readMs = dependencies.now().getTime();
    const directory = statusIfAny(`${config.dataDir}/attachments`);
    const changedMs = directory?.modifiedMs ?? readMs;
    const last = this.#last;
    if (last?.changedMs === changedMs && last.readMs - changedMs > settledMs) {
      return last.survey;
    }
    const survey = surveyOf(this.#context);
    this.#last = { survey, changedMs, readMs };
    return survey;
  }
}

interface Dated extends NetworkInUse {
  newest: Age;
  oldest: Age;
}

/** On the clock that never runs backwards; what is of another boot is older, and has only the time of day. */
type Age = readonly [uptimeMs: number, time: string];

function surveyOf({ records: store, dependencies }: Context): RecordSurvey {
  const bootId = dependencies.bootId();
  const records: RecordSummary[] = [];
  const unreadable: RecordSurvey["unreadable"][number][] = [];
  const networks = new Map<string, Dated>();
  for (const { name, record, error } of store.all()) {
    if (!record) {
      unreadable.push({ name, error });
      continue;
    }
    records.push(summaryOf(record));
    const age = [
      record.bootId === bootId ? record.uptimeMs : -1,
      record.time,
    ] as const;
    for (const { list } of record.attachments)
      addUse(networks, list, record, age);
  }
  const inOrder = [...networks].toSorted(([, a], [, b]) =>
    compareAges(a.oldest, b.oldest),
  );
  return { records, unreadable, networks: new Map(inOrder) };
}

function summaryOf(record: AttachmentRecord): RecordSummary {
  const { containerId, ifname, network, bootId, uptimeMs } = record;
  const attachments = record.attachments.map((attachment) => ({
    network: attachment.list.name,
    ifname: attachment.ifname,
  }));
  const failedDels = record.failures?.count ?? 0;
  return {
    containerId,
    ifname,
    network,
    bootId,
    uptimeMs,
    attachments,
    failedDels,
  };
}

function addUse(
  networks: Map<string, Dated>,
  list: NetworkConfigList,
  { network, path }: AttachmentRecord,
  age: Age,
): void {
  const known = networks.get(list.name);
  const owners = known?.owners ?? new Set();
  owners.add(network);
  if (!known) {
    networks.set(list.name, { list, path, owners, newest: age, oldest: age });
    return;
  }
  if (compareAges(age, known.oldest) < 0) known.oldest = age;
  if (compareAges(age, known.newest) < 0) return;
  known.newest = age;
  known.list = list;
  known.path = path;
}

function compareAges([a, aTime]: Age, [b, bTime]: Age): number {
  return a - b || (aTime < bTime ? -1 : Number(aTime > bTime));
}
