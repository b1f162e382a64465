/**
 * The default route of a pod with several networks (selection.md §8): it has one
 * owner, a plugin that insists on a default route of its own is tried again, and every
 * interface is still there afterwards. Loaded for a pod with several attachments, and for
 * one that asks for `default-route`.
 */
import { Code, CniError } from "../cni/error.ts";
import {
  type RequestedDefaultRoute,
  type Rerouting,
  reroutedResults,
} from "../cni/rerouted-result.ts";
import { podInterfaces } from "../cni/result-query.ts";
import { type Result, convertResult, modernResult } from "../cni/result.ts";
import { type Family, formatIp, parseCidr, parseIp } from "../linux/address.ts";
import { messageOf } from "../linux/errno.ts";
import { namespaceId } from "../linux/netns.ts";
import type {
  DefaultRouteRequest,
  Departure,
  Plan,
  Route,
  Rtnetlink,
  Snapshot,
} from "../linux/routes.ts";
import type * as linuxRoutes from "../linux/routes.ts";
import { quote } from "../linux/text.ts";
import { type Attachment, displayName } from "../select/attachment.ts";
import { logs } from "../state/log-level.ts";
import type { AttachmentRouting } from "../state/record.ts";
import { type Context, prefixNetwork } from "./context.ts";

type Routes = typeof linuxRoutes;

/** An attachment that has been added. */
interface AddedAttachment {
  attachment: Attachment;
  /** Its interfaces in the pod: name → index. */
  interfaces: ReadonlyMap<string, number>;
  /** Its default routes, and the routes to their gateways. */
  waysOut: readonly Route[];
}

/** The results after the default routes have moved, and the tables for DEL to remove. */
export interface RoutedResults {
  /** As they are recorded, and as the pod's status tells them. */
  stored: Result[];
  /** In the version of the runtime. */
  printable: Result[];
  tables: ReadonlyMap<string, AttachmentRouting>;
}

/**
 * undefined if CNI_NETNS is not a network namespace. A running pod has `results` of its
 * first attachments already.
 */
export async function openRouting(
  context: Context,
  attachments: readonly Attachment[],
  results: readonly Result[] = [],
): Promise<PodRouting | undefined> {
  const { netns } = context.request;
  const isAsked = attachments.some(({ extras }) => extras?.defaultRoute);
  if (namespaceId(netns) === undefined && !isAsked) return undefined;
  const routes = await import("../linux/routes.ts");
  const isRunning = results.length > 0;
  const routing = new PodRouting(context, attachments, routes, isRunning);
  for (const [i, attachment] of attachments.entries()) {
    const result = results[i];
    if (result) routing.added(attachment, result);
  }
  return routing;
}

/** {@link apply} or {@link undo} ends it and closes its socket. */
export class PodRouting {
  readonly #context: Context;
  readonly #attachments: readonly Attachment[];
  readonly #routes: Routes;
  /** The last attachment is added to a running pod. */
  readonly #isRunning: boolean;
  #opened: Rtnetlink | undefined;
  readonly #added: AddedAttachment[] = [];
  #plan: Plan | undefined;

  constructor(
    context: Context,
    attachments: readonly Attachment[],
    routes: Routes,
    isRunning = false,
  ) {
    this.#context = context;
    this.#attachments = attachments;
    this.#routes = routes;
    this.#isRunning = isRunning;
  }

  /** Called while a delegate runs: code costs most when it first runs. Never throws. */
  prepare(): void {
    if (this.#opened) return;
    try {
      this.#rtnetlink.links();
    } catch {
      // Reported by the call that needs the list.
    }
  }

  /**
   * The result of `add`. A plugin that fails with "file exists" because an earlier
   * network has a default route is deleted by `del`, and tried once more without that
   * route. Throws the error of the second try; of the first where there is none: no
   * earlier default route, a `del` that fails, or a running pod, whose default routes
   * are in use. The routes are then as before.
   */
  async execute(
    add: () => Promise<Result>,
    del: () => Promise<void>,
  ): Promise<Result> {
    try {
      return await add();
    } catch (thrown) {
      const failure = CniError.from(thrown);
      if (this.#context.config.defaultRoutes === "keep") throw failure;
      if (this.#isRunning || !saysFileExists(failure)) throw failure;
      const earlier = new Set(
        this.#added.flatMap(({ interfaces }) => [...interfaces.values()]),
      );
      if (!this.#routes.hasDefaultRoute(this.#rtnetlink, earlier))
        throw failure;
      await deleteFirstTry(failure, del);
      return this.#withoutDefaultRoutes(earlier, add);
    }
  }

  async #withoutDefaultRoutes(
    interfaces: ReadonlySet<number>,
    add: () => Promise<Result>,
  ): Promise<Result> {
    const { putBack, takeOut } = this.#routes;
    const taken = takeOut(this.#rtnetlink, interfaces);
    let result: Result;
    try {
      result = await add();
    } catch (error) {
      try {
        putBack(this.#rtnetlink, taken);
      } catch {
        // All networks are deleted now, and their routes go with them.
      }
      throw error;
    }
    putBack(this.#rtnetlink, taken);
    return result;
  }

  /** Remembers the interfaces of an attachment. Throws 999 when one of an earlier attachment is gone. */
  added(attachment: Attachment, result: Result): void {
    const links = this.#rtnetlink.links();
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
      // A DPDK device is not a network device and is not checked.
      if (ifindex !== undefined && !this.#isOfAnother(name, attachment))
        interfaces.set(name, ifindex);
    }
    this.#restoreWaysOut(attachment);
    const waysOut = this.#waysOut(new Set(interfaces.values()));
    this.#added.push({ attachment, interfaces, waysOut });
  }

  /** The routes that a later plugin may replace; none after the last attachment. */
  #waysOut(interfaces: ReadonlySet<number>): Route[] {
    const isLast = this.#added.length + 1 === this.#attachments.length;
    if (isLast || this.#context.config.defaultRoutes === "keep") return [];
    return this.#routes.waysOut(this.#rtnetlink, interfaces);
  }

  /** Some plugins replace the default route that they find (`ip route replace`), which then is not theirs to move. */
  #restoreWaysOut(attachment: Attachment): void {
    const earlier = this.#added.flatMap(({ waysOut }) => waysOut);
    if (earlier.length === 0) return;
    const restored = this.#routes.restore(this.#rtnetlink, earlier);
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
   * Plans the moves that {@link apply} makes; the results are those after it.
   * Throws 7 for a requested gateway that the interface cannot reach, 999.
   */
  plan(results: Result[]): RoutedResults {
    const { config, request } = this.#context;
    const requested = requestedDefaultRoute(this.#attachments);
    const move = config.defaultRoutes === "owner";
    const unchanged: RoutedResults = {
      stored: results,
      printable: results,
      tables: new Map(),
    };
    if (!move && !requested) return unchanged;
    const snapshot = this.#routes.snapshotOf(this.#rtnetlink);
    this.#plan = this.#routes.planDefaultRoutes(snapshot, {
      attachments: this.#added.map(
        ({ interfaces }) => new Set(interfaces.values()),
      ),
      primary: this.#attachments.findIndex(
        ({ ifname }) => ifname === request.ifname,
      ),
      request: requested && this.#checked(requested, snapshot),
      move,
      ...(this.#isRunning && { arrived: this.#attachments.length - 1 }),
    });
    const { departures } = this.#plan;
    if (departures.length === 0 && !requested) return unchanged;
    const rerouting = { departures, request: requested };
    return {
      stored: reroutedResults(results, rerouting),
      printable: reroutedResults(results, rerouting, request.cniVersion),
      tables: tablesOf(this.#attachments, departures),
    };
  }

  /** The request for `linux/routes`. Throws 7 for a gateway that the interface cannot reach, 999. */
  #checked(
    { attachment, ifname, gateways }: RequestedDefaultRoute,
    snapshot: Snapshot,
  ): DefaultRouteRequest {
    const ifindex = this.#added[attachment]?.interfaces.get(ifname);
    if (ifindex === undefined)
      throw this.#prefixed(
        attachment,
        Code.internal,
        `failed to move the default route: no interface ${quote(ifname)} in the network namespace`,
      );
    const wrong = gateways.find(
      (gateway) => !this.#routes.isReachable(snapshot, ifindex, gateway),
    );
    if (!wrong) return { attachment, ifindex, gateways };
    throw this.#prefixed(
      attachment,
      Code.invalidNetworkConfig,
      `"default-route" ${formatIp(wrong)} is outside of the prefixes of interface ${ifname}`,
    );
  }

  #prefixed(place: number, code: number, problem: string): CniError {
    const attachment = this.#attachments[place];
    const network = attachment ? displayName(attachment) : "";
    const error = new CniError(code, problem);
    return prefixNetwork(error, this.#context.pod, network);
  }

  /** Throws CniError 999; {@link undo} then removes the rules that were made. */
  apply(): void {
    try {
      if (this.#plan) this.#routes.applyPlan(this.#rtnetlink, this.#plan);
    } catch (error) {
      const { pod, request } = this.#context;
      const owner =
        this.#attachments.find(({ extras }) => extras?.defaultRoute) ??
        this.#attachments.find(({ ifname }) => ifname === request.ifname);
      const network = owner ? displayName(owner) : request.config.name;
      throw prefixNetwork(CniError.from(error), pod, network);
    }
    this.#close();
    if (this.#plan) this.#logMoves(this.#plan);
  }

  /** Removes the rules and tables of an ADD that fails after all. Never throws. */
  undo(): void {
    const departures = this.#plan?.departures ?? [];
    const tables = departures.flatMap(({ table, addresses }) =>
      table === undefined ? [] : { table, addresses },
    );
    try {
      if (tables.length > 0) this.#routes.removeTables(this.#rtnetlink, tables);
      if (this.#isRunning && this.#plan)
        this.#routes.revertPlan(this.#rtnetlink, this.#plan);
    } catch (error) {
      this.#context.log().error("rollback: failed to delete rules", {
        error: messageOf(error),
      });
    }
    this.#close();
  }

  /** Throws CniError 999. */
  get #rtnetlink(): Rtnetlink {
    const { netns } = this.#context.request;
    return (this.#opened ??= new this.#routes.Rtnetlink(netns));
  }

  #close(): void {
    this.#opened?.[Symbol.dispose]();
  }

  #logMoves({ departures }: Plan): void {
    const { log, config } = this.#context;
    const request = requestedDefaultRoute(this.#attachments);
    if (departures.length === 0 && !request) return;
    const isRemoved = departures.some(({ table }) => table === undefined);
    if (!isRemoved && !logs(config.logLevel, "info")) return;
    const told = describeRerouting(this.#attachments, { departures, request });
    log().info("moved default routes", told);
    if (isRemoved && config.defaultRoutes === "owner")
      log().warn(
        "removed default routes in place of moving them: the kernel has no policy routing",
        told,
      );
  }
}

/** The families whose default route in the main table is over this attachment. Throws StepError. */
export async function ownedFamilies(
  netns: string,
  { ifname }: Attachment,
  result: Result,
): Promise<Family[]> {
  const { Rtnetlink, hasDefaultRoute } = await import("../linux/routes.ts");
  using rtnetlink = new Rtnetlink(netns);
  const links = rtnetlink.links();
  const names = podInterfaces(modernResult(result), ifname);
  const own = new Set(names.flatMap((name) => links.get(name) ?? []));
  return (["4", "6"] as const).filter((family) =>
    hasDefaultRoute(rtnetlink, own, family),
  );
}

/**
 * After the attachment that had the pod's default route of these families is gone: the
 * first of the others that had to move its own into a table gets it back. Changes
 * `results` and `routing`. Throws StepError.
 */
export async function returnDefaultRoutes(
  netns: string,
  families: readonly Family[],
  order: readonly string[],
  results: Map<string, Result>,
  routing: Map<string, AttachmentRouting>,
): Promise<void> {
  const routes = await import("../linux/routes.ts");
  using rtnetlink = new routes.Rtnetlink(netns);
  for (const family of families)
    for (const ifname of order) {
      const [own, result] = [routing.get(ifname), results.get(ifname)];
      if (!own || !result) continue;
      const addresses = own.addresses.flatMap((text) => parseIp(text) ?? []);
      const table = { table: own.table, addresses };
      const returned = routes.returnDefaultRoutes(rtnetlink, table, family);
      if (returned.length === 0) continue;
      results.set(ifname, withMainRoutes(result, own.table, returned));
      const rest = own.addresses.filter(
        (text) => parseIp(text)?.family !== family,
      );
      if (rest.length === 0) routing.delete(ifname);
      else routing.set(ifname, { ...own, addresses: rest });
      break;
    }
}

/** The result after its default routes left the table. */
function withMainRoutes(
  result: Result,
  table: number,
  returned: readonly Route[],
): Result {
  const modern = modernResult(result);
  const families = new Set(returned.map(({ family }) => family));
  const others = modern.routes.filter((route) => {
    const family = parseCidr(route.dst)?.ip.family;
    return route.table !== table || !family || !families.has(family);
  });
  const routes = returned.map(({ family, nexthops }) => {
    const [gateway] = nexthops.flatMap((hop) => hop.gateway ?? []);
    return {
      dst: family === "4" ? "0.0.0.0/0" : "::/0",
      ...(gateway && { gw: formatIp({ family, bytes: gateway }) }),
    };
  });
  return convertResult(
    { ...modern, routes: [...others, ...routes] },
    result.cniVersion,
  );
}

/** Whether a plugin's error means "file exists". */
function saysFileExists({ message, details = "" }: CniError): boolean {
  return /file exists/i.test(`${message}\n${details}`);
}

/** Throws `failure` with the reason. */
async function deleteFirstTry(
  failure: CniError,
  del: () => Promise<void>,
): Promise<void> {
  try {
    await del();
  } catch (cause) {
    const reason = `failed to delete it before a second try: ${messageOf(cause)}`;
    throw new CniError(failure.code, failure.message, {
      details: [failure.details, reason].filter(Boolean).join("; "),
      cause,
    });
  }
}

/** The request among the attachments: at most one has it. */
export function requestedDefaultRoute(
  attachments: readonly Attachment[],
): RequestedDefaultRoute | undefined {
  for (const [attachment, { extras, ifname }] of attachments.entries()) {
    if (!extras?.defaultRoute) continue;
    const gateways = extras.defaultRoute.flatMap((text) => parseIp(text) ?? []);
    return { attachment, ifname, gateways };
  }
  return undefined;
}

/** The tables that were made, by interface name, for the file of results. */
export function tablesOf(
  attachments: readonly Attachment[],
  departures: readonly Departure[],
): ReadonlyMap<string, AttachmentRouting> {
  const tables = new Map<string, AttachmentRouting>();
  for (const { attachment, table, addresses } of departures) {
    const ifname = attachments[attachment]?.ifname;
    if (table === undefined || ifname === undefined) continue;
    const others = tables.get(ifname)?.addresses ?? [];
    const texts = [...others, ...addresses.map(formatIp)];
    tables.set(ifname, { table, addresses: texts });
  }
  return tables;
}

/** The fields of the log's line, in the words of `ip route`. */
export function describeRerouting(
  attachments: readonly Attachment[],
  { departures, request }: Rerouting,
): Readonly<Record<string, string[]>> {
  const lines = (isMoved: boolean) =>
    departures
      .filter(({ table }) => (table !== undefined) === isMoved)
      .map(({ attachment, gateways, table }) => {
        const via = gateways.map((gateway) => `via ${gateway} `).join("");
        const place = table === undefined ? "" : ` table ${table}`;
        return `default ${via}dev ${attachments[attachment]?.ifname}${place}`;
      });
  const [moved, removed] = [lines(true), lines(false)];
  const requested = request?.gateways.map(
    (gateway) => `default via ${formatIp(gateway)} dev ${request.ifname}`,
  );
  return {
    ...(requested && { requested }),
    ...(moved.length > 0 && { moved }),
    ...(removed.length > 0 && { removed }),
  };
}
