/**
 * One GC for each network in use, told what must stay (state.md "CHECK, GC,
 * STATUS"). The runtime knows one interface of a container, the delegates'
 * networks know others, so each network gets a list of its own (cni-plugin.md
 * P-GC-4).
 */
import { readConfDir } from "../cni/confdir.ts";
import type { NetworkConfigList } from "../cni/conflist.ts";
import type { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { executesAny } from "../cni/executable-types.ts";
import { type ValidAttachment, gcNetwork } from "../cni/network.ts";
import { defaultNetworks } from "../select/select.ts";
import type { Lock } from "./lock.ts";
import {
  type Context,
  delegateCaller,
  prefixNetwork,
  ownTypes,
  readNetworks,
} from "./context.ts";
import {
  type NetworkInUse,
  type RecordSummary,
  type RecordSurvey,
  type RecordSurveyor,
  keyOfAdd,
} from "./record-survey.ts";
import { withRecords } from "./records-lock.ts";
import type { ValidAttachments } from "./valid-attachments.ts";

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
  const refused = refusals(gc.surveyor.read());
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

/** While GC is alone with the records: see {@link withRecords}. */
async function collect(
  gc: NetworksGc,
  { list, path }: NetworkToCollect,
  deadline: Deadline,
): Promise<void> {
  const { context, surveyor } = gc;
  const { config, dependencies } = context;
  const searched = [...new Set([...context.path, ...path])];
  const work = async (lock: Pick<Lock, "fd">) => {
    // Read again for each network: pods are attached while we work.
    const now = surveyor.read();
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
  await withRecords(
    "alone",
    config.dataDir,
    deadline,
    dependencies.sleep,
    work,
  );
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
      ({ list }) => list,
    );
  } catch {
    // No default network today: STATUS says so, GC does what it can.
    return [];
  }
}
