/**
 * One whole process, started as a runtime does, by posix_spawn of the C library: the
 * child shares the bench's memory until it executes, so the size of the bench does not
 * count. The bench writes the input to the pipe before the start and reads the output
 * after the end, so both must fit into a pipe.
 */
import { ptr } from "bun:ffi";
import { reaped, symbols, text } from "./libc.ts";

export interface Command {
  /** The first is an absolute path. */
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  stdin: string;
}

export interface Outcome {
  ms: number;
  /** User and system time, its own children included. */
  cpuMs: number;
  /** The exit code; for a killed process 128 plus the signal, as in a shell. */
  code: number;
  stdout: string;
  stderr: string;
}

const CLOEXEC = 0o2000000;
const F_SETFL = 4;
const NONBLOCK = 0o4000;
const pidfdOpen = 434n;

export class Child {
  readonly #command: Command;
  readonly #stdin = pipe();
  readonly #stdout = pipe();
  readonly #stderr = pipe();
  readonly #actions = new Uint8Array(256);
  #start = Number.NaN;
  #pid = 0;
  #pidfd = -1;
  #ended: Pick<Outcome, "ms" | "cpuMs" | "code"> | undefined;

  constructor(command: Command) {
    this.#command = command;
    const input = Buffer.from(command.stdin);
    symbols.fcntl(this.#stdin.to, F_SETFL, NONBLOCK);
    if (
      input.length > 0 &&
      symbols.write(this.#stdin.to, input, input.length) !==
        BigInt(input.length)
    )
      throw new Error("the input does not fit into a pipe");
    symbols.close(this.#stdin.to);
    symbols.posix_spawn_file_actions_init(this.#actions);
    for (const [fd, end] of [
      this.#stdin.from,
      this.#stdout.to,
      this.#stderr.to,
    ].entries())
      symbols.posix_spawn_file_actions_adddup2(this.#actions, end, fd);
    symbols.posix_spawn_file_actions_addchdir_np(this.#actions, text("/"));
  }

  get started(): boolean {
    return this.#pid !== 0;
  }

  get pidfd(): number {
    return this.#pidfd;
  }

  start(): void {
    const { argv, env } = this.#command;
    const path = text(argv[0] ?? "");
    const args = vector(argv);
    const variables = vector(
      Object.entries(env).map(([key, value]) => `${key}=${value}`),
    );
    const pid = new Int32Array(1);
    this.#start = performance.now();
    const error = symbols.posix_spawn(
      pid,
      path,
      this.#actions,
      null,
      args.pointers,
      variables.pointers,
    );
    if (error !== 0)
      throw new Error(`failed to start ${argv[0]}: errno ${error}`);
    this.#pid = pid[0] ?? 0;
    this.#pidfd = Number(symbols.syscall(pidfdOpen, BigInt(this.#pid), 0n));
    // The memory behind the pointers must live until here.
    args.texts.length = variables.texts.length = 0;
  }

  /** To be called when the process has ended. */
  end(): void {
    const ms = performance.now() - this.#start;
    const { status, usage } = reaped(this.#pid);
    const signal = status & 0x7f;
    const code = signal === 0 ? (status >> 8) & 0xff : 128 + signal;
    this.#ended = { ms, cpuMs: usage.cpuMs, code };
    symbols.close(this.#pidfd);
  }

  /** Once: the pipes are closed with it. */
  outcome(): Outcome {
    if (!this.#ended) throw new Error("a process has not ended");
    symbols.posix_spawn_file_actions_destroy(this.#actions);
    symbols.close(this.#stdin.from);
    const stdout = drained(this.#stdout);
    return { ...this.#ended, stdout, stderr: drained(this.#stderr) };
  }
}

function pipe(): { from: number; to: number } {
  const ends = new Int32Array(2);
  if (symbols.pipe2(ends, CLOEXEC) !== 0)
    throw new Error("failed to make a pipe");
  const [from = -1, to = -1] = ends;
  return { from, to };
}

/** The present content of the pipe, which a lingering grandchild may keep open. */
function drained({ from, to }: { from: number; to: number }): string {
  symbols.close(to);
  symbols.fcntl(from, F_SETFL, NONBLOCK);
  const buffer = Buffer.alloc(1 << 16);
  const length = Number(symbols.read(from, buffer, buffer.length));
  symbols.close(from);
  return buffer.toString("utf8", 0, Math.max(length, 0));
}

/** An array of texts as execve(2) takes it. */
function vector(values: readonly string[]): {
  pointers: BigUint64Array;
  texts: Buffer[];
} {
  const texts = values.map(text);
  const pointers = new BigUint64Array(texts.length + 1);
  for (const [i, value] of texts.entries()) pointers[i] = BigInt(ptr(value));
  return { pointers, texts };
}
