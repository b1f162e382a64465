/**
 * Every recorded call of a plugin on upstream's skel (cni-plugin.md §1.1 to
 * §1.4), against ours. What ours answers otherwise, on purpose, stands in
 * `ourMessage` and `notCalled`; every error also has a version (P-ERR-2).
 */
import { describe, expect, test } from "bun:test";
import { isObject, own } from "../../lib/cni/json.ts";
import { type Plugin, runPlugin } from "../../lib/cni/skel.ts";
import type { Io } from "../../lib/cni/plugin-io.ts";
import { isSupported } from "../../lib/cni/version.ts";
import cases from "../data/skel-cases.json";

type Recorded = (typeof cases)[number];

/** By stdin. Upstream names Go's types, which mean nothing to who writes a configuration. */
const ourMessage = new Map([
  ['"x"', "error unmarshall network config: expected an object, got a string"],
  ["[]", "error unmarshall network config: expected an object, got an array"],
  [
    "1",
    "error unmarshall network config: expected an object, got the number 1",
  ],
  ["true", "error unmarshall network config: expected an object, got a bool"],
  [
    '{"cniVersion":"1.1.0","name":5}',
    "error unmarshall network config: name: expected a string, got the number 5",
  ],
  [
    '{"cniVersion":1,"name":"n"}',
    "decoding version from network config: cniVersion: expected a string, got the number 1",
  ],
]);

/** Upstream compares the namespaces after the verb, and so prints two values (code 8). */
const notCalled = [
  "DEL same netns override=None",
  "DEL same netns override=yes",
];

describe("runPlugin, as upstream's skel", () => {
  test.each(cases)("$name", async (recorded) => {
    expect(await run(recorded)).toEqual(expectation(recorded));
  });

  test("every deviation is met by a case", () => {
    const unmetRequests = {
      ourMessage: [...ourMessage.keys()].filter(
        (stdin) => !cases.some((c) => c.stdin === stdin),
      ),
      notCalled: notCalled.filter(
        (name) => !cases.some((c) => c.name === name),
      ),
    };
    expect(unmetRequests).toEqual({ ourMessage: [], notCalled: [] });
  });
});

interface Outcome {
  exitCode: number;
  called: string[];
  /** The one value on stdout: an error, the answer to VERSION, the result of ADD. */
  answer: unknown;
  stderr: string;
}

/** The plugin that recorded them only printed its verb. */
async function run({ env, stdin }: Recorded): Promise<Outcome> {
  const called: string[] = [];
  let stdout = "";
  let stderr = "";
  const verb = (name: string) => async () => void called.push(name);
  const plugin: Plugin = {
    about: "CNI plugin skelprobe",
    add: async ({ command, cniVersion }) => {
      called.push(command);
      return { cniVersion };
    },
    del: verb("DEL"),
    check: verb("CHECK"),
    gc: verb("GC"),
    status: verb("STATUS"),
  };
  const io: Io = {
    env,
    readStdin: () => Buffer.from(stdin),
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    isStdoutClosed: () => false,
    netnsId: (path) => (path === "/proc/self/ns/net" ? "4:1" : undefined),
  };
  const exitCode = await runPlugin(plugin, io);
  return {
    exitCode,
    called,
    answer: stdout === "" ? undefined : JSON.parse(stdout),
    stderr,
  };
}

function expectation({ name, stdin, rc, stdout, stderr }: Recorded): Outcome {
  const called = [...stdout.matchAll(/CALLED:(\w+)\n/g)].map(
    ([, verb = ""]) => verb,
  );
  const printed = stdout.replace(/CALLED:\w+\n/, "");
  return {
    exitCode: rc,
    called: notCalled.includes(name) ? [] : called,
    answer: printed === "" ? resultOf(called, stdin) : answerOf(printed, stdin),
    stderr,
  };
}

function resultOf(called: string[], stdin: string): unknown {
  if (!called.includes("ADD")) return undefined;
  const cniVersion = versionOf(stdin);
  return cniVersion < "1.0.0" ? { cniVersion, dns: {} } : { cniVersion };
}

function answerOf(printed: string, stdin: string): unknown {
  const answer: unknown = JSON.parse(printed);
  if (own(answer, "code") === undefined || !isObject(answer)) return answer;
  const msg = String(answer["msg"]);
  // Before stdin was read the version is ours.
  const inOurs = answer["code"] === 4 && !msg.startsWith("unknown CNI_COMMAND");
  return {
    ...answer,
    cniVersion: inOurs ? "1.1.0" : versionOf(stdin),
    msg: msg.includes("json: cannot unmarshal") ? ourMessage.get(stdin) : msg,
  };
}

/** The configuration's if it is a supported one, else ours. */
function versionOf(stdin: string): string {
  let config: unknown;
  try {
    config = JSON.parse(stdin);
  } catch {
    return "1.1.0";
  }
  if (config !== null && !isObject(config)) return "1.1.0";
  const version = own(config, "cniVersion") || "0.1.0";
  return typeof version === "string" && isSupported(version)
    ? version
    : "1.1.0";
}
