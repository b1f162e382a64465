/**
 * The default route of a pod with several networks (selection.md §8): it has one
 * owner, a plugin that insists on a default route of its own is tried again, and every
 * interface is still there afterwards. Loaded for a pod with several attachments, and for
 * one that asks for `default-route`. Most of them have one default route, and need
 * nothing of `default-route-moves`.
 */
import { Code, CniError } from "../cni/error.ts";
import { podInterfaces } from "../cni/result-query.ts";
import { type Result, modernResult } from "../cni/result.ts";
import { messageOf } from "../linux/errno.ts";
import { PodNetwork, hasAll, isContested } from "../linux/pod-network.ts";
import { quote } from "../linux/text.ts";
import {
  type Attachment,
  asksForDefaultRoute,
  displayName,
} from "../select/attachment.ts";
import type { Context } from "./context.ts";
import type {
  DefaultRouteMoves,
  RoutedPod,
  RoutedResults,
} from "./default-route-moves.ts";

/** A running pod has `results` of its first attachments already. */
export async function openRouting(
  context: Context,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<PodRouting> {
  const isRunning = results.length > 0;
  const routing = new PodRouting(context, attachments, isRunning);
  for (const [i, result] of results.entries()) {
    const attachment = attachments[i];
    if (attachment) await routing.added(attachment, result);
  }
  if (isRunning) routing.rememberRoutes();
  return routing;
}

/** {@link apply} or {@link undo} ends it and closes its sockets. */
export class PodRouting {
  readonly #pod: RoutedPod;
  #opened: PodNetwork | undefined;
  /** The pod's interfaces after the last attachment. */
  #links: ReadonlyMap<string, number> = new Map();
  /** The routes out of the pod after the last attachment. */
  #exitRoutes: readonly Uint8Array[] = [];
  /** Those of a running pod before the attachment that is added to it. */
  #runningRoutes: readonly Uint8Array[] = [];
  #moves: DefaultRouteMoves | undefined;

  constructor(
    context: Context,
    attachments: readonly Attachment[],
    isRunning: boolean,
  ) {
    this.#pod = { context, attachments, isRunning, added: [] };
  }

  /** Called while a delegate runs: code costs most when it first runs. Never throws. */
  prepare(): void {
    if (this.#opened) return;
    try {
      this.#network.links();
      this.#network.exitRoutes();
    } catch {
      // Reported by the call that needs the list.
    }
  }

  /**
   * The result of `add`. A plugin that fails with "file exists" because an earlier
   * network has a default route is deleted by `del`, and tried once more without that
   * route. Throws the error of the second try; of the first where there is none: no
   * earlier default route, a `del` that fails, a running pod, whose default routes
   * are in use, or an interface of that name, which the `del` would delete.
   */
  async execute(
    add: () => Promise<Result>,
    del: () => Promise<void>,
  ): Promise<Result> {
    try {
      return await add();
    } catch (thrown) {
      const failure = CniError.from(thrown);
      const { context, isRunning, attachments, added } = this.#pod;
      if (context.config.defaultRoutes === "keep") throw failure;
      if (isRunning || !saysFileExists(failure)) throw failure;
      const { ifname = "" } = attachments[added.length] ?? {};
      if (this.#links.has(ifname)) throw failure;
      return (await this.#loadMoves()).retry(failure, add, del);
    }
  }

  /** Remembers the interfaces of an attachment. Throws 999 when one of an earlier attachment is gone. */
  async added(attachment: Attachment, result: Result): Promise<void> {
    const { added } = this.#pod;
    const links = (this.#links = this.#network.links());
    for (const earlier of added) {
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
    await this.#restoreReplaced(attachment);
    added.push({ attachment, interfaces });
  }

  /** Puts back the routes of earlier attachments that a plugin replaced. */
  async #restoreReplaced(attachment: Attachment): Promise<void> {
    if (this.#pod.context.config.defaultRoutes === "keep") return;
    const before = this.#exitRoutes;
    this.#exitRoutes = this.#network.exitRoutes();
    if (hasAll(this.#exitRoutes, before)) return;
    (await this.#loadMoves()).restore(before, attachment);
    this.#exitRoutes = this.#network.exitRoutes();
  }

  /** A result may name interfaces that the plugin only found in the pod. */
  #isOfAnother(name: string, { ifname }: Attachment): boolean {
    if (name === ifname) return false;
    const { isRunning, attachments, added } = this.#pod;
    // A running pod has the interfaces of later attachments too.
    if (isRunning)
      for (const other of attachments) if (other.ifname === name) return true;
    for (const { interfaces } of added) if (interfaces.has(name)) return true;
    return false;
  }

  /**
   * Plans the moves that {@link apply} makes; the results are those after it.
   * Throws 7 for a requested gateway that the interface cannot reach, 999.
   */
  async plan(results: Result[]): Promise<RoutedResults> {
    const { attachments, context } = this.#pod;
    const isChanged =
      asksForDefaultRoute(attachments) ||
      (context.config.defaultRoutes === "owner" &&
        isContested(this.#network.exitRoutes()));
    if (!isChanged)
      return { stored: results, printable: results, tables: new Map() };
    return (await this.#loadMoves()).plan(results);
  }

  /** Throws CniError 999; {@link undo} then removes the rules that were made. */
  apply(): void {
    this.#moves?.apply();
    this.#close();
  }

  /** Removes the rules and tables of an ADD that fails after all. Never throws. */
  undo(): void {
    this.#moves?.undo();
    this.#close();
  }

  /** A running pod keeps its routes if the attachment fails. Throws CniError 999. */
  rememberRoutes(): void {
    this.#runningRoutes = this.#network.exitRoutes();
  }

  /**
   * After {@link undo} and the DEL of an attachment that failed: puts back the default
   * routes of a running pod that its plugin replaced. Never throws.
   */
  async restoreRunning(): Promise<void> {
    const { context, attachments, added, isRunning } = this.#pod;
    const failed = attachments.at(-1);
    if (!isRunning || !failed) return;
    try {
      using network = new PodNetwork(context.request.netns);
      if (hasAll(network.exitRoutes(), this.#runningRoutes)) return;
      const moves = await import("./default-route-moves.ts");
      const earlier = added.filter(({ attachment }) => attachment !== failed);
      using restoring = new moves.DefaultRouteMoves({
        ...this.#pod,
        added: earlier,
      });
      restoring.restore(this.#runningRoutes, failed);
    } catch (error) {
      context.log().error("rollback: failed to put default routes back", {
        error: messageOf(error),
      });
    }
  }

  /** Throws CniError 999. */
  get #network(): PodNetwork {
    const { netns } = this.#pod.context.request;
    return (this.#opened ??= new PodNetwork(netns));
  }

  async #loadMoves(): Promise<DefaultRouteMoves> {
    const moves = await import("./default-route-moves.ts");
    return (this.#moves ??= new moves.DefaultRouteMoves(this.#pod));
  }

  #close(): void {
    this.#opened?.[Symbol.dispose]();
  }
}

/** Whether a plugin's error means "file exists". */
function saysFileExists({ message, details = "" }: CniError): boolean {
  return /file exists/i.test(`${message}\n${details}`);
}
