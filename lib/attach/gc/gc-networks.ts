/**
 * One GC for each network in use, with the list of its valid attachments (state.md
 * "CHECK, GC, STATUS"). The runtime knows one interface of a container, the delegates'
 * networks know others, so each network gets a list of its own (cni-plugin.md P-GC-4).
 */
import { readConfDir } from "../../cni/confdir.ts";
import type { NetworkConfigList } from "../../cni/conflist.ts";
import { CniError, Code } from "../../cni/error.ts";
import { executesAny } from "../../cni/executable-types.ts";
import { type ValidAttachment, gcNetwork } from "../../cni/network-upkeep.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { statusIfAny } from "../../linux/files.ts";
import { quote } from "../../linux/text.ts";
import { ownTypes } from "../../select/node-networks.ts";
import { defaultNetworks } from "../../select/default-network.ts";
import type { Lock } from "../../state/lock.ts";
import { withRecordsAlone } from "../../state/records-lock.ts";
import { type Context, prefixNetwork, readNetworks } from "../context.ts";
import { delegateCaller } from "../delegates.ts";
import type { MultusAttachment } from "../foreign/multus-record.ts";
import type {
  NetworkInUse,
  RecordSummary,
  RecordSurvey,
  RecordSurveyor,
} from "./record-survey.ts";
import type { ValidAttachments } from "./valid-attachments.ts";

/**
 * Whether `confDir` has no genie network beside the one of this GC. The runtime does not
 * list the attachments of another one, so records that may belong to it stay.
 */
export function isOnlyGenieNetwork({ config, request }: Context): boolean {
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

interface NetworksGc {
  context: Context;
  valid: ValidAttachments;
  surveyor: RecordSurveyor;
  /** The records at the start of this GC. */
  before: RecordSurvey;
  /** Records that this GC deleted or tried to delete: none of their attachments is valid. */
  stale: readonly RecordSummary[];
  isOnly: boolean;
}

type NetworkToCollect = Pick<NetworkInUse, "list" | "path">;

/** Tries all networks; returns the errors. */
export async function gcNetworks(
  gc: NetworksGc,
  deadline: Deadline,
): Promise<CniError[]> {
  const refused = refusals(await gc.surveyor.read());
  if (refused.length > 0) return refused;
  const networks = networksToCollect(gc);
  let ofMultus: readonly MultusAttachment[];
  try {
    ofMultus = await readMultus(gc);
  } catch (error) {
    return [CniError.from(error)];
  }
  const errors: CniError[] = [];
  for (const [i, network] of networks.entries()) {
    const fromMultus = ofMultus
      .filter((one) => one.network === network.list.name)
      .map(({ pair }) => pair);
    try {
      const share = deadline.share(networks.length - i);
      await collectNetwork(gc, network, fromMultus, share);
    } catch (error) {
      errors.push(prefixNetwork(error, undefined, network.list.name));
    }
  }
  return errors;
}

/** Loads the code only on a node that has Multus' directory. */
async function readMultus({
  context,
  valid,
  before,
}: NetworksGc): Promise<MultusAttachment[]> {
  const { multusDir } = context.config;
  if (multusDir === "" || statusIfAny(multusDir) === undefined) return [];
  const { attachmentsOfMultus } = await import("../foreign/multus-record.ts");
  return attachmentsOfMultus(context, valid.without(before.records));
}

/** No ADD writes a record meanwhile: each record is in the list, or its delegates run later. */
async function collectNetwork(
  gc: NetworksGc,
  { list, path }: NetworkToCollect,
  fromMultus: readonly ValidAttachment[],
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
    const valid = [...validFor(list.name, gc, now.records), ...fromMultus];
    const caller = delegateCaller(context, lock);
    await gcNetwork(list, valid, searched, deadline, caller);
  };
  await withRecordsAlone(context, deadline, work);
}

/** The interfaces of an unreadable record are unknown, so no list of valid attachments would be complete. */
function refusals({ unreadable }: RecordSurvey): CniError[] {
  return unreadable.map(
    ({ name, error }) =>
      new CniError(
        // 11 for a record of a newer genie, as in DEL.
        error instanceof CniError ? error.code : Code.io,
        `refusing GC of networks: unreadable attachment record ${quote(name)}: ${messageOf(error)}`,
      ),
  );
}

/**
 * The attachments that one network must keep: the recorded ones, and those that the
 * runtime made before genie was installed.
 */
function validFor(
  network: string,
  { valid, stale }: NetworksGc,
  records: readonly RecordSummary[],
): ValidAttachment[] {
  const staleAdds = new Set(stale.map(keyOfAdd));
  const recorded: ValidAttachment[] = [];
  for (const record of records) {
    // A record that could not be deleted is still there, but nothing of it is valid.
    if (staleAdds.has(keyOfAdd(record))) continue;
    const { containerId: containerID } = record;
    for (const attachment of record.attachments)
      if (attachment.network === network)
        recorded.push({ containerID, ifname: attachment.ifname });
  }
  return [...recorded, ...valid.without([...records, ...stale])];
}

/** Equal if `isSameAdd` is true. */
function keyOfAdd(record: RecordSummary): string {
  const { containerId, ifname, bootId, uptimeMs } = record;
  return [containerId, ifname, bootId, uptimeMs].join(":");
}

/** One for each network name: today's default networks, else the newest record's configuration. */
function networksToCollect(gc: NetworksGc): NetworkToCollect[] {
  const { context, before, isOnly } = gc;
  const chosen = new Map<string, NetworkToCollect>();
  for (const [name, network] of before.networks)
    if (isOurs(gc, network)) chosen.set(name, network);
  for (const list of currentDefaults(context)) {
    const isRecorded = before.networks.has(list.name);
    // Without a record it is unknown which of several genie networks it is of.
    if (isRecorded ? chosen.has(list.name) : isOnly)
      chosen.set(list.name, { list, path: [] });
  }
  return [...chosen.values()];
}

/**
 * Whether all its records name the genie network of this GC: the runtime does not list
 * the interfaces of another one.
 */
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
    // No default network today: STATUS says so, GC goes on with the others.
    return [];
  }
}
