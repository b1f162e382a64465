/**
 * `<dataDir>/calls.log`: one JSON line for each call, for the agent's metrics and
 * events (agent.md "Metrics"). It never fails a call, and its lines contain no secret.
 * Every pod loads this module: plain code, because each first use of a built-in costs.
 */
import { close, write } from "../linux/file-calls.ts";
import { bytesOf, cut } from "../linux/text.ts";
import { CniError } from "../cni/error.ts";
import type { Execution } from "../cni/invoke.ts";
import { type JsonObject, own } from "../cni/json.ts";
import type { Try } from "../kube/client.ts";
import { openToAppend } from "../linux/own-files.ts";
import { defaultDataDir } from "../select/config.ts";
import { type CallNames, logContext } from "./context.ts";
import type { Dependencies } from "./dependencies.ts";

interface LoggedDelegate {
  plugin: string;
  verb: string;
  /** The `name` of the network; absent for VERSION. */
  network?: string | undefined;
  ifname?: string | undefined;
  ms: number;
  code: number;
}

export interface LoggedRequest {
  verb: string;
  /** `pods`, `pods/status` */
  resource: string;
  /** Absent without a response. */
  status?: number | undefined;
  ms: number;
}

interface LoggedCall {
  time: string;
  verb: string;
  /** A change of a running pod's networks, which is no call of the runtime. */
  change?: true | undefined;
  /** `<namespace>/<name>` */
  pod?: string | undefined;
  containerId?: string | undefined;
  ifname?: string | undefined;
  traceId?: string | undefined;
  /** The names of the networks whose plugins were executed, each once. */
  networks: string[];
  ms: number;
  code: number;
  delegates: LoggedDelegate[];
  requests: LoggedRequest[];
  /** The message of a call that failed. */
  error?: string | undefined;
  /** The number of delegates and requests that the line has no room for. */
  omitted?: number;
}

/** Bytes of a line, of a name from outside, of the error. */
const longestLine = 8192;
const longestName = 320;
const longestError = 512;

/** Bytes. The agent rotates the file at 1 MiB; without the agent it must not fill the disk. */
const longestFile = 16 << 20;

interface CallsLog {
  executed(execution: Execution): void;
  requested(request: Try): void;
  /** Appends the line, in one write: other calls append too. Never throws. */
  ended(thrown?: unknown): void;
}

/**
 * The log of a call; undefined without the file. Reads `dataDir` without validation: a
 * call with an invalid configuration has a line too.
 */
export function openCallsLog(
  call: CallNames,
  config: JsonObject,
  dependencies: Dependencies,
  change?: true,
): CallsLog | undefined {
  const dataDir = own(config, "dataDir");
  const isPath = typeof dataDir === "string" && dataDir.startsWith("/");
  const directory = isPath ? dataDir : defaultDataDir;
  const fd = openToAppend(directory, "calls.log", longestFile);
  return fd === undefined
    ? undefined
    : callsLog(fd, call, dependencies, change);
}

function callsLog(
  fd: number,
  call: CallNames,
  { clock, now, env }: Dependencies,
  change: true | undefined,
): CallsLog {
  const began = clock();
  const networks: string[] = [];
  const delegates: LoggedDelegate[] = [];
  const requests: LoggedRequest[] = [];
  return {
    executed({ call: { type, verb, network, runtime }, ms, error }) {
      if (network !== undefined && !networks.includes(network))
        networks.push(network);
      delegates.push({
        plugin: type,
        verb,
        network,
        ifname: runtime.ifname || undefined,
        ms: rounded(ms),
        code: error ? error.code : 0,
      });
    },
    requested({ method, path, status, ms }) {
      const { resource, isList } = targetOf(path);
      requests.push({
        verb: isList ? "list" : method.toLowerCase(),
        resource,
        status,
        ms: rounded(ms),
      });
    },
    ended(thrown) {
      const { verb, pod, containerId, ifname, traceId } = logContext(call, env);
      const line: LoggedCall = {
        time: now().toISOString(),
        verb,
        change,
        pod,
        containerId,
        ifname,
        traceId,
        networks,
        ms: rounded(clock() - began),
        code: 0,
        delegates,
        requests,
      };
      if (thrown !== undefined) {
        const { code, message } = CniError.from(thrown);
        line.code = code;
        line.error = cut(message, longestError);
      }
      let bytes = bytesOf(`${JSON.stringify(line)}\n`);
      if (bytes.length > longestLine) bytes = shortened(line);
      try {
        write(fd, bytes);
      } catch {
        // A full disk must not fail the pod.
      } finally {
        close(fd);
      }
    },
  };
}

/** A line that is too long: its names are cut, and its lists keep their beginning. */
function shortened(call: LoggedCall): Uint8Array {
  const { verb, pod, containerId, ifname } = call;
  const { networks, delegates, requests, omitted = 0 } = call;
  const all = delegates.length + requests.length;
  const line = {
    ...call,
    verb: cut(verb, longestName),
    pod: pod && cut(pod, longestName),
    containerId: containerId && cut(containerId, longestName),
    ifname: ifname && cut(ifname, longestName),
    networks: half(networks),
    delegates: half(delegates),
    requests: half(requests),
    omitted: omitted + all - (delegates.length >> 1) - (requests.length >> 1),
  };
  const bytes = bytesOf(`${JSON.stringify(line)}\n`);
  return bytes.length > longestLine && all + networks.length > 0
    ? shortened(line)
    : bytes;
}

function half<T>(list: readonly T[]): T[] {
  return list.slice(0, list.length >> 1);
}

/** The resource of an API path: `/api/v1/namespaces/shop/pods/web/status` → `pods/status`; a LIST names no object. */
function targetOf(path: string): { resource: string; isList: boolean } {
  const [plain = ""] = path.split("?");
  const parts = plain.split("/");
  // After `/api/v1` or `/apis/<group>/<version>`.
  const first = parts[1] === "api" ? 3 : 4;
  const at = parts[first] === "namespaces" ? first + 2 : first;
  const [resource = "", name, subresource] = parts.slice(at);
  return {
    resource:
      subresource === undefined ? resource : `${resource}/${subresource}`,
    isList: name === undefined,
  };
}

/** Hundredths of a millisecond. `Math` would cost a pod more than this module. */
function rounded(ms: number): number {
  return ((ms * 100 + 0.5) | 0) / 100;
}
