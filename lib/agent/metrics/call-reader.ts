/**
 * The agent's side of `<dataDir>/calls.log` (agent.md "Metrics"): it makes and rotates
 * the file, 1 MiB twice, and reads each line once, over rotations and restarts.
 */
import { linkSync } from "node:fs";
import * as v from "valibot";
import { parseJson } from "../../cni/json.ts";
import { object } from "../../cni/schema.ts";
import {
  Open,
  close,
  linkStatusIfAny,
  openIfAny,
  readAt,
  rename,
  status,
} from "../../linux/file-calls.ts";
import { removeFile, writeFile } from "../../linux/files.ts";
import { makeOwnDirectory } from "../../linux/own-files.ts";
import { textOf } from "../../linux/text.ts";

/** The next byte to read, by the file's identity. */
export type Offsets = Readonly<Record<string, number>>;

/** The older file first. */
const names = ["calls.log.1", "calls.log"] as const;

const longestFile = 1 << 20;

/** Bytes of one file that one call of {@link readCalls} reads: more than the plugin ever appends to. */
const longestRead = 17 << 20;

/**
 * Makes the file, and rotates it when it is long; the offsets that are still of use. Calls
 * may append to the old file for a moment: {@link readCalls} reads both. Throws
 * SystemError, and UnsafeDirectory.
 */
export function keepCallsLog(dataDir: string, offsets: Offsets): Offsets {
  const [old, current] = pathsOf(dataDir);
  // Makes and checks `dataDir` too.
  makeOwnDirectory(`${dataDir}/attachments`);
  const found = linkStatusIfAny(current);
  if (found?.kind === "file" && found.size < longestFile) return offsets;
  if (found?.kind === "file") {
    removeFile(old);
    linkSync(current, old);
  }
  replaceByNew(current);
  // The new file may have the inode of the removed one.
  const { id = "" } = found ?? {};
  return { [id]: offsets[id] ?? 0 };
}

/** At no moment is there no file. */
function replaceByNew(current: string): void {
  const made = `${current}.new`;
  writeFile(made, "", 0o600);
  rename(made, current);
}

export function pathsOf(dataDir: string): [old: string, current: string] {
  return [`${dataDir}/${names[0]}`, `${dataDir}/${names[1]}`];
}

/** The lines since `offsets`, and the offsets behind them; lines that are none of ours are skipped. */
export function readCalls(
  dataDir: string,
  offsets: Offsets,
): { calls: CallLine[]; offsets: Offsets } {
  const calls: CallLine[] = [];
  const next: Record<string, number> = {};
  for (const path of pathsOf(dataDir)) {
    // A link, a FIFO: not ours, and keepCallsLog replaces it.
    if (linkStatusIfAny(path)?.kind !== "file") continue;
    const fd = openIfAny(path, reading);
    if (fd === undefined) continue;
    try {
      const { kind, id, size } = status(fd);
      // While a rotation is between two steps, both names are one file.
      if (kind !== "file" || id in next) continue;
      const known = offsets[id] ?? 0;
      const text = wholeLines(fd, known <= size ? known : 0, size);
      next[id] = text.end;
      for (const line of text.lines) {
        const call = callOf(line);
        if (call) calls.push(call);
      }
    } finally {
      close(fd);
    }
  }
  return { calls, offsets: next };
}

/** O_NONBLOCK: opening a FIFO must not block. */
const reading = Open.readOnly | Open.nonBlocking | Open.noFollow;

/** A line without its end is read later. */
function wholeLines(fd: number, from: number, size: number) {
  const wanted = Math.min(size - from, longestRead);
  const bytes = new Uint8Array(wanted);
  let length = 0;
  while (length < bytes.length) {
    const count = readAt(fd, bytes.subarray(length), from + length);
    if (count === 0) break;
    length += count;
  }
  const newline = bytes.subarray(0, length).lastIndexOf(0x0a) + 1;
  // So many bytes without a newline are no line: skip them.
  const end = newline === 0 && length === longestRead ? length : newline;
  const lines = textOf(bytes.subarray(0, end)).split("\n");
  return { lines: lines.filter((line) => line !== ""), end: from + end };
}

const milliseconds = v.pipe(v.number(), v.finite(), v.minValue(0));
const code = v.pipe(v.number(), v.integer());
const verb = v.picklist(["ADD", "DEL", "CHECK", "GC", "STATUS"]);

const schema = object({
  verb,
  /** Of a running pod's networks: no call of the runtime. */
  change: v.optional(v.boolean(), false),
  pod: v.optional(v.string()),
  ms: milliseconds,
  code,
  delegates: v.array(
    object({
      plugin: v.string(),
      verb: v.string(),
      ms: milliseconds,
      code,
    }),
  ),
  requests: v.array(
    object({
      verb: v.string(),
      resource: v.string(),
      status: v.optional(code),
      ms: milliseconds,
    }),
  ),
  error: v.optional(v.string()),
});

/** The keys of a line that the agent uses. */
export type CallLine = v.InferOutput<typeof schema>;

function callOf(line: string): CallLine | undefined {
  // Before it there may be a line that a full disk has cut, and that has no end.
  const start = line.lastIndexOf('{"time":');
  if (start > 0) return callOf(line.slice(start));
  try {
    const { success, output } = v.safeParse(schema, parseJson(line));
    return success ? output : undefined;
  } catch {
    return undefined;
  }
}
