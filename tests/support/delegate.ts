/**
 * Delegates to call in tests: real executables, a shell script under every name
 * that is asked for. Each call is recorded (environment, stdin, pid, argv, cwd)
 * and then does what the test told it to. Whatever is left running is killed
 * when the double is disposed of.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { execDelegate } from "../../lib/linux/exec.ts";
import type { Caller } from "../../lib/cni/invoke.ts";

/** The actions of a call, in this order; without any it prints `{}` and succeeds. */
export interface Behaviour {
  /** Does not read its stdin. */
  deaf?: true;
  /** Shell text for anything else. `$log` is the directory of the records. */
  sh?: string;
  /** Leaves a process behind that keeps stdout, stderr and everything inherited open. */
  orphan?: true;
  stderr?: string;
  /** A text as it is, everything else as JSON. */
  stdout?: unknown;
  /** Never ends by itself, nor does its child. */
  hang?: true;
  /** The name of a signal that it sends to itself. */
  signal?: string;
  exit?: number;
}

/** A plugin that prints an error and fails. */
export function failing(msg = "no", code = 42): Behaviour {
  return { stdout: { code, msg }, exit: 1 };
}

/** One call that was made. */
export interface RecordedCall {
  type: string;
  verb: string;
  ifname: string;
  pid: number;
  argv: string[];
  cwd: string;
  /** As the kernel has it: duplicates would show. */
  environ: string[];
  env: Record<string, string>;
  stdin: string;
}

/** `DEL beta eth1`. */
export function summary({ verb, type, ifname }: RecordedCall): string {
  return `${verb} ${type} ${ifname}`.trimEnd();
}

export class DelegateDouble implements Disposable {
  readonly #root = mkdtempSync(`${tmpdir()}/delegate-`);
  /** Where the plugins are: for CNI_PATH. */
  readonly bin = `${this.#root}/bin`;
  readonly #behaviour = `${this.#root}/behaviour`;
  readonly #log = `${this.#root}/log`;

  /** Installs plugins of these types, each a regular file of its own. */
  constructor(...types: string[]) {
    for (const directory of [this.bin, this.#behaviour, this.#log]) {
      mkdirSync(directory);
    }
    for (const type of types) this.install(type);
  }

  /** Adds a plugin; returns the path of its executable. */
  install(type: string, mode = 0o755): string {
    const path = `${this.bin}/${type}`;
    writeFileSync(path, script(this.#log, this.#behaviour), { mode });
    return path;
  }

  /** A plugin under another name, by a symbolic link. */
  link(name: string, target: string): void {
    symlinkSync(target, `${this.bin}/${name}`);
  }

  /** Of these calls from now on: `beta`, `DEL beta` or `DEL beta eth1`. The narrowest wins. */
  behave(calls: string, behaviour: Behaviour): void {
    writeFileSync(`${this.#behaviour}/${calls}`, shell(behaviour));
  }

  /** In the order in which they were made; one that has not read its stdin yet is none. */
  calls(): RecordedCall[] {
    return this.#lines("calls")
      .filter((line) => line.startsWith("start "))
      .map((line) => this.#call(line));
  }

  /** The calls in short: `DEL bridge eth0`. */
  executed(): string[] {
    return this.calls().map(summary);
  }

  /** `start bridge ADD eth0` and `end …`, in order, so that overlapping calls are visible. */
  events(): string[] {
    return this.#lines("calls").map((line) => line.replace(/ \d+$/, ""));
  }

  /** The processes that calls left behind or wait for. */
  left(): number[] {
    return this.#lines("left").map(Number);
  }

  /** The words of {@link Behaviour.sh}: the lines of a file in `$log`. */
  lines(file: string): string[] {
    return this.#lines(file);
  }

  /** Forgets the calls that were made. */
  forget(): void {
    rmSync(`${this.#log}/calls`, { force: true });
  }

  [Symbol.dispose](): void {
    for (const pid of this.left()) if (isRunning(pid)) kill(pid);
    rmSync(this.#root, { recursive: true, force: true });
  }

  #call(line: string): RecordedCall {
    const [, type = "", verb = "", ifname = "", pid = ""] = line.split(" ");
    const file = (suffix: string) =>
      readFileSync(`${this.#log}/${pid}.${suffix}`, "utf8");
    const environ = file("environ").split("\0").filter(Boolean);
    return {
      type,
      verb,
      ifname,
      pid: Number(pid),
      argv: file("argv").split("\n").filter(Boolean),
      cwd: file("cwd").trimEnd(),
      environ,
      env: Object.fromEntries(environ.map(variable)),
      stdin: file("stdin"),
    };
  }

  #lines(file: string): string[] {
    const path = `${this.#log}/${file}`;
    if (!existsSync(path)) return [];
    return readFileSync(path, "utf8").split("\n").filter(Boolean);
  }
}

/** How tests call delegates: really executed, their stderr collected, no pause allowed. */
export function testCaller(overrides: Partial<Caller> = {}): Caller & {
  words: string[];
} {
  const words: string[] = [];
  return {
    exec: execDelegate,
    env: { PATH: process.env["PATH"] },
    inherit: [],
    timeoutMs: 60_000,
    stderr: (text) => void words.push(text),
    sleep: () => Promise.reject(new Error("no pause was expected")),
    ...overrides,
    words,
  };
}

/** Whether a process is there and not only waited for by its parent. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/[ZX]/.test(stat.charAt(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** Less than the time of a test (scripts/test.ts), much more than any condition takes on a busy machine. */
export const patienceMs = 50_000;

/** Resolves when the condition holds. Rejects after {@link patienceMs}. */
export async function until(
  condition: () => boolean,
  what: string,
): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`it never came: ${what}`);
    await Bun.sleep(2);
  }
}

/** A new temporary directory, removed when it goes out of scope. */
export function temporaryDirectory(): { path: string } & Disposable {
  const path = mkdtempSync(`${tmpdir()}/genie-test-`);
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Puts files into a directory, by name; an object is written as JSON. */
export function writeFiles(
  directory: string,
  files: Readonly<Record<string, unknown>>,
): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(`${directory}/${name}`.replace(/\/[^/]*$/, ""), {
      recursive: true,
    });
    appendFileSync(
      `${directory}/${name}`,
      typeof content === "string" ? content : JSON.stringify(content),
    );
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended in the meantime.
  }
}

function variable(text: string): [string, string] {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}

/** The line in `calls` is written last, when the record is complete. */
const script = (log: string, behaviour: string) => `#!/bin/sh
log='${log}'
type=\${0##*/}
deaf=
act() { printf '{}'; }
for name in "$type" "$CNI_COMMAND $type" "$CNI_COMMAND $type $CNI_IFNAME"; do
  if [ -f '${behaviour}'/"$name" ]; then . '${behaviour}'/"$name"; fi
done
cat "/proc/$$/environ" >"$log/$$.environ"
pwd -P >"$log/$$.cwd"
printf '%s\\n' "$0" "$@" >"$log/$$.argv"
if [ -n "$deaf" ]; then : >"$log/$$.stdin"; else cat >"$log/$$.stdin"; fi
call="$type $CNI_COMMAND $CNI_IFNAME $$"
echo "start $call" >>"$log/calls"
trap 'echo "end $call" >>"$log/calls"' EXIT
act
`;

/** The shell function `act`. */
function shell(behaviour: Behaviour): string {
  const { deaf, sh, orphan, stderr, hang, signal, exit } = behaviour;
  const stdout = behaviour.stdout ?? (exit || hang || signal ? "" : {});
  const text = typeof stdout === "string" ? stdout : JSON.stringify(stdout);
  const wait = `sleep 600 & echo "$!" >>"$log/left"`;
  return [
    `deaf=${deaf ? "yes" : ""}`,
    "act() {",
    ":",
    sh,
    orphan && wait,
    stderr && `printf '%s' ${quoted(stderr)} >&2`,
    text && `printf '%s' ${quoted(text)}`,
    hang && `${wait}\nwait`,
    signal && `kill -${signal} $$`,
    exit !== undefined && `exit ${exit}`,
    "}",
    "",
  ]
    .filter((line) => typeof line === "string")
    .join("\n");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
