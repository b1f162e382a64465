/**
 * The node's configuration of genie for the agent, which reads it again while it runs: an
 * operator edits the file, or `install` writes it. A file that is missing or damaged
 * changes nothing.
 */
import type { Agent } from "../../agent/part.ts";
import type { Context } from "../../attach/context.ts";
import { readConfDir } from "../../cni/confdir.ts";
import { monotonicMs } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { type Directories, defaultDirectories } from "../node/directories.ts";
import { type OwnNetwork, findOwn, nodeContext } from "../node/node-context.ts";
import type { Env } from "../../cni/environment.ts";

export class NodeConfiguration {
  readonly #directories: Directories;
  readonly #env: Env;
  readonly #log: Agent["log"];
  readonly #everyMs: number;
  #own: OwnNetwork | undefined;
  #context: Context;
  #readMs = monotonicMs();

  /** `everyMs`: the least time between two reads of the file, which {@link context} makes. */
  constructor(
    directories: Directories,
    env: Env,
    log: Agent["log"],
    everyMs = 10_000,
  ) {
    this.#directories = directories;
    this.#env = env;
    this.#log = log;
    this.#everyMs = everyMs;
    this.#own = this.#findOwn();
    this.#context = this.#read() ?? this.#withDefaults();
  }

  /**
   * The same object until the configuration changes. Its `dataDir` never does: parts keep
   * files of it open.
   */
  context(): Context {
    const now = monotonicMs();
    if (now - this.#readMs >= this.#everyMs) {
      this.#readMs = now;
      this.#look();
    }
    return this.#context;
  }

  #look(): void {
    const own = this.#findOwn();
    if (!own || Bun.deepEquals(own, this.#own)) return;
    this.#own = own;
    const context = this.#read();
    if (!context) return;
    const { dataDir } = this.#context.config;
    if (context.config.dataDir === dataDir) {
      this.#context = context;
      this.#log("info", "read the changed configuration of genie");
    } else
      this.#log("error", "dataDir was changed: restart the agent", {
        dataDir: context.config.dataDir,
        used: dataDir,
      });
  }

  #findOwn(): OwnNetwork | undefined {
    const { host, confDir } = this.#directories;
    try {
      return findOwn(readConfDir(host.path(confDir)));
    } catch {
      // The next look finds it, or `read` reports the problem.
      return undefined;
    }
  }

  /** undefined for one that cannot be used: the part that installs mends it. */
  #read(): Context | undefined {
    try {
      return nodeContext(this.#directories, this.#env);
    } catch (error) {
      this.#log("error", "the configuration of genie cannot be used", {
        error: messageOf(error),
      });
      return undefined;
    }
  }

  #withDefaults(): Context {
    const { dataDir } = defaultDirectories;
    return nodeContext({ ...this.#directories, dataDir }, this.#env);
  }
}
