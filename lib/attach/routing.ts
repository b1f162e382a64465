/**
 * What the networks of one pod do to each other (selection.md §8): the default route
 * has one owner, a plugin that insists on a default route of its own is tried again,
 * every interface is still there. Loaded for a pod with several attachments, and for
 * one that asks for `default-route`.
 */
import { CniError, Code } from "../cni/error.ts";
import { type Result, modernResult } from "../cni/result.ts";
import { formatIp } from "../linux/address.ts";
import { messageOf } from "../linux/errno.ts";
import { namespaceId } from "../linux/netns.ts";
import type {
  DefaultRouteRequest,
  Plan,
  Route,
  Rtnetlink,
  Snapshot,
} from "../linux/routes.ts";
import { quote } from "../linux/text.ts";
import { type Attachment, displayName } from "../select/attachment.ts";
import { type Context, prefixNetwork } from "./context.ts";
import {
  type RequestedDefaultRoute,
  describeRerouting,
  printable,
  requestedDefaultRoute,
  rerouted,
  tablesOf,
} from "./default-route.ts";
import { logs } from "./log.ts";
import type { AttachmentRouting } from "./record.ts";
import { podInterfaces } from "../cni/result-query.ts";
import type * as netlinkRoom from "../linux/routes.ts";

type Netlink = typeof netlinkRoom;

/** An attachment that has been added, and the interfaces of it that were in the pod then: name → index. */
interface Added {
  attachment: Attachment;
  interfaces: ReadonlyMap<string, number>;
  /** Its default routes, and what leads to their gateways. */
  waysOut: readonly Route[];
}

/** The results after the default routes have moved, and what DEL has to remove. */
export interface Settled {
  /** As they are recorded, and as the pod's status tells them. */
  stored: Result[];
  /** The same in what the runtime's version can say. */
  printable: Result[];
  tables: ReadonlyMap<string, AttachmentRouting>;
}

/** undefined where CNI_NETNS is no network namespace: there is nothing to read. */
export async function openRouting(
  context: Context,
  attachments: readonly Attachment[],
): Promise<PodRouting | undefined> {
  const { netns } = context.request;
  const isAsked = attachments.some(({ extras }) => extras?.defaultRoute);
  if (namespaceId(netns) === undefined && !isAsked) return undefined;
  const netlink = await import("../linux/routes.ts");
  return new PodRouting(context, attachments, netlink);
}

/** {@link apply} or {@link undo} ends it and closes its socket. */
export class PodRouting {
  readonly #context: Context;
  readonly #attachments: readonly Attachment[];
  readonly #netlink: Netlink;
  #opened: Rtnetlink | undefined;
  readonly #added: Added[] = [];
  #plan: Plan | undefined;

  constructor(
    context: Context,
    attachments: readonly Attachment[],
    netlink: Netlink,
  ) {
    this.#context = context;
    this.#attachments = attachments;
    this.#netlink = netlink;
  }

  /** Called while a delegate runs: code costs most when it first runs. Never throws. */
  prepare(): void {
    if (this.#opened) return;
    try {
      this.#routing.links();
    } catch {
      // Reported by the call that needs the list.
    }
  }

  /** The result of `add`; after "file exists" `del` undoes it, and it may be tried once more. */
  async execute(
    add: () => Promise<Result>,
    del: () => Promise<void>,
  ): Promise<Result> {
    try {
      return await add();
    } catch (thrown) {
      const failure = CniError.from(thrown);
      if (this.#context.config.defaultRoutes === "keep") throw failure;
      if (!saysFileExists(failure)) throw failure;
      const interfaces = this.#added.flatMap((one) => [
        ...one.interfaces.values(),
      ]);
      const earlier = new Set(interfaces);
      return tryAgain(failure, { routing: this.#routing, earlier, add, del });
    }
  }

  /** Remembers the interfaces of an attachment. Throws 999 when one of an earlier attachment is gone. */
  added(attachment: Attachment, result: Result): void {
    const links = this.#routing.links();
    for (const earlier of this.#added) {
      for (const [name, ifindex] of earlier.interfaces) {
        if (links.get(name) === ifindex) continue;
        throw new CniError(
          Code.internal,
          `interface ${quote(name)} of network ${quote(displayName(earlier.attachment))} is missing after network ${quote(displayName(attachment))} was attached`,
        );
      }
    }
    const interfaces = new Map<string, number>();
    for (const name of podInterfaces(modernResult(result), attachment.ifname)) {
      const ifindex = links.get(name);
      // What is no network device, as of DPDK, is not looked for.
      if (ifindex !== undefined && !this.#isOfAnother(name, attachment))
        interfaces.set(name, ifindex);
    }
    this.#restoreWaysOut(attachment);
    const waysOut = this.#waysOut(new Set(interfaces.values()));
    this.#added.push({ attachment, interfaces, waysOut });
  }

  /** What a later plugin may replace; of the last one nobody does. */
  #waysOut(interfaces: ReadonlySet<number>): Route[] {
    const isLast = this.#added.length + 1 === this.#attachments.length;
    if (isLast || this.#context.config.defaultRoutes === "keep") return [];
    return this.#netlink.waysOut(this.#routing, interfaces);
  }

  /** Some plugins replace the default route that they find (`ip route replace`), which then is not theirs to move. */
  #restoreWaysOut(attachment: Attachment): void {
    const earlier = this.#added.flatMap(({ waysOut }) => waysOut);
    if (earlier.length === 0) return;
    const restored = this.#netlink.restore(this.#routing, earlier);
    if (restored.length > 0)
      this.#context.log().info("put replaced default routes back", {
        replacedBy: displayName(attachment),
      });
  }

  /** A result may name interfaces that the plugin only found in the pod. */
  #isOfAnother(name: string, { ifname }: Attachment): boolean {
    return (
      name !== ifname &&
      (this.#attachments.some((other) => other.ifname === name) ||
        this.#added.some(({ interfaces }) => interfaces.has(name)))
    );
  }

  /**
   * Plans what {@link apply} does with the default routes; the results are those after it.
   * Throws 7 for a requested gateway that the interface cannot reach, 999.
   */
  plan(results: Result[]): Settled {
    const {
      config,
      request: { ifname, cniVersion },
    } = this.#context;
    const request = requestedDefaultRoute(this.#attachments);
    const move = config.defaultRoutes === "owner";
    const unchanged: Settled = {
      stored: results,
      printable: results,
      tables: new Map(),
    };
    if (!move && !request) return unchanged;
    const snapshot = this.#netlink.snapshotOf(this.#routing);
    const plan = this.#netlink.planDefaultRoutes(snapshot, {
      attachments: this.#added.map(
        ({ interfaces }) => new Set(interfaces.values()),
      ),
      primary: this.#attachments.findIndex((one) => one.ifname === ifname),
      request: request && this.#checked(request, snapshot),
      move,
    });
    this.#plan = plan;
    if (plan.departures.length === 0 && !request) return unchanged;
    const rerouting = { departures: plan.departures, request };
    return {
      stored: rerouted(results, rerouting),
      printable: printable(results, rerouting, cniVersion),
      tables: tablesOf(this.#attachments, plan.departures),
    };
  }

  /** Throws CniError 999; what was made is then left to {@link undo}. */
  apply(): void {
    try {
      if (this.#plan) this.#netlink.applyPlan(this.#routing, this.#plan);
    } catch (error) {
      const { pod, request } = this.#context;
      const asking = this.#attachments.find(
        ({ extras }) => extras?.defaultRoute,
      );
      const primary = this.#attachments.find(
        ({ ifname }) => ifname === request.ifname,
      );
      const owner = asking ?? primary;
      throw prefixNetwork(
        CniError.from(error),
        pod,
        owner ? displayName(owner) : request.config.name,
      );
    }
    this.#close();
    if (this.#plan) this.#tell(this.#plan);
  }

  /** Removes the rules and tables of an ADD that fails after all. Never throws. */
  undo(): void {
    const departures = this.#plan?.departures ?? [];
    const tables = departures.flatMap(({ table, addresses }) =>
      table === undefined ? [] : { table, addresses },
    );
    try {
      if (tables.length > 0) this.#netlink.removeTables(this.#routing, tables);
    } catch (error) {
      this.#context.log().error("rollback: failed to delete rules", {
        error: messageOf(error),
      });
    }
    this.#close();
  }

  /** Throws CniError 999. */
  get #routing(): Rtnetlink {
    const { netns } = this.#context.request;
    return (this.#opened ??= new this.#netlink.Rtnetlink(netns));
  }

  #close(): void {
    this.#opened?.[Symbol.dispose]();
  }

  #checked(
    { attachment, ifname, gateways }: RequestedDefaultRoute,
    snapshot: Snapshot,
  ): DefaultRouteRequest {
    const { pod } = this.#context;
    const asking = this.#attachments[attachment];
    const network = asking ? displayName(asking) : "";
    const ifindex = this.#added[attachment]?.interfaces.get(ifname);
    if (ifindex === undefined) {
      const problem = `failed to move the default route: no interface ${quote(ifname)} in the network namespace`;
      throw prefixNetwork(new CniError(Code.internal, problem), pod, network);
    }
    const wrong = gateways.find(
      (gateway) => !this.#netlink.isReachable(snapshot, ifindex, gateway),
    );
    if (!wrong) return { attachment, ifindex, gateways };
    const problem = `"default-route" ${formatIp(wrong)} is outside of the prefixes of interface ${ifname}`;
    throw prefixNetwork(
      new CniError(Code.invalidNetworkConfig, problem),
      pod,
      network,
    );
  }

  #tell({ departures }: Plan): void {
    const { log, config } = this.#context;
    const request = requestedDefaultRoute(this.#attachments);
    if (departures.length === 0 && !request) return;
    const isRemoved = departures.some(({ table }) => table === undefined);
    const isWorth = isRemoved || logs(config.logLevel, "info");
    if (!isWorth) return;
    const rerouting = { departures, request };
    const told = describeRerouting(this.#attachments, rerouting);
    log().info("moved default routes", told);
    if (isRemoved && config.defaultRoutes === "owner") {
      const why = "the kernel has no policy routing";
      log().warn(
        `removed default routes in place of moving them: ${why}`,
        told,
      );
    }
  }
}

export interface SecondTry {
  routing: Rtnetlink;
  /** The indexes of the interfaces of all earlier attachments. */
  earlier: ReadonlySet<number>;
  add(): Promise<Result>;
  /** What the first try left. */
  del(): Promise<void>;
}

/** Whether the words of a plugin say that something is there already. */
export function saysFileExists({ message, details = "" }: CniError): boolean {
  return /file exists/i.test(`${message}\n${details}`);
}

/**
 * The result of the second try; throws its error, or `failure` where there is none: no
 * earlier default route, or a DEL that fails. The routes are then as before.
 */
export async function tryAgain(
  failure: CniError,
  { routing, earlier, add, del }: SecondTry,
): Promise<Result> {
  const { hasDefaultRoute, putBack, takeOut } =
    await import("../linux/routes.ts");
  if (!hasDefaultRoute(routing, earlier)) throw failure;
  try {
    await del();
  } catch (cause) {
    const reason = `failed to delete it before a second try: ${messageOf(cause)}`;
    throw new CniError(failure.code, failure.message, {
      details: [failure.details, reason].filter(Boolean).join("; "),
      cause,
    });
  }
  const taken = takeOut(routing, earlier);
  let result: Result;
  try {
    result = await add();
  } catch (error) {
    restore();
    throw error;
  }
  putBack(routing, taken);
  return result;

  /** All networks are deleted now: what cannot be put back would have gone with them. */
  function restore(): void {
    try {
      putBack(routing, taken);
    } catch {}
  }
}
