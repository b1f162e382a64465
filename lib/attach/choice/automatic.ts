/**
 * Automatic choice (selection.md §10): of the networks of the key `automatic`, the one
 * with the fewest living attachments, or with the least traffic as the agent samples
 * it. A count that fails is no error. Loaded for pods that choose nothing, on nodes
 * with that key.
 */
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import { isObject, own, parseJson } from "../../cni/json.ts";
import { validateNetwork } from "../../cni/network.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { Open, close, openIfAny } from "../../linux/file-calls.ts";
import { tryLock } from "../../linux/flock.ts";
import { readOwnFileIfAny } from "../../linux/own-files.ts";
import { recordedNetns } from "../../linux/netns.ts";
import { plain } from "../../linux/text.ts";
import type { GivenNetworks } from "../../select/selection-context.ts";
import type { AutomaticChoice } from "../../select/config.ts";
import { candidateNamed, isDefaultName } from "../../select/named-network.ts";
import type { Candidate, Networks } from "../../select/node-networks.ts";
import { joined } from "../../select/problem-list.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { Context } from "../context.ts";

/**
 * The first network of the list is a placeholder for the one that `decide` chooses. From
 * `decide` on, other pods wait until this one is recorded, because they count it; the
 * definitions have been read by then, so nobody waits for the API server. Throws 7 if no
 * network of the list can be executed.
 */
export function automaticNetworks(
  context: Context,
  automatic: AutomaticChoice,
  networks: Networks,
): GivenNetworks {
  const usable = usableNetworks(context, automatic.networks, networks);
  const named = ({ candidate, name }: UsableNetwork, origin: string) => ({
    candidate,
    // Without a name, messages show the default network's file key.
    ...(isDefaultName(name, networks)
      ? { origin: `${origin} "default"` }
      : { origin, name }),
    chosenAs: "automatic" as const,
  });
  return {
    networks: usable.slice(0, 1).map((one) => named(one, "")),
    isReported: true,
    async decide(deadline) {
      const release = await lockChoice(context, deadline);
      const { by, loads } = await loadsOf(context, automatic, usable);
      // The first of equals.
      const [least] = usable.toSorted((a, b) => loads(a) - loads(b));
      if (!least) throw new CniError(Code.internal, "no network to choose");
      const counts = usable.map((one) => `${plain(one.name)} ${loads(one)}`);
      const origin = `annotation "cni" is blank: automatic choice by ${by} (${counts.join(", ")}) gives`;
      return { network: named(least, origin), release };
    },
  };
}

interface UsableNetwork {
  name: string;
  candidate: Candidate;
}

/** The networks whose plugins exist. Throws 7 with the reasons if there is none. */
function usableNetworks(
  { path, dependencies, config }: Context,
  names: readonly string[],
  networks: Networks,
): UsableNetwork[] {
  const source = 'configuration key "automatic"';
  const usable: UsableNetwork[] = [];
  const problems: string[] = [];
  for (const name of names) {
    try {
      const candidate = candidateNamed(name, source, config, networks);
      validateNetwork(candidate.list, path, dependencies.self());
      usable.push({ name, candidate });
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (usable.length > 0) return usable;
  throw invalidConfig(
    `${source}: no network of it can be used: ${joined(problems)}`,
  );
}

/** Milliseconds that a choice waits for another one; then it is made without counting that one. */
const waitMs = 20_000;

/**
 * Pods that start at once choose one after the other, until the record of each is
 * written. The lock is on the directory of the data, so no file remains and no other
 * pod waits (the directory of locks is one for all pods on a read-only disk); a killed
 * genie frees it.
 */
async function lockChoice(
  { config, dependencies, log }: Context,
  deadline: Deadline,
): Promise<(() => void) | undefined> {
  try {
    const fd = openIfAny(config.dataDir, Open.readOnly | Open.nonBlocking);
    // Without the directory there are no records to count.
    if (fd === undefined) return undefined;
    const waiting = deadline.atMost(waitMs);
    while (!tryLock(fd) && !waiting.expired) await dependencies.sleep(10);
    return () => close(fd);
  } catch (error) {
    log().warn("failed to wait for other automatic choices", {
      error: messageOf(error),
    });
    return undefined;
  }
}

interface Loads {
  by: AutomaticChoice["by"];
  loads(network: UsableNetwork): number;
}

async function loadsOf(
  context: Context,
  { by }: AutomaticChoice,
  networks: readonly UsableNetwork[],
): Promise<Loads> {
  const traffic = by === "traffic" && readTraffic(context);
  if (traffic)
    return { by, loads: ({ candidate }) => traffic(candidate.list.name) };
  const names = new Set(networks.map(({ candidate }) => candidate.list.name));
  const counts = await countAttachments(context, names);
  return {
    by: "attachments",
    loads: ({ candidate }) => counts.get(candidate.list.name) ?? 0,
  };
}

/** The sample of `genie agent --load`. */
export interface Load {
  /** The time of the sample, as in records. */
  bootId: string;
  uptimeMs: number;
  /** Bytes per second over the host ends of the attachments, by the `name` of the network; absent: none. */
  bytesPerSecond: Readonly<Record<string, number>>;
}

export function loadPath(dataDir: string): string {
  return `${dataDir}/load.json`;
}

/** Milliseconds after which a sample is not used. */
const staleMs = 60_000;
const maxLoadBytes = 1 << 20;

/** Bytes per second by network; undefined if there is no sample of the last minute. */
export function readTraffic({
  config,
  dependencies,
}: Pick<Context, "config" | "dependencies">):
  ((network: string) => number) | undefined {
  try {
    const text = readOwnFileIfAny(loadPath(config.dataDir), maxLoadBytes);
    const load = text === undefined ? undefined : parseLoad(text);
    if (load?.bootId !== dependencies.bootId()) return undefined;
    const age = dependencies.uptimeMs() - load.uptimeMs;
    if (age < 0 || age > staleMs) return undefined;
    return (network) => {
      const rate = own(load.bytesPerSecond, network);
      return typeof rate === "number" ? rate : 0;
    };
  } catch {
    // A damaged file is the same as none.
    return undefined;
  }
}

/** undefined for any other value. Throws for a text that is not JSON. */
export function parseLoad(text: string): Load | undefined {
  const load = parseJson(text);
  return isLoad(load) ? load : undefined;
}

function isLoad(load: unknown): load is Load {
  return (
    typeof own(load, "bootId") === "string" &&
    typeof own(load, "uptimeMs") === "number" &&
    isObject(own(load, "bytesPerSecond"))
  );
}

/** Counts the attachments of this boot whose namespace exists, by the `name` of their network. */
async function countAttachments(
  { request, config, dependencies, log }: Context,
  names: ReadonlySet<string>,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  try {
    const bootId = dependencies.bootId();
    for await (const { record } of recordDirectory({ config }).all()) {
      if (!record || recordedNetns(record, bootId) === "") continue;
      // A left-over of this container is deleted before it is attached again.
      const { containerId, ifname } = record;
      if (containerId === request.containerId && ifname === request.ifname)
        continue;
      for (const { list } of record.attachments)
        if (names.has(list.name))
          counts.set(list.name, (counts.get(list.name) ?? 0) + 1);
    }
  } catch (error) {
    log().warn("failed to count attachments: the first network is chosen", {
      error: messageOf(error),
    });
    return new Map();
  }
  return counts;
}
