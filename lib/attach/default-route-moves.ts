/**
 * The default routes of a pod that has several (selection.md §8), or asks for one: moved
 * to tables, taken aside for a plugin that insists on its own, put back. Loaded for these
 * pods; `default-route` decides.
 */
import { Code, CniError } from "../cni/error.ts";
import {
  type RequestedDefaultRoute,
  type Rerouting,
  reroutedResults,
} from "../cni/rerouted-result.ts";
import type { Result } from "../cni/result.ts";
import { formatIp, parseIp } from "../linux/address.ts";
import { messageOf } from "../linux/errno.ts";
import * as linuxRoutes from "../linux/routes.ts";
import type {
  DefaultRouteRequest,
  Departure,
  Plan,
  Rtnetlink,
  Snapshot,
} from "../linux/routes.ts";
import { plain, quote } from "../linux/text.ts";
import { type Attachment, displayName } from "../select/attachment.ts";
import type { AttachmentRouting } from "../state/record.ts";
import { logs } from "../state/log-level.ts";
import { type Context, prefixNetwork } from "./context.ts";

type Routes = typeof linuxRoutes;

/** A pod whose default routes genie manages. */
export interface RoutedPod {
  readonly context: Context;
  readonly attachments: readonly Attachment[];
  /** The last attachment is added to a running pod. */
  readonly isRunning: boolean;
  /** The attachments added so far, in the order of `attachments`. */
  readonly added: AddedAttachment[];
}

interface AddedAttachment {
  attachment: Attachment;
  /** Its interfaces in the pod: name → index. */
  interfaces: ReadonlyMap<string, number>;
}

/** The results after the default routes have moved, and the tables for DEL to remove. */
export interface RoutedResults {
  /** For the record and the pod's status. */
  stored: Result[];
  /** For the runtime, in its version. */
  printable: Result[];
  tables: ReadonlyMap<string, AttachmentRouting>;
}

/** {@link apply} or {@link undo} ends it and closes its socket. */
export class DefaultRouteMoves implements Disposable {
  readonly #pod: RoutedPod;
  readonly #routes: Routes;
  readonly #rtnetlink: Rtnetlink;
  #plan: Plan | undefined;

  /** Throws StepError if the network namespace cannot be entered. */
  constructor(pod: RoutedPod, routes: Routes = linuxRoutes) {
    this.#pod = pod;
    this.#routes = routes;
    this.#rtnetlink = new routes.Rtnetlink(pod.context.request.netns);
  }

  /**
   * Deletes by `del` an attachment that failed because an earlier network has a default
   * route, and adds it once more without that route, which is then put back. Throws
   * `failure` if there is no such route or `del` fails, else the error of the second try.
   */
  async retry(
    failure: CniError,
    add: () => Promise<Result>,
    del: () => Promise<void>,
  ): Promise<Result> {
    const earlier = this.#earlierInterfaces();
    const { putBack, takeOut, exitRoutesOver } = this.#routes;
    const routes = exitRoutesOver(this.#rtnetlink.routes(), earlier);
    if (routes.length === 0) throw failure;
    await deleteFirstTry(failure, del);
    const taken = takeOut(this.#rtnetlink, earlier);
    // If it fails, all networks are deleted, and their routes go with them.
    const result = await add();
    putBack(this.#rtnetlink, taken);
    return result;
  }

  /**
   * Puts back the missing ones of `exitRoutes`, the routes before this attachment: some
   * plugins replace the default route that they find (`ip route replace`).
   */
  restore(exitRoutes: readonly Uint8Array[], attachment: Attachment): void {
    const { decodeRoutes, restore, exitRoutesOver } = this.#routes;
    const before = exitRoutes.flatMap((payload) => decodeRoutes(payload));
    const earlier = exitRoutesOver(before, this.#earlierInterfaces());
    const restored = restore(this.#rtnetlink, earlier);
    if (restored.length > 0)
      this.#pod.context.log().info("put replaced default routes back", {
        replacedBy: displayName(attachment),
      });
  }

  #earlierInterfaces(): ReadonlySet<number> {
    return new Set(
      this.#pod.added.flatMap(({ interfaces }) => [...interfaces.values()]),
    );
  }

  /**
   * Plans the moves that {@link apply} makes; the results are those after it.
   * Throws 7 for a requested gateway that the interface cannot reach, 999.
   */
  plan(results: Result[]): RoutedResults {
    const { config, request } = this.#pod.context;
    const requested = requestedDefaultRoute(this.#pod.attachments);
    const move = config.defaultRoutes === "owner";
    const snapshot = this.#routes.snapshotOf(this.#rtnetlink);
    this.#plan = this.#routes.planDefaultRoutes(snapshot, {
      attachments: this.#pod.added.map(
        ({ interfaces }) => new Set(interfaces.values()),
      ),
      primary: this.#pod.attachments.findIndex(
        ({ ifname }) => ifname === request.ifname,
      ),
      request: requested && this.#checked(requested, snapshot),
      move,
      ...(this.#pod.isRunning && { arrived: this.#pod.attachments.length - 1 }),
    });
    const { departures } = this.#plan;
    const rerouting = { departures, request: requested };
    return {
      stored: reroutedResults(results, rerouting),
      printable: reroutedResults(results, rerouting, request.cniVersion),
      tables: tablesOf(this.#pod.attachments, departures),
    };
  }

  /** The request for `linux/routes`. Throws 7 for a gateway that the interface cannot reach, 999. */
  #checked(
    { attachment, ifname, gateways }: RequestedDefaultRoute,
    snapshot: Snapshot,
  ): DefaultRouteRequest {
    const ifindex = this.#pod.added[attachment]?.interfaces.get(ifname);
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
      `"default-route" ${formatIp(wrong)} is outside of the prefixes of interface ${plain(ifname)}`,
    );
  }

  #prefixed(index: number, code: number, problem: string): CniError {
    const attachment = this.#pod.attachments[index];
    const network = attachment ? displayName(attachment) : "";
    const error = new CniError(code, problem);
    return prefixNetwork(error, this.#pod.context.pod, network);
  }

  /** Throws CniError 999; {@link undo} then removes the rules that were made. */
  apply(): void {
    try {
      if (this.#plan) this.#routes.applyPlan(this.#rtnetlink, this.#plan);
    } catch (error) {
      const { pod, request } = this.#pod.context;
      const owner =
        this.#pod.attachments.find(({ extras }) => extras?.defaultRoute) ??
        this.#pod.attachments.find(({ ifname }) => ifname === request.ifname);
      const network = owner ? displayName(owner) : request.config.name;
      throw prefixNetwork(error, pod, network);
    }
    this[Symbol.dispose]();
    if (this.#plan) this.#logMoves(this.#plan);
  }

  /** Removes the rules and tables of an ADD that fails after all. Never throws. */
  undo(): void {
    const departures = this.#plan?.departures ?? [];
    const tables = [...tablesOf(this.#pod.attachments, departures).values()];
    try {
      if (tables.length > 0) this.#routes.removeTables(this.#rtnetlink, tables);
      if (this.#pod.isRunning && this.#plan)
        this.#routes.revertPlan(this.#rtnetlink, this.#plan);
    } catch (error) {
      this.#pod.context.log().error("rollback: failed to delete rules", {
        error: messageOf(error),
      });
    }
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#rtnetlink[Symbol.dispose]();
  }

  #logMoves({ departures }: Plan): void {
    const { log, config } = this.#pod.context;
    const request = requestedDefaultRoute(this.#pod.attachments);
    if (departures.length === 0 && !request) return;
    const isRemoved = departures.some(({ table }) => table === undefined);
    // The log is not loaded for a line below its level.
    if (!isRemoved && !logs(config.logLevel, "info")) return;
    const fields = describeRerouting(this.#pod.attachments, {
      departures,
      request,
    });
    log().info("moved default routes", fields);
    if (isRemoved && config.defaultRoutes === "owner")
      log().warn(
        "removed default routes in place of moving them: the kernel has no policy routing",
        fields,
      );
  }
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

/** The tables that were made and the routes that were removed, by interface name, for the file of results. */
export function tablesOf(
  attachments: readonly Attachment[],
  departures: readonly Departure[],
): ReadonlyMap<string, AttachmentRouting> {
  const tables = new Map<string, AttachmentRouting>();
  for (const { attachment, table, addresses, removed } of departures) {
    const ifname = attachments[attachment]?.ifname;
    if (ifname === undefined) continue;
    const other = tables.get(ifname);
    const routes = [...(other?.removed ?? []), ...(removed ?? [])];
    if (table === undefined && routes.length === 0) continue;
    tables.set(ifname, {
      table: table ?? other?.table ?? 0,
      addresses: [...(other?.addresses ?? []), ...addresses],
      ...(routes.length > 0 && { removed: routes }),
    });
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
