/**
 * `genie agent` of a test's node, the compiled executable, with its log. `await using`
 * ends it and waits for its end.
 */
import { genieBinary } from "./build.ts";
import { until } from "./delegate.ts";
import { type Node, directoryOptions } from "./node.ts";

export interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

export class RunningAgent implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #reading: Promise<void>;
  readonly log: LogLine[] = [];

  /** Without the part that installs, unless `words` have `--default`. */
  constructor(
    node: Pick<Node, "confDir" | "binDir" | "dataDir">,
    ...words: readonly string[]
  ) {
    // `unshare -m --` before the first option: the program that executes genie.
    const end = words.indexOf("--") + 1;
    this.#process = Bun.spawn({
      cmd: [
        ...words.slice(0, Math.max(0, end - 1)),
        genieBinary(),
        "agent",
        ...(words.some((word) => word.startsWith("--default"))
          ? []
          : ["--no-install"]),
        "--node=node1",
        ...directoryOptions(node),
        ...words.slice(end),
      ],
      env: { PATH: process.env["PATH"] ?? "" },
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of this.#process.stdout) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      this.log.push(...lines.map((line) => JSON.parse(line) as LogLine));
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Waits for a line of the log. */
  async said(message: string): Promise<LogLine> {
    const find = () => this.log.find(({ msg }) => msg === message);
    await until(() => find() !== undefined, message);
    return find() as LogLine;
  }

  /** Sends the signal; resolves with the exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    this.#process.kill(signal);
    await this.#process.exited;
    await this.#reading;
    return this.#process.signalCode ?? this.#process.exitCode ?? -1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}
