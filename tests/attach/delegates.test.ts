/** state.md "DEL": all attachments in reverse, whatever fails; the delegates are really executed. */
import { describe, expect, test } from "bun:test";
import { parseConfList } from "../../lib/cni/conflist.ts";
import { Deadline } from "../../lib/cni/deadline.ts";
import type { ExecRequest } from "../../lib/cni/exec.ts";
import type { Result } from "../../lib/cni/result.ts";
import { deleteAttachments } from "../../lib/attach/delegates.ts";
import type { Attachment } from "../../lib/select/select.ts";
import { DelegateDouble, testCaller } from "../support/delegate.ts";

function attachment(ifname: string, ...types: string[]): Attachment {
  return {
    list: parseConfList({
      cniVersion: "1.0.0",
      name: `net-${ifname}`,
      plugins: types.map((type) => ({ type, capabilities: { mac: true } })),
    }),
    ifname,
    args: `FOR=${ifname}`,
    capabilityArgs: { mac: `mac of ${ifname}` },
  };
}

const target = (double: DelegateDouble) => ({
  containerId: "c1",
  netns: "/run/netns/a",
  path: [double.bin],
});

const none: ReadonlyMap<string, Result> = new Map();
const minute = () => new Deadline(60_000);

const problem = (code: number, message: unknown): unknown =>
  expect.objectContaining({ name: "CniError", code, message });

describe("deleteAttachments", () => {
  test("deletes attachments and their plugins in reverse, never two at once", async () => {
    using double = new DelegateDouble("a", "b", "c");
    const attachments = [
      attachment("eth0", "a", "b"),
      attachment("net1", "c"),
      attachment("net2", "a"),
    ];
    const outcome = await deleteAttachments(
      attachments,
      none,
      target(double),
      minute(),
      testCaller(),
    );
    expect([outcome, double.events()]).toEqual([
      { remaining: [], errors: [] },
      ["a DEL net2", "c DEL net1", "b DEL eth0", "a DEL eth0"].flatMap(
        (call) => [`start ${call}`, `end ${call}`],
      ),
    ]);
  });

  test("gives each its own name, arguments and result", async () => {
    using double = new DelegateDouble("a", "b");
    const result: Result = {
      cniVersion: "1.0.0",
      ips: [{ address: "10.0.0.2/24" }],
    };
    const attachments = [attachment("eth0", "a"), attachment("net1", "b")];
    await deleteAttachments(
      attachments,
      new Map([["net1", result]]),
      target(double),
      minute(),
      testCaller(),
    );
    const seen = double
      .calls()
      .map(({ env, stdin }) => [
        env["CNI_CONTAINERID"],
        env["CNI_NETNS"],
        env["CNI_IFNAME"],
        env["CNI_ARGS"],
        JSON.parse(stdin) as unknown,
      ]);
    const conf = { cniVersion: "1.0.0", capabilities: { mac: true } };
    expect(seen).toEqual([
      [
        "c1",
        "/run/netns/a",
        "net1",
        "FOR=net1",
        {
          ...conf,
          name: "net-net1",
          type: "b",
          runtimeConfig: { mac: "mac of net1" },
          prevResult: result,
        },
      ],
      [
        "c1",
        "/run/netns/a",
        "eth0",
        "FOR=eth0",
        {
          ...conf,
          name: "net-eth0",
          type: "a",
          runtimeConfig: { mac: "mac of eth0" },
        },
      ],
    ]);
  });

  test("tries all, and says what is left in its former order, the errors as they happened", async () => {
    using double = new DelegateDouble("good", "bad");
    double.behave(
      { type: "bad" },
      { stdout: { code: 42, msg: "stuck", details: "d" }, exit: 1 },
    );
    const attachments = [
      attachment("eth0", "bad"),
      attachment("net1", "good"),
      attachment("net2", "missing"),
      attachment("net3", "good", "bad"),
    ];
    const { remaining, errors } = await deleteAttachments(
      attachments,
      none,
      target(double),
      minute(),
      testCaller(),
    );
    expect(remaining.map(({ ifname }) => ifname)).toEqual([
      "eth0",
      "net2",
      "net3",
    ]);
    expect(
      errors.map(
        ({ attachment: { ifname }, error }) => [ifname, error] as unknown,
      ),
    ).toEqual([
      ["net3", problem(42, 'plugin "bad" failed to delete net3: stuck')],
      [
        "net2",
        problem(7, expect.stringContaining('failed to find plugin "missing"')),
      ],
      ["eth0", problem(42, 'plugin "bad" failed to delete eth0: stuck')],
    ]);
    expect(
      double.events().filter((event) => event.startsWith("start")),
    ).toEqual([
      "start bad DEL net3",
      "start good DEL net1",
      "start bad DEL eth0",
    ]);
  });

  test("tells apart two attachments of one network", async () => {
    using double = new DelegateDouble("a");
    double.behave({ type: "a", verb: "DEL", ifname: "net1" }, { exit: 1 });
    const twin = attachment("eth0", "a");
    const attachments = [twin, { ...twin, ifname: "net1" }];
    const { remaining } = await deleteAttachments(
      attachments,
      none,
      target(double),
      minute(),
      testCaller(),
    );
    expect(remaining).toEqual([{ ...twin, ifname: "net1" }]);
  });

  test("kills one that hangs and goes on: 11", async () => {
    using double = new DelegateDouble("good", "hangs");
    double.behave({ type: "hangs" }, { hang: true });
    const attachments = [
      attachment("eth0", "good"),
      attachment("net1", "hangs"),
    ];
    const deadline = new Deadline(2000);
    const { remaining, errors } = await deleteAttachments(
      attachments,
      none,
      target(double),
      deadline,
      testCaller(),
    );
    expect([
      remaining.map(({ ifname }) => ifname),
      errors.map(({ error }) => error.code),
    ]).toEqual([["net1"], [11]]);
    expect(double.events()).toContain("end good DEL eth0");
  });

  test("divides the time that is left by the attachments that are left", async () => {
    using double = new DelegateDouble("a");
    let now = 0;
    const limits: number[] = [];
    const exec = ({ deadline }: ExecRequest) => {
      limits.push(deadline.remaining);
      // The first uses up its time, the others a second each.
      now += limits.length === 1 ? deadline.remaining : 1000;
      return Promise.resolve({
        exitCode: 0,
        signal: null,
        stdout: "",
        stderr: "",
      });
    };
    const deadline = new Deadline(9000, () => now);
    const attachments = ["eth0", "net1", "net2"].map((ifname) =>
      attachment(ifname, "a"),
    );
    await deleteAttachments(
      attachments,
      none,
      target(double),
      deadline,
      testCaller({ exec }),
    );
    expect(limits).toEqual([3000, 3000, 5000]);
  });

  test("has nothing to do for nothing", async () => {
    using double = new DelegateDouble();
    expect(
      await deleteAttachments([], none, target(double), minute(), testCaller()),
    ).toEqual({
      remaining: [],
      errors: [],
    });
  });
});
