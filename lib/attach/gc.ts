/**
 * GC: records that the runtime no longer knows are deleted, then every network
 * in use is told what must stay (state.md "CHECK, GC, STATUS"). The runtime
 * knows one interface of a container, the delegates' networks know others, so
 * each network gets a list of its own (cni-plugin.md P-GC-4).
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { Deadline } from "../cni/deadline.ts";
import { Code, CniError, messageOf, quote } from "../cni/error.ts";
import { listIfAny, requireOwnFolder } from "../cni/files.ts";
import { isObject, jsonKind, own } from "../cni/json.ts";
import {
  type ValidAttachment,
  gcNetwork,
  throwJoined,
} from "../cni/network.ts";
import { defaultNetworks } from "../select/select.ts";
import { deleteRecorded } from "./del.ts";
import { leastShareMs } from "./delegates.ts";
import { deleteRecord } from "./delete-record.ts";
import { isWorkedOn, lockIfLeft, whileLocked } from "./lock.ts";
import { readNetworks } from "./networks.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
} from "./operation.ts";
import { recordedNetns } from "./netns.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
  type RecordEntry,
  isSameAdd,
} from "./record.ts";
import { withRecords } from "./records-lock.ts";
import { abandonedByNow, retryAbandoned } from "./retry-abandoned.ts";

/** Goes on after errors; throws the first with the others in its details. */
export async function gc(operation: Operation): Promise<void> {
  const { request, config, world, records } = operation;
  if (isNested(operation)) return;
  requireOwnFolder(`${config.dataDir}/locks`);
  const valid = validAttachments(request.config);
  const began = { bootId: world.bootId(), uptimeMs: world.uptimeMs() };
  const deadline = new Deadline(phases.gc, world.clock);
  const errors: CniError[] = [];
  // Not what this GC itself will abandon.
  const abandoned = abandonedByNow(operation);

  const isValid = pairs(valid);
  const stale: AttachmentRecord[] = [];
  for (const { record } of records.all()) {
    if (
      record?.network === request.config.name &&
      !isValid.has(pairOf(record)) &&
      !isNewer(record, began) &&
      // An ADD that is under way cannot be in the runtime's list yet.
      !isWorkedOn(config.dataDir, record.containerId)
    )
      stale.push(record);
  }
  // Half of the time is the networks': a stale record that hangs must not cost them theirs.
  const forRecords = deadline.atMost(deadline.remaining / 2);
  // Those first of which no DEL has failed yet, so that every GC makes progress.
  const inOrder = stale.toSorted((a, b) => failedDels(a) - failedDels(b));
  for (const [i, record] of inOrder.entries()) {
    const share = forRecords.share(stale.length - i, leastShareMs);
    try {
      await deleteStale(operation, record, share);
    } catch (error) {
      errors.push(CniError.from(error));
    }
  }
  errors.push(...(await deleteUnreadable(operation, isValid, forRecords)));
  errors.push(...(await gcNetworks(operation, valid, stale, deadline)));
  errors.push(...removeLitter(operation));
  await retryLast(operation, abandoned, deadline);
  throwJoined(errors);
}

/** What was abandoned comes last, and fails no GC (state.md "Never stuck, never forgotten"). */
async function retryLast(
  operation: Operation,
  abandoned: Iterable<RecordEntry>,
  deadline: Deadline,
): Promise<void> {
  const { request, log } = operation;
  try {
    const { kept } = await retryAbandoned(
      operation,
      abandoned,
      deadline,
      request.config.name,
    );
    for (const { what, why } of kept)
      log.info("kept an abandoned attachment", { container: what, why });
  } catch (error) {
    log.warn("failed to try what was abandoned", { error: messageOf(error) });
  }
}

function failedDels({ failures }: AttachmentRecord): number {
  return failures?.count ?? 0;
}

/**
 * Unreadable records of containers that the runtime does not know: no DEL will
 * ever come that moves them aside. Each is an error once, as at DEL.
 */
async function deleteUnreadable(
  operation: Operation,
  isValid: ReadonlySet<string>,
  deadline: Deadline,
): Promise<CniError[]> {
  const { request, records } = operation;
  const errors: CniError[] = [];
  for (const { name, error } of records.all()) {
    // A hashed name does not tell whose record it is.
    const [containerId = "", ifname] = name.split(":");
    if (!(error instanceof CorruptRecord) || !ifname || isValid.has(name))
      continue;
    const pair = { containerId, ifname, netns: "", args: "" };
    try {
      await whileLocked(operation, containerId, deadline, (lock) =>
        deleteRecorded(
          { ...operation, request: { ...request, ...pair } },
          lock,
          deadline,
        ),
      );
    } catch (cause) {
      errors.push(CniError.from(cause));
    }
  }
  return errors;
}

/** What a genie left that was killed before it had a record: a lock that nobody holds, files without their names. */
export function removeLitter({ config, records }: Operation): CniError[] {
  const errors: CniError[] = [];
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (error) {
      errors.push(CniError.from(error));
    }
  };
  const folder = `${config.dataDir}/locks`;
  for (const containerId of listIfAny(folder)) {
    attempt(() => {
      const lock = lockIfLeft(`${folder}/${containerId}`);
      if (lock) records.removeUnnamed(containerId);
      lock?.release();
    });
  }
  attempt(() => records.removeLone());
  return errors;
}

/** Throws 7 when the key is absent: `null` is an empty list, absent is nothing that could be meant (P-GC-2). */
function validAttachments(config: object): ValidAttachment[] {
  const keys = ["cni.dev/valid-attachments", "cni.dev/attachments"];
  const key = keys.find((name) => own(config, name) !== undefined);
  if (key === undefined) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `refusing GC without a list of valid attachments: "${keys[0]}" is missing`,
    );
  }
  const value = own(config, key);
  if (value === null) return [];
  const fail = (problem: string): never => {
    throw new CniError(
      Code.invalidNetworkConfig,
      `invalid configuration: ${key}${problem}`,
    );
  };
  if (!Array.isArray(value))
    return fail(`: expected a list, got ${jsonKind(value)}`);
  return value.map((entry: unknown, i) => {
    const containerID = own(entry, "containerID");
    const ifname = own(entry, "ifname");
    if (
      !isObject(entry) ||
      typeof containerID !== "string" ||
      typeof ifname !== "string"
    ) {
      return fail(`.${i}: expected "containerID" and "ifname"`);
    }
    return { containerID, ifname };
  });
}

function pairs(attachments: readonly ValidAttachment[]): ReadonlySet<string> {
  return new Set(
    attachments.map(({ containerID, ifname }) => `${containerID}:${ifname}`),
  );
}

/** Written after this GC began, by an ADD that the runtime's list cannot know of. */
function isNewer(
  record: AttachmentRecord,
  began: Pick<AttachmentRecord, "bootId" | "uptimeMs">,
) {
  return record.bootId === began.bootId && record.uptimeMs > began.uptimeMs;
}

function pairOf({
  containerId,
  ifname,
}: Pick<AttachmentRecord, "containerId" | "ifname">): string {
  return `${containerId}:${ifname}`;
}

/** Deletes a record as DEL would; "gone" where it has become another one in the meantime, or none. */
export function deleteStale(
  operation: Operation,
  record: AttachmentRecord,
  deadline: Deadline,
): Promise<"deleted" | "abandoned" | "gone"> {
  const { world, records } = operation;
  return whileLocked(operation, record.containerId, deadline, async (lock) => {
    const current = records.read(record.containerId, record.ifname);
    if (!current || !isSameAdd(current, record)) return "gone";
    const netns = recordedNetns(current, world.bootId());
    return deleteRecord(operation, current, netns, lock, deadline);
  });
}

async function gcNetworks(
  operation: Operation,
  valid: readonly ValidAttachment[],
  stale: readonly AttachmentRecord[],
  deadline: Deadline,
): Promise<CniError[]> {
  const { path, config, world } = operation;
  const errors: CniError[] = [];
  const records: AttachmentRecord[] = [];
  for (const { name, record, error } of operation.records.all()) {
    if (record) records.push(record);
    else
      errors.push(
        new CniError(
          Code.io,
          `refusing GC of networks: unreadable attachment record ${quote(name)}: ${messageOf(error)}`,
        ),
      );
  }
  // Whose interfaces they hold is unknown, so no network can be told what must stay.
  if (errors.length > 0) return errors;
  const networks = networksInUse(operation, [...records, ...stale]);
  for (const [i, { list, path: recordedPath }] of networks.entries()) {
    const searched = [...new Set([...path, ...recordedPath])];
    const share = deadline.share(networks.length - i);
    try {
      await withRecords(
        "alone",
        config.dataDir,
        share,
        world.sleep,
        // Read again for each network: pods are attached while we work.
        (lock) =>
          gcNetwork(
            list,
            validFor(list.name, valid, stale, readable(operation)),
            searched,
            share,
            callerOf(operation, lock),
          ),
      );
    } catch (error) {
      errors.push(ofNetwork(CniError.from(error), undefined, list.name));
    }
  }
  return errors;
}

function readable({ records }: Operation): AttachmentRecord[] {
  const all: AttachmentRecord[] = [];
  for (const { record } of records.all()) if (record) all.push(record);
  return all;
}

/** What one network must keep: what is recorded, and what the runtime knows of pods that are older than we are. */
function validFor(
  network: string,
  valid: readonly ValidAttachment[],
  stale: readonly AttachmentRecord[],
  records: readonly AttachmentRecord[],
): ValidAttachment[] {
  // A record that could not be deleted is still there, but nothing of it is valid.
  const stays = records.filter(
    (record) => !stale.some((other) => isSameAdd(other, record)),
  );
  const recorded = new Set([...records, ...stale].map(pairOf));
  const unrecorded = valid.filter(
    ({ containerID, ifname }) => !recorded.has(`${containerID}:${ifname}`),
  );
  return [...attachmentsOf(network, stays), ...unrecorded];
}

function attachmentsOf(
  network: string,
  records: readonly AttachmentRecord[],
): ValidAttachment[] {
  return records.flatMap(({ containerId, attachments }) =>
    attachments
      .filter(({ list }) => list.name === network)
      .map(({ ifname }) => ({ containerID: containerId, ifname })),
  );
}

interface NetworkInUse {
  list: NetworkConfigList;
  path: readonly string[];
}

/** One for each network name: today's default networks, else the newest record's configuration. */
function networksInUse(
  operation: Operation,
  records: readonly AttachmentRecord[],
): NetworkInUse[] {
  const byName = new Map<string, NetworkInUse>();
  for (const { attachments, path } of records.toSorted(byAge(operation))) {
    for (const { list } of attachments) byName.set(list.name, { list, path });
  }
  for (const list of currentDefaults(operation))
    byName.set(list.name, { list, path: [] });
  return [...byName.values()];
}

/** Oldest first, by the clock that never runs backwards; what is of another boot is older. */
function byAge({ world }: Operation) {
  const bootId = world.bootId();
  const age = (record: AttachmentRecord) =>
    record.bootId === bootId ? record.uptimeMs : -1;
  return (a: AttachmentRecord, b: AttachmentRecord) => age(a) - age(b);
}

function currentDefaults(operation: Operation): NetworkConfigList[] {
  try {
    return defaultNetworks(operation.config, readNetworks(operation)).map(
      ({ list }) => list,
    );
  } catch {
    // No default network today: STATUS says so, GC does what it can.
    return [];
  }
}
