/**
 * Starts a process whose environment is not UTF-8, with the same bytes (state.md
 * "Processes and locks"): a JavaScript text cannot represent them, so they are read
 * from the kernel and passed to posix_spawn(3). Also for a process in another mount
 * namespace: the call forks in the calling thread. Loaded only for these.
 */
import { readFileSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { SystemError } from "./errno.ts";
import { SYS, addressOf, bindSpawn, call, checked } from "./libc.ts";
import { bytesOf, textOf } from "./text.ts";

const symbols = bindSpawn();

const CLOSE_RANGE_CLOEXEC = 4;
const WNOHANG = 1;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;

/** The executable and the text of its stdin. */
interface SpawnRequest {
  path: string;
  args?: readonly string[];
  stdin: string;
}

/**
 * As `Bun.spawn`, with an environment of {@link rawEnvironment}. The descriptors
 * become 0, 1, 2, …; the first is an empty file for stdin. Throws SystemError.
 */
export function spawnRaw(
  { path, args = [], stdin }: SpawnRequest,
  environment: readonly Uint8Array[],
  descriptors: readonly [input: number, ...others: number[]],
): RawChild {
  const [input] = descriptors;
  let rest = bytesOf(stdin);
  // With a position the child's offset stays at the beginning.
  while (rest.length > 0)
    rest = rest.subarray(writeSync(input, rest, 0, rest.length, 0));
  return new RawChild(start(path, args, environment, fileActions(descriptors)));
}

/** The process ID. */
function start(
  path: string,
  args: readonly string[],
  environment: readonly Uint8Array[],
  actions: Uint8Array,
): number {
  closeOnExec(3);
  const pid = new Int32Array(1);
  const errno = symbols.posix_spawn(
    pid,
    cString(bytesOf(path)),
    actions,
    attributes(),
    pointers([path, ...args].map(bytesOf)),
    pointers(environment),
  );
  kept.length = 0;
  if (errno !== 0) throw SystemError.fromNumber(errno);
  return pid[0] ?? 0;
}

/** A child that Bun does not know. */
class RawChild {
  readonly pid: number;
  readonly exited: Promise<number>;
  exitCode: number | null = null;
  signalCode: string | null = null;

  constructor(pid: number) {
    this.pid = pid;
    this.exited = this.#end();
  }

  async #end(): Promise<number> {
    let status: number | undefined;
    while ((status = reap(this.pid)) === undefined) await Bun.sleep(pollMs);
    const signal = status & 0x7f;
    if (signal === 0) return (this.exitCode = (status >> 8) & 0xff);
    const names = Object.entries(constants.signals);
    const name = names.find(([, number]) => number === signal)?.[0];
    this.signalCode = name ?? `signal ${signal}`;
    return 128 + signal;
  }
}

const pollMs = 2;

/**
 * `NAME=value` of every variable of `env`, with the kernel's bytes if they are the
 * same text; undefined if all are UTF-8, unless `isForced`.
 */
export function rawEnvironment(
  env: Readonly<Record<string, string>>,
  isForced: boolean,
): Uint8Array[] | undefined {
  const byText = new Map<string, Uint8Array>();
  const byName = new Map<string, Uint8Array[]>();
  for (const entry of split(readFileSync("/proc/self/environ"))) {
    if (isText(entry)) continue;
    const name = entry.subarray(0, entry.indexOf(0x3d));
    const key = textOf(name);
    if (isText(name)) byText.set(textOf(entry), entry);
    else byName.set(key, [...(byName.get(key) ?? []), entry]);
  }
  if (!isForced && byText.size + byName.size === 0) return undefined;
  return Object.entries(env).flatMap(([name, value]) => {
    const text = `${name}=${value}`;
    return byName.get(name) ?? [byText.get(text) ?? bytesOf(text)];
  });
}

function isText(bytes: Uint8Array): boolean {
  return bytesOf(textOf(bytes)).toHex() === bytes.toHex();
}

function split(block: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let from = 0; from < block.length;) {
    const end = block.indexOf(0, from);
    const to = end < 0 ? block.length : end;
    if (to > from) entries.push(block.slice(from, to));
    from = to + 1;
  }
  return entries;
}

/** Moves every descriptor to its index; first all are moved out of each other's way. */
function fileActions(descriptors: readonly number[]): Uint8Array {
  const actions = opaque();
  symbols.posix_spawn_file_actions_init(actions);
  const first = Math.max(descriptors.length, ...descriptors) + 1;
  for (const [i, fd] of descriptors.entries())
    symbols.posix_spawn_file_actions_adddup2(actions, fd, first + i);
  for (const i of descriptors.keys()) {
    symbols.posix_spawn_file_actions_adddup2(actions, first + i, i);
    symbols.posix_spawn_file_actions_addclose(actions, first + i);
  }
  return actions;
}

/** A session of its own, and no signal ignored or blocked. */
function attributes(): Uint8Array {
  const attr = opaque();
  symbols.posix_spawnattr_init(attr);
  const flags =
    POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  symbols.posix_spawnattr_setflags(attr, flags);
  symbols.posix_spawnattr_setsigmask(attr, new Uint8Array(128));
  symbols.posix_spawnattr_setsigdefault(attr, new Uint8Array(128).fill(0xff));
  return attr;
}

/** Larger than the structs of glibc and musl, whose content is theirs. */
function opaque(): Uint8Array {
  return new Uint8Array(1024);
}

/** `char *const []`, ended by a null pointer. */
function pointers(strings: readonly Uint8Array[]): BigUint64Array {
  const texts = strings.map(cString);
  kept.push(...texts);
  return BigUint64Array.from([...texts.map((text) => addressOf(text)), 0n]);
}

/** The garbage collector does not see objects that only C points to. */
const kept: Uint8Array[] = [];

function cString(bytes: Uint8Array): Uint8Array {
  const text = new Uint8Array(bytes.length + 1);
  text.set(bytes);
  return text;
}

/** Sets close-on-exec from `first` on; no effect before Linux 5.11. */
function closeOnExec(first: number): void {
  call(SYS.close_range, first, 0xffffffff, CLOSE_RANGE_CLOEXEC);
}

/** The wait status of an ended child that nobody else waits for; undefined while it runs. */
function reap(pid: number): number | undefined {
  const pids = call(SYS.wait4, pid, waitStatus, WNOHANG);
  return checked(pids) === 0 ? undefined : waitStatus[0];
}

const waitStatus = new Uint32Array(1);
