/**
 * A file by which the agent says that it is at work: boot ID and uptime, renewed every
 * 5 s (agent.md `--cache`, `--status`). ADD trusts it for 15 s; no wall clock can be
 * wrong. ADD must not wait for the agent or fail because of such a file.
 */
import { own, parseJson } from "../cni/json.ts";
import { isOwnFile, readOwnFileIfAny } from "../linux/own-files.ts";

/** The boot, and the time since it. */
interface Clock {
  bootId(): string;
  uptimeMs(): number;
}

/** Milliseconds between two renewals, and of trust. */
export const renewEveryMs = 5000;
const trustMs = 15_000;

/** The files, in `dataDir`. */
export const definitionsSynced = "definitions/.synced";
export const statusSynced = "status.synced";

const maxBytes = 200;

/** Whether the file was renewed in the last 15 s of this boot. Never throws. */
export function isSynced(path: string, clock: Clock): boolean {
  const age = ageOf(path, clock);
  return age !== undefined && age < trustMs;
}

/**
 * Milliseconds since the file was renewed; undefined if that was not in this boot. A torn
 * or foreign file is the same as none.
 */
export function ageOf(path: string, clock: Clock): number | undefined {
  try {
    if (!isOwnFile(path)) return undefined;
    const value = parseJson(readOwnFileIfAny(path, maxBytes) ?? "");
    if (own(value, "bootId") !== clock.bootId()) return undefined;
    const age = clock.uptimeMs() - Number(own(value, "uptimeMs"));
    return age >= 0 ? age : undefined;
  } catch {
    return undefined;
  }
}

/** The text of such a file now. */
export function syncedText(clock: Clock): string {
  return JSON.stringify({ bootId: clock.bootId(), uptimeMs: clock.uptimeMs() });
}
