/**
 * LIST and WATCH of one kind of object, by genie's own HTTP. A watch asks for bookmarks,
 * ends after 410, and is resumed after a broken or silent connection.
 */
import { type JsonObject, isObject, own, ownText } from "../../cni/json.ts";
import { type Api, jsonOf } from "../../kube/typed-api.ts";
import { monotonicMs } from "../../linux/deadline.ts";
import type { Fields, Level } from "../../state/log-level.ts";
import {
  linesOf,
  listAgain,
  requireSuccess,
  watchError,
} from "./api-response.ts";
import { Watchdog, backoff, pause } from "../timing.ts";
import { WatchedServer } from "./watch-state.ts";

export interface Kind<T> {
  /** For messages: `pods`. */
  name: string;
  /** `/api/v1/pods` */
  path: string;
  fieldSelector?: string;
  /** The keys that are kept, for memory; undefined for an object that is no such thing. */
  keep(object: JsonObject): object | undefined;
  /** The type of the kept objects; no kind has a value. */
  readonly type?: T;
}

export interface WatchDependencies {
  api(): Promise<Api>;
  log(level: Level, message: string, fields?: Fields): void;
  /** Ends the informer. */
  signal: AbortSignal;
  /** In place of {@link usualLimits}. */
  limits?: Partial<typeof usualLimits>;
}

/** Milliseconds, but for `pages`. */
const usualLimits = {
  /** For which a response counts. */
  current: 90_000,
  /** Of a watch on which nothing comes. Shorter than `current`: a quiet kind stays current. */
  silence: 80_000,
  /** Until a watch is open. */
  connect: 5000,
  /** For one page of a LIST. */
  list: 10_000,
  /** After failures. */
  longestPause: 10_000,
  /** A watch that lasted longer ends a series of failures. */
  lasting: 10_000,
  /** Responses of one LIST. */
  pages: 1000,
};

/** Objects of one response of a LIST. */
const pageSize = 500;

/** Bytes of one response: a server that never ends must not fill our memory. */
const longestPage = 256 << 20;

/** The callback of client-node's `Watch`: `phase` is "ADDED", "MODIFIED", "DELETED" or "BOOKMARK". */
type Callback = (phase: string, object: unknown) => unknown;

export type Follow = (
  resourceVersion: string,
  callback: Callback,
  controller: AbortController,
) => Promise<void>;

export class KindWatch<T> {
  readonly server: WatchedServer;
  readonly #kind: Kind<T>;
  readonly #dependencies: WatchDependencies;
  readonly #limits: typeof usualLimits;
  /** Watches in a row that the server ended at once. */
  #shortWatches = 0;
  /** Whether the last watch ended because nothing came. */
  #isSilent = false;

  constructor(kind: Kind<T>, dependencies: WatchDependencies) {
    const limits = { ...usualLimits, ...dependencies.limits };
    this.#kind = kind;
    this.#dependencies = dependencies;
    this.#limits = limits;
    this.server = new WatchedServer(
      kind.name,
      dependencies.log,
      limits.current,
    );
  }

  /** Milliseconds after the failures so far. */
  pauseMs(failures = this.server.failures): number {
    return backoff(failures, { longestMs: this.#limits.longestPause });
  }

  /** All objects of the kind, page by page. */
  async list(): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let resourceVersion = "";
    let next = "";
    let pages = 0;
    do {
      const rest = next === "" ? undefined : { continue: next };
      const response = await this.#get({ limit: `${pageSize}`, ...rest });
      const body = await jsonOf(response, longestPage);
      const page = own(body, "items");
      const metadata = own(body, "metadata");
      if (!Array.isArray(page) || !isObject(metadata))
        throw new Error(`the response is no list of ${this.#kind.name}`);
      for (const item of page) {
        const kept = isObject(item) ? this.#keep(item) : undefined;
        if (kept) items.push(kept);
      }
      resourceVersion = ownText(metadata, "resourceVersion") ?? "";
      next = ownText(metadata, "continue") ?? "";
      if (++pages > this.#limits.pages)
        throw new Error(`the list of ${this.#kind.name} has no end`);
    } while (next !== "");
    this.server.responded();
    return { items, resourceVersion };
  }

  /**
   * One watch until it ends. A server sends no bookmark while nothing of the kind changes:
   * after a silence it is asked for one object, which is a sign of life, and the watch is
   * resumed, because the connection may be dead. Throws {@link listAgain} after an absence.
   */
  async follow(
    resourceVersion: string,
    callback: Callback,
    controller: AbortController,
  ): Promise<void> {
    if (this.server.isStale) throw listAgain;
    if (this.#isSilent) await this.#askForOne();
    const { connect, silence, lasting } = this.#limits;
    const late = new DOMException("no response in time", "TimeoutError");
    const watchdog = new Watchdog(() => controller.abort(late));
    let openedMs: number | undefined;
    try {
      watchdog.restart(connect);
      const response = await this.#get(
        { resourceVersion, watch: "true", allowWatchBookmarks: "true" },
        controller.signal,
      );
      openedMs = monotonicMs();
      this.server.reached();
      watchdog.restart(silence);
      for await (const line of linesOf(response)) {
        await this.#handle(JSON.parse(line), callback);
        this.server.responded();
        watchdog.restart(silence);
      }
      watchdog.stop();
      await this.#restAfter(openedMs);
    } catch (error) {
      this.#isSilent = openedMs !== undefined && controller.signal.aborted;
      // An idle kind tells nothing, but a watch that lasted was none of a series of failures.
      if (openedMs !== undefined && monotonicMs() - openedMs > lasting)
        this.server.failures = 0;
      if (error === listAgain) await this.#restAfter(openedMs);
      // ListWatch resumes at once after this error, by its name.
      throw this.#isSilent ? late : error;
    } finally {
      watchdog.stop();
    }
  }

  async #askForOne(): Promise<void> {
    await jsonOf(await this.#get({ limit: "1" }));
    this.#isSilent = false;
    this.server.responded();
  }

  async #get(
    query: Record<string, string>,
    limit = AbortSignal.timeout(this.#limits.list),
  ): Promise<Response> {
    const { fieldSelector, path } = this.#kind;
    const { api, signal } = this.#dependencies;
    const search = new URLSearchParams({
      ...query,
      ...(fieldSelector !== undefined && { fieldSelector }),
    });
    const server = await api();
    const any = AbortSignal.any([signal, limit]);
    const response = await server.send(`${path}?${search.toString()}`, any);
    return requireSuccess(response, watchError);
  }

  async #handle(event: unknown, callback: Callback): Promise<void> {
    const phase = ownText(event, "type") ?? "";
    const object = own(event, "object");
    if (!isObject(object)) throw new Error("the response is no watch event");
    if (phase === "ERROR") {
      const code = own(object, "code");
      throw watchError(typeof code === "number" ? code : 500);
    }
    const kept = phase === "BOOKMARK" ? undefined : this.#keep(object);
    // A bookmark, too, tells how far the watch has come.
    await (kept ? callback(phase, kept) : callback("BOOKMARK", object));
  }

  #keep(object: JsonObject): T | undefined {
    // The API server validates its objects.
    // oxlint-disable-next-line no-unsafe-type-assertion -- keep() has their keys
    return this.#kind.keep(object) as T | undefined;
  }

  /** ListWatch goes on at once: a server that ends each watch must not be asked without end. */
  async #restAfter(openedMs = monotonicMs()): Promise<void> {
    const isShort = monotonicMs() - openedMs < this.#limits.lasting;
    this.#shortWatches = isShort ? this.#shortWatches + 1 : 0;
    const { signal } = this.#dependencies;
    if (isShort) await pause(this.pauseMs(this.#shortWatches), signal);
  }
}
