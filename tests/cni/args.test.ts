import { describe, expect, test } from "bun:test";
import { cniArg, formatCniArgs, parseCniArgs } from "../../lib/cni/args.ts";
import {
  ifnameProblem,
  isIdentifier,
  validateIfname,
  validateNetworkName,
} from "../../lib/cni/identifiers.ts";
import { readEnvironment } from "../../lib/cni/environment.ts";
import { cniError } from "../support/cni-error.ts";

const complete = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/a",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=p",
  CNI_PATH: "/opt/cni/bin:/usr/lib/cni",
};

describe("readEnvironment", () => {
  test("gives what the verb reads", () => {
    expect(readEnvironment(complete)).toEqual({
      command: "ADD",
      containerId: "c1",
      netns: "/run/netns/a",
      ifname: "eth0",
      args: "IgnoreUnknown=1;K8S_POD_NAME=p",
      path: ["/opt/cni/bin", "/usr/lib/cni"],
      netnsOverride: false,
    });
  });

  test.each(["GC", "STATUS"])(
    "gives %s nothing that nobody validated",
    (command) => {
      const env = {
        ...complete,
        CNI_COMMAND: command,
        CNI_CONTAINERID: "../x",
        CNI_IFNAME: "a/b",
      };
      expect(readEnvironment(env)).toEqual({
        command,
        containerId: "",
        netns: "",
        ifname: "",
        args: "IgnoreUnknown=1;K8S_POD_NAME=p",
        path: ["/opt/cni/bin", "/usr/lib/cni"],
        netnsOverride: false,
      });
    },
  );

  test.each([
    ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"],
    ["GC", "CNI_PATH"],
    ["STATUS", "CNI_PATH"],
    ["", "CNI_COMMAND"],
    [undefined, "CNI_COMMAND"],
  ])("names all that %p misses, in order (P-ENV-2)", (command, names) => {
    const empty = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "",
      CNI_NETNS: "",
      CNI_IFNAME: "",
    };
    expect(() => readEnvironment(empty)).toThrow(
      cniError(4, `required env variables [${names}] missing`),
    );
  });

  test.each(["VERSION", "NOPE", "add", "constructor"])(
    "asks nothing of %s",
    (command) => {
      expect(readEnvironment({ CNI_COMMAND: command }).command).toBe(command);
    },
  );

  test("leaves empty directories out of the path", () => {
    expect(readEnvironment({ ...complete, CNI_PATH: ":/a::/b:" }).path).toEqual(
      ["/a", "/b"],
    );
  });
});

const forbidden = {
  msg: "interface name contains / or : or whitespace characters",
};
const tooLong = {
  msg: "interface name is too long",
  details: "interface name should be less than 16 characters",
};

describe("ifnameProblem and validateIfname (P-IF)", () => {
  test.each([
    "eth0",
    "...",
    "%d",
    "a;b",
    "-",
    "123456789012345",
    "ééééééé",
    "a\u200bb",
    "a\u{feff}",
  ])("%j is a name", (name) => {
    expect(ifnameProblem(name)).toBeUndefined();
    expect(() => validateIfname(name)).not.toThrow();
  });

  const spaces = Array.from(
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000",
  );
  test.each([
    ["", { msg: "interface name is empty" }],
    [".", { msg: "interface name is . or .." }],
    ["..", { msg: "interface name is . or .." }],
    ["1234567890123456", tooLong],
    ["éééééééé", tooLong],
    ["a/b", forbidden],
    ["a:b", forbidden],
    ["a\0b", { msg: "interface name contains a NUL character" }],
    ...spaces.map((space) => [`a${space}b`, forbidden] as const),
  ] as const)("%j is none", (name, expected) => {
    expect(ifnameProblem(name)).toEqual(expected);
    const details = "details" in expected ? expected.details : undefined;
    expect(() => validateIfname(name)).toThrow(
      cniError(4, expected.msg, details),
    );
  });
});

test("isIdentifier, of all ASCII characters: letters, digits, and marks that are not first", () => {
  for (let code = 0; code < 128; code++) {
    const char = String.fromCharCode(code);
    expect([char, isIdentifier(char), isIdentifier(`a${char}`)]).toEqual([
      char,
      /[A-Za-z0-9]/.test(char),
      /[A-Za-z0-9._-]/.test(char),
    ]);
  }
  expect(isIdentifier("")).toBe(false);
});

/** Valid and invalid characters: `skel-cases`. */
test("validateNetworkName, an empty one has its own text (P-NET)", () => {
  expect(() => validateNetworkName("")).toThrow(
    cniError(7, "missing network name"),
  );
});

describe("parseCniArgs, lenient", () => {
  test.each([
    ["", []],
    [
      "A=1;B=2",
      [
        ["A", "1"],
        ["B", "2"],
      ],
    ],
    [
      "A=1=2;;B=;",
      [
        ["A", "1=2"],
        ["B", ""],
      ],
    ],
    ["novalue;=1;A=1", [["A", "1"]]],
    [
      "A=1;A=2",
      [
        ["A", "1"],
        ["A", "2"],
      ],
    ],
  ] as [string, [string, string][]][])("%j", (text, pairs) => {
    expect(parseCniArgs(text)).toEqual(pairs);
  });

  test.each([
    ["A=1;B=2", "B", "2"],
    ["A=1;A=2", "A", "2"],
    ["A=", "A", ""],
    ["A=1", "a", undefined],
    ["", "A", undefined],
  ])("cniArg of %j, key %s", (args, key, value) => {
    expect(cniArg(args, key)).toBe(value);
  });

  test("formatCniArgs is the inverse", () => {
    const text = "IgnoreUnknown=1;K8S_POD_NAME=p;X=a=b;Y=";
    expect(formatCniArgs(parseCniArgs(text))).toBe(text);
  });
});
