/**
 * GC's view of the records of the node: a summary of each, and the networks of delegates
 * that they name.
 */
import type { NetworkConfigList } from "../../cni/conflist.ts";
import {
  type DirectoryReading,
  isUnchanged,
  recordDirectory,
} from "../../state/record-directory.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import type { Context } from "../context.ts";

export interface RecordSummary extends Pick<
  AttachmentRecord,
  "containerId" | "ifname" | "network" | "bootId" | "uptimeMs"
> {
  attachments: { network: string; ifname: string }[];
  /** The number of its failed DELs. */
  failedDels: number;
}

/** A network of delegates that is recorded. */
export interface NetworkInUse {
  /** The configuration in the newest record. */
  list: NetworkConfigList;
  path: readonly string[];
  /** The genie networks whose records name it. */
  owners: Set<string>;
}

/**
 * A summary of each record, and the newest configuration of each network: whole
 * records may be large.
 */
export interface RecordSurvey {
  records: readonly RecordSummary[];
  unreadable: readonly { name: string; error: unknown }[];
  /** The networks by name; that of the oldest record comes first. */
  networks: ReadonlyMap<string, NetworkInUse>;
}

/**
 * Surveys all records of the node; repeated only if a record was added, removed or
 * replaced since.
 */
export class RecordSurveyor {
  readonly #context: Context;
  #last: { survey: RecordSurvey; reading: DirectoryReading } | undefined;

  constructor(context: Context) {
    this.#context = context;
  }

  async read(): Promise<RecordSurvey> {
    const now = this.#context.dependencies.now().getTime();
    const reading = recordDirectory(this.#context).reading(now);
    if (this.#last && isUnchanged(this.#last.reading, reading))
      return this.#last.survey;
    const survey = await surveyRecords(this.#context);
    this.#last = { survey, reading };
    return survey;
  }
}

/** On the clock that never runs backwards; a record of another boot is older, and has only the time of day. */
type Age = readonly [uptimeMs: number, time: string];

interface DatedNetwork extends NetworkInUse {
  newest: Age;
  oldest: Age;
}

async function surveyRecords(context: Context): Promise<RecordSurvey> {
  const bootId = context.dependencies.bootId();
  const records: RecordSummary[] = [];
  const unreadable: RecordSurvey["unreadable"][number][] = [];
  const networks = new Map<string, DatedNetwork>();
  for await (const { name, record, error } of recordDirectory(context).all()) {
    if (!record) {
      unreadable.push({ name, error });
      continue;
    }
    records.push(summaryOf(record));
    const isOfThisBoot = record.bootId === bootId;
    const age: Age = [isOfThisBoot ? record.uptimeMs : -1, record.time];
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
  const ofAdd = { containerId, ifname, network, bootId, uptimeMs };
  return { ...ofAdd, attachments, failedDels };
}

function addUse(
  networks: Map<string, DatedNetwork>,
  list: NetworkConfigList,
  { network, path }: AttachmentRecord,
  age: Age,
): void {
  const before = networks.get(list.name);
  const owners = (before?.owners ?? new Set()).add(network);
  const isNewest = !before || compareAges(age, before.newest) >= 0;
  const isOldest = !before || compareAges(age, before.oldest) < 0;
  networks.set(list.name, {
    ...(isNewest ? { list, path, newest: age } : before),
    oldest: isOldest ? age : before.oldest,
    owners,
  });
}

function compareAges([a, aTime]: Age, [b, bTime]: Age): number {
  return a - b || (aTime < bTime ? -1 : Number(aTime > bTime));
}
