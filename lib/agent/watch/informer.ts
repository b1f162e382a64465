/**
 * An informer: the objects of one kind as the API server has them now, by LIST and
 * WATCH. client-node's `ListWatch` keeps the objects and lists again after 410; its own
 * watch ignores authorities under Bun, so `kind-watch` takes its place.
 */
import type * as clientNode from "@kubernetes/client-node";
import type {
  KubernetesObject,
  ListWatch,
  Watch,
} from "@kubernetes/client-node";
import { ownText } from "../../cni/json.ts";
import { messageOf } from "../../linux/errno.ts";
import {
  type Follow,
  type Kind,
  KindWatch,
  type WatchDependencies,
} from "./kind-watch.ts";
import { pause } from "../timing.ts";
import type { WatchState } from "./watch-state.ts";

export interface Informer<T> {
  list(): readonly T[];
  get(name: string, namespace?: string): T | undefined;
  /**
   * Called for each object that comes, changes or goes from now on. Returns the function
   * that ends it.
   */
  subscribe(listener: Listener<T>): () => void;
  /** Resolves after the first LIST; never when the agent ends before. */
  readonly listed: Promise<void>;
  readonly hasListed: boolean;
  state(): WatchState;
}

type Listener<T> = (change: "put" | "delete", object: T) => void;

/** Begins at once. */
export function startInformer<T extends KubernetesObject>(
  kind: Kind<T>,
  dependencies: WatchDependencies,
): Informer<T> {
  const informer = new KindInformer(kind, dependencies);
  void informer.run();
  return informer;
}

class KindInformer<T extends KubernetesObject> implements Informer<T> {
  readonly #listed = Promise.withResolvers<void>();
  #hasListed = false;
  readonly #kind: Kind<T>;
  readonly #dependencies: WatchDependencies;
  readonly #watch: KindWatch<T>;
  readonly #listeners = new Set<Listener<T>>();
  #objects: Pick<ListWatch<T>, "list" | "get"> | undefined;

  constructor(kind: Kind<T>, dependencies: WatchDependencies) {
    this.#kind = kind;
    this.#dependencies = dependencies;
    this.#watch = new KindWatch(kind, dependencies);
  }

  get listed(): Promise<void> {
    return this.#listed.promise;
  }

  get hasListed(): boolean {
    return this.#hasListed;
  }

  list(): readonly T[] {
    return this.#objects?.list() ?? [];
  }

  get(name: string, namespace?: string): T | undefined {
    return this.#objects?.get(name, namespace);
  }

  subscribe(listener: Listener<T>): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  state(): WatchState {
    return this.#watch.server.state();
  }

  /** Never throws. */
  async run(): Promise<void> {
    const { server } = this.#watch;
    try {
      const informer = await this.#createListWatch();
      const { signal } = this.#dependencies;
      this.#objects = informer;
      informer.on("add", (object) => this.#notify("put", object));
      informer.on("update", (object) => this.#notify("put", object));
      informer.on("delete", (object) => this.#notify("delete", object));
      informer.on("error", (error: unknown) => {
        if (signal.aborted) return;
        server.failed(error);
        void this.#startAgain(informer);
      });
      signal.addEventListener("abort", () => void informer.stop());
      await informer.start();
    } catch (error) {
      server.failed(error);
    }
  }

  async #createListWatch(): Promise<ListWatch<T>> {
    const client = await import("@kubernetes/client-node");
    const { signal } = this.#dependencies;
    const follow: Follow = (...query) => this.#watch.follow(...query);
    return new client.ListWatch<T>(
      this.#kind.path,
      watchBy(client, follow, signal),
      () => this.#list(),
      false,
      undefined,
      undefined,
      // Its own pause grows with each idle watch that ends, and is none after an event.
      { delayFn: () => Promise.resolve() },
    );
  }

  async #list() {
    const { items, resourceVersion } = await this.#watch.list();
    // ListWatch takes the list when this function has returned.
    setTimeout(() => {
      this.#hasListed = true;
      this.#listed.resolve();
    });
    return { apiVersion: "", kind: "", items, metadata: { resourceVersion } };
  }

  async #startAgain(informer: ListWatch<T>): Promise<void> {
    const { signal } = this.#dependencies;
    await pause(this.#watch.pauseMs(), signal);
    if (!signal.aborted) await informer.start();
  }

  #notify(change: "put" | "delete", object: T): void {
    for (const listener of this.#listeners) {
      try {
        listener(change, object);
      } catch (error) {
        const message = `failed to take a change of ${this.#kind.name}`;
        this.#dependencies.log("error", message, { error: messageOf(error) });
      }
    }
  }
}

/** client-node's `Watch` with another way to follow the changes. */
function watchBy(
  client: typeof clientNode,
  follow: Follow,
  signal: AbortSignal,
): Watch {
  class FollowingWatch extends client.Watch {
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
  return new FollowingWatch(new client.KubeConfig());
}
