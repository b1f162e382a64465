/**
 * Calls genie as a runtime does and checks every response: one JSON value or nothing
 * on stdout, no secret anywhere, an end within the time limits.
 */
import { genieBinary } from "../tests/support/build.ts";
import { onlyValue, startPlugin } from "../tests/support/runtime.ts";
import { remember } from "./cache.ts";
import { type TorturedNode, secretPrefix } from "./tortured-node.ts";

export interface GenieCall {
  verb: "ADD" | "DEL" | "CHECK" | "GC";
  containerId?: string;
  netns?: string;
  args?: string;
  config: Record<string, unknown>;
  /** SIGKILL after so many milliseconds. */
  killMs?: number | undefined;
  /** By which the executions of this call are found. */
  mark?: string | undefined;
}

export interface Outcome {
  verb: string;
  /** null: we killed it. */
  exitCode: number | null;
  json: unknown;
  text: string;
}

/** Longer than any phase of this torture: its time limits are short. */
const patienceMs = 45_000;

export async function callGenie(
  node: TorturedNode,
  call: GenieCall,
): Promise<Outcome> {
  const { verb, containerId, netns, args, config, killMs, mark } = call;
  const began = performance.now();
  const child = startPlugin({
    binary: genieBinary(),
    env: {
      CNI_COMMAND: verb,
      CNI_PATH: node.plugins.binDir,
      ...(containerId !== undefined && {
        CNI_CONTAINERID: containerId,
        CNI_IFNAME: "eth0",
      }),
      ...(netns !== undefined && { CNI_NETNS: netns }),
      ...(args !== undefined && { CNI_ARGS: args }),
      ...(mark !== undefined && { TORTURE_MARK: mark }),
    },
    config,
  });
  const timer =
    killMs === undefined
      ? undefined
      : setTimeout(() => child.kill("SIGKILL"), killMs);
  const [stdout, stderr] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  clearTimeout(timer);
  const ms = performance.now() - began;
  const killed = child.signalCode !== null;
  node.report.took(ms);
  node.report.count(
    "calls",
    `${verb} ${killed ? "killed" : child.exitCode === 0 ? "succeeded" : "failed"}`,
  );
  if (killed && killMs !== undefined && ms < patienceMs)
    node.report.count("faults", `SIGKILL of genie in ${verb}`);
  const outcome = {
    verb,
    exitCode: killed ? null : child.exitCode,
    json: undefined,
    text: stdout,
  };
  for (const problem of problems(
    outcome,
    stderr,
    killed && killMs === undefined,
    ms,
  )) {
    node.report.find(
      `${verb} of ${containerId?.slice(0, 8) ?? "the network"}: ${problem}`,
    );
  }
  const answered = { ...outcome, json: decoded(stdout) };
  remember(node, call, answered);
  return answered;
}

function problems(
  { verb, exitCode, text }: Outcome,
  stderr: string,
  died: boolean,
  ms: number,
): string[] {
  const found: string[] = [];
  if (died) found.push(`ended by a signal: ${stderr.slice(-300)}`);
  if (ms > patienceMs) found.push(`took ${Math.round(ms)} ms`);
  if (`${text}${stderr}`.includes(secretPrefix)) found.push("printed a secret");
  const json = decoded(text);
  if (text !== "" && json === undefined)
    found.push(`no single JSON value on stdout: ${text.slice(0, 200)}`);
  if (exitCode !== null) {
    const expected = exitCode !== 0 || verb === "ADD";
    if (expected && typeof json !== "object")
      found.push(
        `exit code ${exitCode} without an answer: ${stderr.slice(-300)}`,
      );
    if (!expected && text !== "")
      found.push(`unexpected answer ${text.slice(0, 200)}`);
    if (exitCode > 1) found.push(`exit code ${exitCode}`);
  }
  return found;
}

function decoded(stdout: string): unknown {
  try {
    return onlyValue(stdout);
  } catch {
    return undefined;
  }
}
