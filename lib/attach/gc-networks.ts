/**
 * One GC for each network in use, told what must stay (state.md "CHECK, GC,
 * STATUS"). The runtime knows one interface of a container, the delegates'
 * networks know others, so each network gets a list of its own (cni-plugin.md
 * P-GC-4).
 */
import { readConfDir } from "../cni/confdir.ts";
import type { NetworkConfigList } from "../cni/conflist.ts";
import { isObject, mismatch, own } from "../cni/json.ts";
import { CniError, Code } from "../cni/error.ts";
import { executesAny } from "../cni/executable-types.ts";
import { type ValidAttachment, gcNetwork } from "../cni/network.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { statusIfAny } from "../linux/files.ts";
import { quote } from "../linux/text.ts";
import { defaultNetworks, ownTypes } from "../select/node-networks.ts";
import {
  type Context,
  delegateCaller,
  prefixNetwork,
  readNetworks,
} from "./context.ts";
import { type Lock, withRecordsAlone } from "./lock.ts";
import type { AttachmentRecord } from "./record.ts";
import { Records } from "./records.ts";

/**
 * Whether `confDir` has no other genie network than the one that is asked. Of
 * another one the runtime tells us nothing, so what may be of it is left alone.
 */
export function isOnlyGenieNetwork(context: Context): boolean {
  const { config, request } = context;
  const types = ownTypes(config);
  try {
    return readConfDir(config.confDir).every(
      ({ list }) =>
        list === undefined ||
        list.name === request.config.name ||
        !executesAny(list.plugins, types),
    );
  } catch {
    return false;
  }
}

export interface NetworksGc {
  context: Context;
  valid: ValidAttachments;
  surveyor: RecordSurveyor;
  /** What was recorded when this GC began. */
  before: RecordSurvey;
  /** Records that were deleted, or should have been: nothing of them is valid. */
  stale: readonly RecordSummary[];
  isOnly: boolean;
}

/** Tries all networks; what failed. */
export async function gcNetworks(
  gc: NetworksGc,
  deadline: Deadline,
): Promise<CniError[]> {
  const refused = refusals(await gc.surveyor.read());
  if (refused.length > 0) return refused;
  const networks = networksToCollect(gc);
  const errors: CniError[] = [];
  for (const [i, network] of networks.entries()) {
    if (deadline.expired) {
      errors.push(noTimeFor(networks.slice(i)));
      break;
    }
    try {
      await collect(gc, network, deadline.share(networks.length - i));
    } catch (error) {
      errors.push(
        prefixNetwork(CniError.from(error), undefined, network.list.name),
      );
    }
  }
  return errors;
}

type NetworkToCollect = Pick<NetworkInUse, "list" | "path">;

/** While GC is alone with the records: see `withRecordsAlone`. */
async function collect(
  gc: NetworksGc,
  { list, path }: NetworkToCollect,
  deadline: Deadline,
): Promise<void> {
  const { context, surveyor } = gc;
  const searched = [...new Set([...context.path, ...path])];
  const work = async (lock: Pick<Lock, "fd">) => {
    // Read again for each network: pods are attached while we work.
    const now = await surveyor.read();
    const [refused] = refusals(now);
    if (refused) throw refused;
    if (!isOurs(gc, now.networks.get(list.name))) return;
    const valid = validFor(list.name, gc, now.records);
    await gcNetwork(
      list,
      valid,
      searched,
      deadline,
      delegateCaller(context, lock),
    );
  };
  await withRecordsAlone(context, deadline, work);
}

/** Whose interfaces an unreadable record holds is unknown, so no network can be told what must stay. */
function refusals({ unreadable }: RecordSurvey): CniError[] {
  return unreadable.map(
    ({ name, error }) =>
      new CniError(
        Code.io,
        `refusing GC of networks: unreadable attachment record ${quote(name)}: ${messageOf(error)}`,
      ),
  );
}

function noTimeFor(networks: readonly NetworkToCollect[]): CniError {
  const names = networks.map(({ list }) => quote(list.name));
  return new CniError(
    Code.tryAgainLater,
    `no time left for GC of ${names.join(", ")}`,
  );
}

/** What one network must keep: what is recorded, and what the runtime knows of pods that are older than we are. */
function validFor(
  network: string,
  { valid, stale }: NetworksGc,
  records: readonly RecordSummary[],
): ValidAttachment[] {
  const recorded: ValidAttachment[] = [];
  const staleAdds = new Set(stale.map(keyOfAdd));
  for (const record of records) {
    // A record that could not be deleted is still there, but nothing of it is valid.
    if (staleAdds.has(keyOfAdd(record))) continue;
    for (const attachment of record.attachments) {
      if (attachment.network !== network) continue;
      const { ifname } = attachment;
      recorded.push({ containerID: record.containerId, ifname });
    }
  }
  return [...recorded, ...valid.without([...records, ...stale])];
}

/** One for each network name: today's default networks, else the newest record's configuration. */
function networksToCollect(gc: NetworksGc): NetworkToCollect[] {
  const { context, before, isOnly } = gc;
  const chosen = new Map<string, NetworkToCollect>();
  for (const [name, network] of before.networks) {
    if (isOurs(gc, network)) chosen.set(name, network);
  }
  for (const list of currentDefaults(context)) {
    const isRecorded = before.networks.has(list.name);
    // Without a record nobody knows which of several genie networks it is of.
    if (isRecorded ? chosen.has(list.name) : isOnly)
      chosen.set(list.name, { list, path: [] });
  }
  return [...chosen.values()];
}

/** Whether all its records name the genie network that is asked; another one has interfaces that the runtime does not tell us of. */
function isOurs(
  { context }: NetworksGc,
  network: NetworkInUse | undefined,
): boolean {
  const { name } = context.request.config;
  return !network || [...network.owners].every((owner) => owner === name);
}

function currentDefaults(context: Context): NetworkConfigList[] {
  try {
    return defaultNetworks(context.config, readNetworks(context)).map(
      ({ candidate }) => candidate.list,
    );
  } catch {
    // No default network today: STATUS says so, GC does what it can.
    return [];
  }
}

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

  async read(): Promise<RecordSurvey> {
    const { config, dependencies } = this.#context;
    const readMs = dependencies.now().getTime();
    const directory = statusIfAny(`${config.dataDir}/attachments`);
    const changedMs = directory?.modifiedMs ?? readMs;
    const last = this.#last;
    if (last?.changedMs === changedMs && last.readMs - changedMs > settledMs) {
      return last.survey;
    }
    const survey = await surveyOf(this.#context);
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

async function surveyOf({
  records: store,
  dependencies,
}: Context): Promise<RecordSurvey> {
  const bootId = dependencies.bootId();
  const records: RecordSummary[] = [];
  const unreadable: RecordSurvey["unreadable"][number][] = [];
  const networks = new Map<string, Dated>();
  for await (const { name, record, error } of store.all()) {
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

type Attached = Pick<AttachmentRecord, "containerId" | "ifname">;

export class ValidAttachments {
  readonly pairs: readonly ValidAttachment[];
  /** Of their records' files; one may be hashed, and then does not tell the pair. */
  readonly #names: ReadonlySet<string>;

  /** Throws 7 when the key is absent: `null` is an empty list, absent is nothing that could be meant (P-GC-2). */
  constructor(config: object) {
    this.pairs = pairsOf(config);
    this.#names = new Set(
      this.pairs.map(({ containerID, ifname }) =>
        Records.nameOf(containerID, ifname),
      ),
    );
  }

  has({ containerId, ifname }: Attached): boolean {
    return this.hasName(Records.nameOf(containerId, ifname));
  }

  hasName(name: string): boolean {
    return this.#names.has(name);
  }

  /** Those of which nothing is recorded: pods that are older than we are. */
  without(recorded: Iterable<Attached>): ValidAttachment[] {
    const names = new Set<string>();
    for (const { containerId, ifname } of recorded)
      names.add(Records.nameOf(containerId, ifname));
    return this.pairs.filter(
      ({ containerID, ifname }) =>
        !names.has(Records.nameOf(containerID, ifname)),
    );
  }
}

const keys = ["cni.dev/valid-attachments", "cni.dev/attachments"] as const;

function pairsOf(config: object): ValidAttachment[] {
  const key = keys.find((name) => own(config, name) !== undefined);
  if (key === undefined) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `refusing GC without a list of valid attachments: "${keys[0]}" is missing`,
    );
  }
  const value = own(config, key);
  if (value === null) return [];
  if (!Array.isArray(value))
    throw invalid(`${key}: ${mismatch("an array", value)}`);
  return value.map((entry: unknown, i) => {
    if (!isObject(entry))
      throw invalid(`${key}.${i}: ${mismatch("an object", entry)}`);
    const text = (name: string): string => {
      const given = own(entry, name);
      if (typeof given === "string") return given;
      throw invalid(`${key}.${i}.${name}: ${mismatch("a string", given)}`);
    };
    return { containerID: text("containerID"), ifname: text("ifname") };
  });
}

function invalid(problem: string): CniError {
  return new CniError(
    Code.invalidNetworkConfig,
    `invalid configuration: ${problem}`,
  );
}
