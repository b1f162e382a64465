/** state.md "DEL": all attachments in reverse, whatever fails; the delegates are really executed. */
import { describe, expect, test } from "bun:test";
import { parseConfList } from "../../lib/cni/conflist.ts";
import { Deadline } from "../../lib/linux/deadline.ts";
import type { ExecRequest } from "../../lib/linux/exec.ts";
import type { Result } from "../../lib/cni/result.ts";
import { deleteAttachments } from "../../lib/attach/delete-attachments.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import { DelegateDouble, testCaller } from "../support/delegate.ts";
import { cniError } from "../support/cni-error.ts";

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

/** Deletes within a minute, without results. */
function deleteBy(
  double: DelegateDouble,
  attachments: Attachment[],
  caller?: Parameters<typeof testCaller>[0],
) {
  const deadline = minute();
  return deleteAttachments(
    attachments,
    none,
    target(double),
    deadline,
    testCaller(caller),
  );
}

describe("deleteAttachments", () => {
  test("deletes attachments and their plugins in reverse, never two at once", async () => {
    using double = new DelegateDouble("a", "b", "c");
    const attachments = [
      attachment("eth0", "a", "b"),
      attachment("net1", "c"),
      attachment("net2", "a"),
    ];
    const outcome = await deleteBy(double, attachments);
    expect([outcome, double.events()]).toEqual([
      { remaining: [], failures: [] },
      ["a DEL net2", "c DEL net1", "b DEL eth0", "a DEL eth0"].flatMap(
        (call) => [`start ${call}`, `end ${call}`],
      ),
    ]);
  });

  test("passes over a plugin that never ran for an interface, wherever it is in a list", async () => {
    using double = new DelegateDouble("a", "b", "c");
    const path = `${double.bin}/c`;
    const outcome = await deleteBy(
      double,
      [attachment("eth0", "c"), attachment("net1", "a", "c", "b")],
      { neverRan: { path, ifname: "net1" } },
    );
    const calls = double.calls().map(({ type, ifname }) => `${type} ${ifname}`);
    expect([outcome, calls]).toEqual([
      { remaining: [], failures: [] },
      ["b net1", "a net1", "c eth0"],
    ]);
  });

  test("tries all; the rest in the order of the record, the errors as they happened", async () => {
    using double = new DelegateDouble("good", "bad");
    double.behave("bad", {
      stdout: { code: 42, msg: "stuck", details: "d" },
      exit: 1,
    });
    const attachments = [
      attachment("eth0", "bad"),
      attachment("net1", "good"),
      attachment("net2", "missing"),
      attachment("net3", "good", "bad"),
    ];
    const { remaining, failures } = await deleteBy(double, attachments);
    expect(remaining.map(({ ifname }) => ifname)).toEqual([
      "eth0",
      "net2",
      "net3",
    ]);
    expect(
      failures.map(
        ({ attachment: { ifname }, error }) => [ifname, error] as unknown,
      ),
    ).toEqual([
      ["net3", cniError(42, 'plugin "bad" failed to delete net3: stuck', "d")],
      [
        "net2",
        cniError(7, expect.stringContaining('failed to find plugin "missing"')),
      ],
      ["eth0", cniError(42, 'plugin "bad" failed to delete eth0: stuck', "d")],
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
    double.behave("DEL a net1", { exit: 1 });
    const twin = attachment("eth0", "a");
    const attachments = [twin, { ...twin, ifname: "net1" }];
    const { remaining } = await deleteBy(double, attachments);
    expect(remaining).toEqual([{ ...twin, ifname: "net1" }]);
  });

  /** Deletes under a clock that each execution moves on by what `spends` says, in order. */
  async function timed(
    attachments: Attachment[],
    ms: number,
    spends: (i: number) => number,
  ) {
    using double = new DelegateDouble("a");
    let now = 0;
    const limits: number[] = [];
    const executed: string[] = [];
    const exec = async ({ deadline, env }: ExecRequest) => {
      const { remaining } = deadline;
      const spent = spends(limits.length);
      limits.push(remaining);
      executed.push(env["CNI_IFNAME"] ?? "");
      now += Math.min(spent, remaining);
      const killed = spent > remaining ? { killed: "deadline" as const } : {};
      return { exitCode: 0, signal: null, stdout: "", stderr: "", ...killed };
    };
    const { remaining, failures } = await deleteAttachments(
      attachments,
      none,
      target(double),
      new Deadline(ms, () => now),
      testCaller({ exec }),
    );
    const reached = failures.filter((failure) => failure.reached).length;
    return { limits, executed, remaining, reached };
  }

  const many = (count: number): Attachment[] =>
    Array.from({ length: count }, (_, i) => attachment(`net${i}`, "a"));

  test("divides the time that is left by the attachments that are left", async () => {
    // The first uses up its time, the others a second each.
    const spends = (i: number) => (i === 0 ? Infinity : 1000);
    const { limits } = await timed(many(3), 30_000, spends);
    expect(limits).toEqual([10_000, 10_000, 19_000]);
  });

  test("each has at least 5 s while they last; attachments that were not reached: 11", async () => {
    const { limits, remaining, reached } = await timed(
      many(4),
      12_000,
      () => Infinity,
    );
    expect([limits, reached, remaining.map(({ ifname }) => ifname)]).toEqual([
      [5000, 5000, 2000],
      3,
      // In reverse: what was not reached, then what was killed.
      ["net1", "net2", "net3", "net0"],
    ]);
  });

  test("32 that take 2 s each are deleted within two DELs of 50 s", async () => {
    const first = await timed(many(32), 50_000, () => 2000);
    const second = await timed(first.remaining, 50_000, () => 2000);
    expect([first.executed.length, second.executed.length]).toEqual([25, 7]);
    expect(second.remaining).toEqual([]);
  });

  test("makes progress with each retry: 20 that hang, 12 behind them", async () => {
    let left = many(32);
    const counts: number[] = [];
    for (let retry = 0; retry < 3; retry++) {
      const before: readonly Attachment[] = left;
      const order = before.toReversed();
      const hangs = (i: number) =>
        Number(order[i]?.ifname.slice("net".length)) >= 12;
      const { remaining } = await timed(left, 50_000, (i) =>
        hangs(i) ? Infinity : 100,
      );
      left = remaining;
      counts.push(left.length);
    }
    expect(counts).toEqual([32, 32, 20]);
  });

  test("killed attachments are retried before failed ones", async () => {
    using double = new DelegateDouble("good", "bad", "hangs");
    double.behave("bad", { exit: 1 });
    double.behave("hangs", { hang: true });
    const { remaining } = await deleteBy(
      double,
      [
        attachment("eth0", "hangs"),
        attachment("net1", "bad"),
        attachment("net2", "good"),
      ],
      { timeoutMs: 300 },
    );
    expect(remaining.map(({ ifname }) => ifname)).toEqual(["net1", "eth0"]);
  });
});
