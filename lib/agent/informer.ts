/**
 * An informer: the objects of one kind as the API server has them now, by LIST and
 * WATCH. client-node's `ListWatch` keeps the objects; its own watch ignores authorities
 * under Bun, so genie's HTTP takes its place (bun.md). It asks for bookmarks, lists again
 * after 410, resumes after a broken connection, and knows whether the server can be
 * reached.
 */
import type { KubernetesObject } from "@kubernetes/client-node";
import { type JsonObject, isObject, own, ownText } from "../cni/json.ts";
import { type Api, apiProblem } from "../kube/typed-api.ts";
import { monotonicMs } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import type { Fields, Level } from "../state/log-level.ts";
import { backoff, pause } from "./pause.ts";
import { Refused, isAway, linesOf, listAgain } from "./watch-response.ts";

export interface Informer<T> {
  list(namespace?: string): readonly T[];
  get(name: string, namespace?: string): T | undefined;
  /**
   * Called for each object that comes, changes or goes from now on. Returns the function
   * that ends it.
   */
  subscribe(listener: Listener<T>): () => void;
  /** Resolves after the first LIST; never when the agent ends before. */
  readonly started: Promise<void>;
  readonly hasStarted: boolean;
  state(): InformerState;
}

export type Listener<T> = (change: "put" | "delete", object: T) => void;

/**
 * "current": an event, a bookmark or a LIST within 90 s. "away": the API server cannot be
 * reached (refused, no response, 5xx). "refused": any other failure, such as 401 and 403.
 */
export type InformerState = "starting" | "current" | "away" | "refused";

export interface Kind<T> {
  /** For messages: `pods`. */
  name: string;
  /** `/api/v1/pods` */
  path: string;
  fieldSelector?: string;
  /** The keys that are kept, for memory; undefined for an object that is no such thing. */
  keep(object: JsonObject): object | undefined;
  /** Of this type are the kept objects. */
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

/** Milliseconds; `silence` is shorter than `current`, so a quiet kind stays current; a watch that lasted so long ends a series of failures. */
const usualLimits = {
  current: 90_000,
  silence: 80_000,
  connect: 5000,
  list: 10_000,
  longestPause: 10_000,
  lasting: 10_000,
};

/** Objects of one response of a LIST. */
const pageSize = 500;

/** Begins at once. */
export function startInformer<T extends KubernetesObject>(
  kind: Kind<T>,
  dependencies: WatchDependencies,
): Informer<T> {
  const { api, log, signal } = dependencies;
  const limits = { ...usualLimits, ...dependencies.limits };
  const { promise: started, resolve: start } = Promise.withResolvers<void>();
  const listeners = new Set<Listener<T>>();
  let cache: Pick<Informer<T>, "list" | "get"> | undefined;
  let heardMs: number | undefined;
  let failure: "away" | "refused" | undefined;
  let failures = 0;
  /** In a row. */
  let shortWatches = 0;
  let isSilent = false;
  let hasStarted = false;
  let told = "";

  // The API server validates its objects.
  // oxlint-disable-next-line no-unsafe-type-assertion -- keep() has their keys
  const keep = (object: JsonObject) => kind.keep(object) as T | undefined;
  const reached = (): void => {
    failure = undefined;
    if (told !== "") log("info", `watching ${kind.name} again`);
    told = "";
  };
  const alive = (): void => {
    reached();
    heardMs = monotonicMs();
    failures = 0;
  };
  const failed = (error: unknown): void => {
    failures++;
    failure = isAway(error) ? "away" : "refused";
    const problem = apiProblem(error);
    if (problem !== told)
      log("warn", `failed to watch ${kind.name}`, { error: problem });
    told = problem;
  };
  const silentMs = (): number =>
    heardMs === undefined ? 0 : monotonicMs() - heardMs;
  const notify = (change: "put" | "delete", object: T): void => {
    for (const listener of listeners) {
      try {
        listener(change, object);
      } catch (error) {
        log("error", `failed to take a change of ${kind.name}`, {
          error: messageOf(error),
        });
      }
    }
  };

  void run().catch(failed);
  return {
    list: (namespace) => cache?.list(namespace) ?? [],
    get: (name, namespace) => cache?.get(name, namespace),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    started,
    get hasStarted() {
      return hasStarted;
    },
    state: () =>
      failure ??
      (heardMs !== undefined && silentMs() < limits.current
        ? "current"
        : "starting"),
  };

  async function run(): Promise<void> {
    const client = await import("@kubernetes/client-node");
    /** client-node's `Watch` with genie's HTTP. */
    class FetchWatch extends client.Watch {
      override async watch(
        _path: string,
        query: Readonly<Record<string, unknown>>,
        callback: (phase: string, object: unknown) => unknown,
        done: (error: unknown) => unknown,
      ): Promise<AbortController> {
        const controller = new AbortController();
        const resourceVersion = ownText(query, "resourceVersion") ?? "";
        const end = (error: unknown) => void (signal.aborted || done(error));
        void follow(resourceVersion, callback, controller).then(
          () => end(null),
          end,
        );
        return controller;
      }
    }
    const informer = new client.ListWatch<T>(
      kind.path,
      new FetchWatch(new client.KubeConfig()),
      list,
      false,
      undefined,
      undefined,
      // Its own pause grows with each idle watch that ends, and is none after an event.
      { delayFn: () => Promise.resolve() },
    );
    cache = informer;
    informer.on("add", (object) => notify("put", object));
    informer.on("update", (object) => notify("put", object));
    informer.on("delete", (object) => notify("delete", object));
    informer.on("error", (error: unknown) => {
      if (signal.aborted) return;
      failed(error);
      void startAgain();
    });
    signal.addEventListener("abort", () => void informer.stop());
    await informer.start();

    async function startAgain(): Promise<void> {
      const { longestPause: longestMs } = limits;
      await pause(backoff(failures, { longestMs }), signal);
      if (!signal.aborted) await informer.start();
    }
  }

  async function get(
    query: Record<string, string>,
    limit: AbortSignal,
  ): Promise<Response> {
    const { fieldSelector } = kind;
    const search = new URLSearchParams({
      ...query,
      ...(fieldSelector !== undefined && { fieldSelector }),
    });
    const server = await api();
    const any = AbortSignal.any([signal, limit]);
    const response = await server.send(
      `${kind.path}?${search.toString()}`,
      any,
    );
    if (response.ok) return response;
    await response.body?.cancel();
    throw response.status === 410 ? listAgain : new Refused(response.status);
  }

  async function list() {
    const items: T[] = [];
    let resourceVersion = "";
    let next = "";
    do {
      const limit = AbortSignal.timeout(limits.list);
      const rest = next === "" ? undefined : { continue: next };
      const response = await get({ limit: `${pageSize}`, ...rest }, limit);
      const body: unknown = await response.json();
      const page = own(body, "items");
      const metadata = own(body, "metadata");
      if (!Array.isArray(page) || !isObject(metadata))
        throw new Error(`the response is no list of ${kind.name}`);
      for (const item of page) {
        const kept = isObject(item) ? keep(item) : undefined;
        if (kept) items.push(kept);
      }
      resourceVersion = ownText(metadata, "resourceVersion") ?? "";
      next = ownText(metadata, "continue") ?? "";
    } while (next !== "");
    alive();
    // ListWatch takes the list when this function has returned.
    setTimeout(() => {
      hasStarted = true;
      start();
    });
    return { apiVersion: "", kind: "", items, metadata: { resourceVersion } };
  }

  /**
   * One watch until it ends. A server sends no bookmark while nothing of the kind changes:
   * after a silence it is asked for one object, which is a sign of life, and the watch is
   * resumed, because the connection may be dead. Throws {@link listAgain} after an absence.
   */
  async function follow(
    resourceVersion: string,
    callback: (phase: string, object: unknown) => unknown,
    controller: AbortController,
  ): Promise<void> {
    if (silentMs() >= limits.current) throw listAgain;
    if (isSilent) {
      const limit = AbortSignal.timeout(limits.list);
      await (await get({ limit: "1" }, limit)).arrayBuffer();
      isSilent = false;
      alive();
    }
    const late = new DOMException("no response in time", "TimeoutError");
    const abort = (): void => controller.abort(late);
    let timer = setTimeout(abort, limits.connect);
    let openedMs: number | undefined;
    try {
      const response = await get(
        { resourceVersion, watch: "true", allowWatchBookmarks: "true" },
        controller.signal,
      );
      openedMs = monotonicMs();
      reached();
      clearTimeout(timer);
      timer = setTimeout(abort, limits.silence);
      for await (const line of linesOf(response)) {
        await take(JSON.parse(line), callback);
        alive();
        clearTimeout(timer);
        timer = setTimeout(abort, limits.silence);
      }
      clearTimeout(timer);
      await restAfter(openedMs);
    } catch (error) {
      isSilent = openedMs !== undefined && controller.signal.aborted;
      // An idle kind tells nothing, but a watch that lasted was none of a series of failures.
      if (openedMs !== undefined && monotonicMs() - openedMs > limits.lasting)
        failures = 0;
      if (error === listAgain) await restAfter(openedMs);
      // ListWatch resumes at once after this error, by its name.
      throw isSilent ? late : error;
    } finally {
      clearTimeout(timer);
      controller.abort();
    }
  }

  /** ListWatch goes on at once: a server that ends each watch must not be asked without end. */
  async function restAfter(openedMs = monotonicMs()): Promise<void> {
    const isShort = monotonicMs() - openedMs < limits.lasting;
    shortWatches = isShort ? shortWatches + 1 : 0;
    const { longestPause: longestMs } = limits;
    if (isShort) await pause(backoff(shortWatches, { longestMs }), signal);
  }

  async function take(
    event: unknown,
    callback: (phase: string, object: unknown) => unknown,
  ): Promise<void> {
    const phase = ownText(event, "type") ?? "";
    const object = own(event, "object");
    if (!isObject(object)) throw new Error("the response is no watch event");
    if (phase === "ERROR") {
      const code = own(object, "code");
      throw code === 410
        ? listAgain
        : new Refused(typeof code === "number" ? code : 500);
    }
    const kept = phase === "BOOKMARK" ? undefined : keep(object);
    // A bookmark, too, tells how far the watch has come.
    await (kept ? callback(phase, kept) : callback("BOOKMARK", object));
  }
}
