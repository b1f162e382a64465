/**
 * Delegates that fail in every way, after a bridge of the same network has done
 * its work: the compiled executable prints one error with the right code, and
 * nothing of the pod is left, neither interface nor address nor record.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Behaviour, DelegateDouble } from "../support/delegate.ts";
import { type CallOptions, type Node, nothing } from "../support/node.ts";
import { startNode } from "../support/scripted-node.ts";

let node: Node;
let delegates: DelegateDouble;

beforeAll(async () => {
  node = await startNode();
  delegates = new DelegateDouble("broken");
  node.path.push(delegates.bin);
});

afterAll(async () => {
  delegates[Symbol.dispose]();
  await node[Symbol.asyncDispose]();
});

/** A bridge, then the plugin that fails. */
function network(type: string) {
  return {
    cniVersion: "1.0.0",
    name: "mixed-net",
    plugins: [
      { type: "bridge", bridge: "br0", ipam: node.ipam("10.66.0.0/24") },
      { type },
    ],
  };
}

const mixed: CallOptions = { annotations: { cni: "mixed" } };

interface Expected {
  code: number;
  msg: string | RegExp;
  details?: string;
}

const one = { cniVersion: "1.0.0" };

const cases: [string, Behaviour, Expected][] = [
  [
    "its own error",
    {
      stdout: { ...one, code: 42, msg: "no luck", details: "at all" },
      exit: 1,
    },
    { code: 42, msg: "no luck", details: "at all" },
  ],
  [
    "a message of 3 MB: its beginning and its end",
    {
      sh: `printf '{"code":7,"msg":"first '; head -c 3000000 /dev/zero | tr '\\0' x; printf ' last"}'`,
      stdout: "",
      exit: 1,
    },
    {
      code: 7,
      msg: /failed to add eth0: first x{3900,4096}…x{4000,4096} last$/,
    },
  ],
  [
    "SIGSEGV",
    { signal: "SEGV" },
    { code: 999, msg: "signal: segmentation fault" },
  ],
  [
    "garbage",
    { stdout: "ok" },
    {
      code: 999,
      msg: "invalid character 'o'",
      details: expect.stringContaining("ok"),
    },
  ],
  [
    "stdout without an end",
    { sh: "yes" },
    { code: 999, msg: "more than 4 MiB" },
  ],
  [
    "too much on stderr",
    { sh: "head -c 2000000 /dev/zero >&2" },
    { code: 999, msg: "more than 1 MiB" },
  ],
];

describe("ADD, a delegate fails", () => {
  test.each(cases)("%s", async (_, behaviour, { code, msg, ...details }) => {
    node.network("30-mixed.conflist", network("broken"));
    delegates.behave("ADD broken", behaviour);
    delegates.forget();
    const pod = await node.pod();
    const failure = await node.fail("ADD", pod, mixed);
    expect(failure).toEqual({
      cniVersion: "1.0.0",
      code,
      msg: expect.stringMatching(msg),
      ...details,
    });
    expect(failure.msg).toStartWith(
      '[shop/web:mixed] plugin "broken" failed to add eth0: ',
    );
    expect(
      delegates.calls().map(({ verb, ifname }) => `${verb} ${ifname}`),
    ).toEqual(["ADD eth0", "DEL eth0"]);
    expect(await node.remains()).toEqual(nothing);
    expect(await node.succeed("DEL", pod, mixed)).toBeUndefined();
  });
});

describe("ADD, a delegate cannot be executed: nothing is", () => {
  const install: [string, () => string, Expected][] = [
    [
      "missing",
      () => "absent",
      { code: 7, msg: 'failed to find plugin "absent" in path' },
    ],
    [
      "not executable",
      () => installed("plain", "#!/bin/sh\n", 0o644),
      { code: 7, msg: "permission denied" },
    ],
  ];
  test.each(install)("%s", async (_, type, { code, msg }) => {
    node.network("30-mixed.conflist", network(type()));
    const bridges = await node.netns.links();
    expect(await node.fail("ADD", await node.pod(), mixed)).toEqual({
      cniVersion: "1.0.0",
      code,
      msg: expect.stringMatching(msg),
    });
    expect(await node.netns.links()).toEqual(bridges);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each([
    ["no program after all", "\u007fELF nothing", "exec format error"],
    ["no interpreter", "#!/nonexistent\n", "no such file or interpreter"],
  ])("%s: what ran before it is deleted", async (_, text, why) => {
    node.network(
      "30-mixed.conflist",
      network(installed("garbage", text, 0o755)),
    );
    const pod = await node.pod();
    expect(await node.fail("ADD", pod, mixed)).toEqual({
      cniVersion: "1.0.0",
      code: 7,
      msg: `[shop/web:mixed] plugin "garbage" failed to add eth0: failed to execute ${node.binDir}/garbage: ${why}`,
    });
    expect(await node.remains()).toEqual(nothing);
    await node.succeed("DEL", pod, mixed);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each([
    ["in its second network", ["fragile"], "one,two", "eth1", "eth0\n"],
    ["in one list", ["fragile", "fragile"], "one", "eth0", "eth0\neth0\n"],
  ])("damaged after it ran, %s: that waits for a DEL", async (...row) => {
    const [, types, cni, ifname, deleted] = row;
    const works = `#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"cniVersion":"1.0.0"}'
rm "$0" && echo garbage >"$0" && chmod 755 "$0"
`;
    installed("fragile", works, 0o755);
    for (const name of ["one", "two"])
      node.network(`40-${name}.conflist`, {
        cniVersion: "1.0.0",
        name,
        plugins: types.map((type) => ({ type })),
      });
    const options = { annotations: { cni } };
    const pod = await node.pod();
    const { msg } = await node.fail("ADD", pod, options);
    expect(msg).toContain(`plugin "fragile" failed to add ${ifname}: `);
    const executed = join(node.directory, "executed");
    rmSync(executed, { force: true });
    const text = `#!/bin/sh\necho "$CNI_IFNAME" >>${executed}\n`;
    installed("fragile", text, 0o755);
    await node.succeed("DEL", pod, options);
    expect(readFileSync(executed, "utf8")).toBe(deleted);
    expect(await node.remains()).toEqual(nothing);
  });

  test("an error with exit code 0 is a success, and a warning names plugin and message (F-6)", async () => {
    const error = '{"cniVersion":"1.0.0","code":7,"msg":"no such master"}';
    installed("mild", `#!/bin/sh\necho '${error}'\n`, 0o755);
    node.network("50-mild.conf", {
      cniVersion: "1.0.0",
      name: "mild-net",
      type: "mild",
    });
    const pod = await node.pod();
    const options = {
      annotations: { cni: "mild" },
      config: { log_level: "warn", logFile: undefined },
    };
    for (const verb of ["ADD", "DEL"] as const) {
      const { stderr } = await node.call(verb, pod, options);
      expect(stderr).toContain(
        'warn: plugin "mild" succeeded, but printed an error with code 7: "no such master"',
      );
      expect(stderr).toContain('network="mild-net"');
    }
    expect(await node.remains()).toEqual(nothing);
  });

  function installed(type: string, text: string, mode: number): string {
    node.plugin(type, text, mode);
    return type;
  }
});
