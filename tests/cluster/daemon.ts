/**
 * A daemon of the cluster: started by hand, its output in a file, waited for until
 * it serves. It knows nothing of what it runs.
 */
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../lib/linux/errno.ts";
import { until } from "./until.ts";

export interface DaemonOptions {
  name: string;
  cmd: string[];
  env?: Readonly<Record<string, string>>;
  /** Throws, or says false, until the daemon serves. */
  ready: () => boolean | Promise<boolean>;
  seconds: number;
}

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #log: string;
  #child: Bun.Subprocess | undefined;

  /** `directory` gets its log. */
  constructor(directory: string, options: DaemonOptions) {
    this.#options = options;
    this.#log = join(directory, `${options.name}.log`);
  }

  /** Also after `stop`. Throws Error with the end of its log. */
  async start(): Promise<void> {
    const { name, cmd, env, ready, seconds } = this.#options;
    const log = openSync(this.#log, "a");
    const child = Bun.spawn({
      cmd,
      env: { ...process.env, ...env },
      stdio: ["ignore", log, log],
    });
    this.#child = child;
    try {
      await until(`${name} to be ready`, seconds, async () => {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Ended(
            `it ended with ${child.exitCode ?? child.signalCode}`,
          );
        return ready();
      });
    } catch (cause) {
      const text = `failed to start ${name}: ${messageOf(cause)}\n${this.tail(15)}`;
      throw new Error(text, { cause });
    }
  }

  /** Its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | undefined> {
    this.#child?.kill(signal);
    return this.#child?.exited;
  }

  log(): string {
    return readFileSync(this.#log, "utf8");
  }

  tail(lines: number): string {
    return this.log().trimEnd().split("\n").slice(-lines).join("\n");
  }
}

/** Waiting longer is of no use. */
class Ended extends Error {
  readonly final = true;
}
