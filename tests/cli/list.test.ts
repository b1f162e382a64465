import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NodeDirectory, type } from "./fixtures.ts";
import { attachmentOf } from "../support/records.ts";

const now = () => new Date("2026-01-01T02:30:00Z");

function node(): NodeDirectory {
  const made = new NodeDirectory();
  made.record(
    {
      containerId: "b".repeat(64),
      attachments: [
        attachmentOf("canal-net", "eth0"),
        { ...attachmentOf("storage", "net1"), definition: "shop/storage" },
      ],
    },
    [
      {
        cniVersion: "1.0.0",
        ips: [{ address: "10.1.0.5/16" }, { address: "fd00::5/64" }],
      },
      { cniVersion: "1.0.0" },
    ],
  );
  made.record({
    containerId: "c2",
    pod: { namespace: "default", name: "api", uid: "u2" },
    netns: "/nowhere",
  });
  made.record({
    containerId: "c3",
    pod: undefined,
    bootId: "earlier",
    time: "2025-12-30T00:00:00Z",
  });
  return made;
}

interface Row {
  ifname: string;
  network: string;
  primary: boolean;
}

/** True after so many questions. */
function stoppedAfter(rounds: number): () => boolean {
  let asked = 0;
  return () => asked++ >= rounds;
}

describe("list", () => {
  test("records, a table in the order of the pods", async () => {
    using made = node();
    expect(await made.type("list", [], { now })).toEqual({
      exitCode: 0,
      stderr: "",
      stdout: [
        "NAMESPACE  POD  CONTAINER     INTERFACE  NETWORK       ADDRESSES               HOST  IN  OUT  SANDBOX       AGE",
        "-          -    c3            eth0       canal-net     -                       -     -   -    earlier boot  2d",
        "default    api  c2            eth0       canal-net     -                       -     -   -    gone          2h",
        "shop       web  bbbbbbbbbbbb  eth0       canal-net     10.1.0.5/16,fd00::5/64  -     -   -    live          2h",
        "shop       web  bbbbbbbbbbbb  net1       shop/storage  -                       -     -   -    live          2h",
        "",
      ].join("\n"),
    });
  });

  test("a network that was typed by its file key, is shown by it; -o wide has the CNI name beside it", async () => {
    using made = new NodeDirectory();
    made.record({
      attachments: [
        { ...attachmentOf("cbr0", "eth0"), requested: "flannel" },
        { ...attachmentOf("cbr0", "net1"), definition: "shop/storage" },
      ],
    });
    const listed = async (...words: string[]) =>
      (await made.type("list", words, { now })).stdout.split("\n");
    expect(await listed()).toEqual([
      "NAMESPACE  POD  CONTAINER  INTERFACE  NETWORK       ADDRESSES  HOST  IN  OUT  SANDBOX  AGE",
      "shop       web  c1         eth0       flannel       -          -     -   -    live     2h",
      "shop       web  c1         net1       shop/storage  -          -     -   -    live     2h",
      "",
    ]);
    expect(await listed("-o", "wide")).toEqual([
      "NAMESPACE  POD  CONTAINER  INTERFACE  NETWORK       CNI NAME  ADDRESSES  HOST  IN  OUT  SANDBOX  AGE",
      "shop       web  c1         eth0       flannel       cbr0      -          -     -   -    live     2h",
      "shop       web  c1         net1       shop/storage  cbr0      -          -     -   -    live     2h",
      "",
    ]);
  });

  test("--abandoned, the definition's or network's name; -o wide and json have the CNI name too", async () => {
    using made = new NodeDirectory();
    made.abandoned({
      attachments: [
        { ...attachmentOf("cbr0", "eth0"), requested: "flannel" },
        { ...attachmentOf("cbr1", "net1"), definition: "shop/storage" },
      ],
    });
    const listed = async (...words: string[]) =>
      (await made.type("list", ["--abandoned", ...words], { now })).stdout;
    const cells = (text: string) =>
      text.split("\n").map((line) => line.split(/ {2,}/).slice(3, 6));
    expect(cells(await listed())).toEqual([
      ["INTERFACE", "NETWORK", "ADDRESSES"],
      ["eth0", "flannel", "-"],
      ["net1", "shop/storage", "-"],
      [],
    ]);
    expect(cells(await listed("-o", "wide"))).toEqual([
      ["INTERFACE", "NETWORK", "CNI NAME"],
      ["eth0", "flannel", "cbr0"],
      ["net1", "shop/storage", "cbr1"],
      [],
    ]);
    expect(JSON.parse(await listed("-o", "json"))).toMatchObject([
      { network: "flannel", cniName: "cbr0" },
      { cniName: "cbr1", definition: "shop/storage" },
    ]);
  });

  test("--watch, a record that cannot be read: named once", async () => {
    using made = new NodeDirectory();
    made.record();
    made.write("var/lib/genie/attachments/c9:eth0.json", "{", 0o600);
    let round = 0;
    const { stdout, stderr } = await made.type("list", ["--watch", "-o=json"], {
      now,
      sleep: async () => {
        round++;
        await Promise.resolve();
      },
      stopped: () => round === 3,
    });
    expect(JSON.parse(stdout)).toMatchObject({ containerId: "c1" });
    expect(stderr).toBe(
      'genie list: record "c9:eth0": unexpected end of JSON input at line 1, column 2\n',
    );
  });

  test("--watch, from nothing: the head comes with the first row, and once", async () => {
    using made = new NodeDirectory();
    let round = 0;
    const { exitCode, stdout } = await made.type("list", ["--watch"], {
      now,
      sleep: async () => {
        round++;
        if (round < 3) made.record({ containerId: `c${round}` });
        await Promise.resolve();
      },
      stopped: () => round === 3,
    });
    expect([exitCode, stdout.split("\n")]).toEqual([
      0,
      [
        "no attachments",
        "NAMESPACE  POD  CONTAINER  INTERFACE  NETWORK    ADDRESSES  HOST  IN  OUT  SANDBOX  AGE",
        "shop       web  c1         eth0       canal-net  -          -     -   -    live     2h",
        "shop  web  c2  eth0  canal-net  -  -  -  -  live  2h",
        "",
      ],
    ]);
  });

  test("an auxiliary chain, a row of its own that is not the primary's", async () => {
    using made = new NodeDirectory();
    made.record({
      attachments: [
        attachmentOf("canal-net", "eth0"),
        { ...attachmentOf("vendor", "eth0"), origin: "auxiliary" },
      ],
    });
    const rows = async (...words: string[]) => {
      const { stdout } = await made.type("list", ["-o=yaml", ...words], {
        sleep: () => Promise.resolve(),
        stopped: stoppedAfter(1),
      });
      return ([Bun.YAML.parse(stdout)].flat() as Row[]).map(
        ({ ifname, network, primary }) => [ifname, network, primary],
      );
    };
    const expected = [
      ["eth0", "canal-net", true],
      ["eth0", "vendor", false],
    ];
    expect(await rows()).toEqual(expected);
    expect(await rows("--watch")).toEqual(expected);
  });

  test("-o json -n, whole attachments of one namespace", async () => {
    using made = node();
    const { exitCode, stdout } = await made.type(
      "list",
      ["-o", "json", "-n", "default"],
      { now },
    );
    expect({ exitCode, rows: JSON.parse(stdout) as unknown }).toEqual({
      exitCode: 0,
      rows: [
        {
          containerId: "c2",
          pod: { namespace: "default", name: "api", uid: "u2" },
          ifname: "eth0",
          network: "canal-net",
          cniName: "canal-net",
          primary: true,
          ips: [],
          sandbox: "gone",
          netns: "/nowhere",
          time: "2026-01-01T00:00:00.000Z",
        },
      ],
    });
  });

  test("a wrong value of our configuration, does not prevent listing", async () => {
    using made = node();
    made.network("00-genie.conflist", {
      name: "canal-net",
      plugins: [{ type: "genie", strict: "yes", dataDir: made.dataDir }],
    });
    const { exitCode, stdout } = await type(
      ["list", `--conf-dir=${made.confDir}`, "-o", "json"],
      { now },
    );
    expect([exitCode, (JSON.parse(stdout) as []).length]).toEqual([0, 4]);
  });

  test("a configuration that cannot be read, is an error: the records may be anywhere", async () => {
    using made = node();
    made.network("00-genie.conflist", "{");
    const { exitCode, stdout, stderr } = await type(
      ["list", `--conf-dir=${made.confDir}`],
      { now },
    );
    expect({
      exitCode,
      stdout,
      stderr: stderr.replace(made.root, ""),
    }).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        "genie list: /etc/cni/net.d/00-genie.conflist: error parsing configuration list: unexpected end of JSON input at line 1, column 2: correct it, or say with --data-dir where the records are\n",
    });
    expect((await made.type("list", [], { now })).exitCode).toBe(0);
  });

  test("no record, one line", async () => {
    using made = new NodeDirectory();
    expect(await made.type("list")).toEqual({
      exitCode: 0,
      stdout: "no attachments\n",
      stderr: "",
    });
    expect((await made.type("list", ["-o", "json"])).stdout).toBe("[]\n");
  });

  test("a record that cannot be read, is reported beside the others", async () => {
    using made = node();
    writeFileSync(join(made.dataDir, "attachments/c9:eth0.json"), "{");
    const { exitCode, stdout, stderr } = await made.type("list", [], { now });
    expect({ exitCode, lines: stdout.split("\n").length, stderr }).toEqual({
      exitCode: 1,
      lines: 6,
      stderr:
        'genie list: record "c9:eth0": unexpected end of JSON input at line 1, column 2\n',
    });
  });
});
