import { expect, test } from "bun:test";
import { parseTrace } from "../../bench/strace.ts";

test.each([
  {
    what: "a call",
    trace: '7 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3',
    calls: { systemCalls: 1, bytesRead: 0, programs: 0 },
  },
  {
    what: "a call that reads",
    trace: '7 read(3, ""..., 4096)           = 12',
    calls: { systemCalls: 1, bytesRead: 12, programs: 0 },
  },
  {
    what: "its relatives",
    trace: [
      '7 pread64(3, ""..., 64, 784) = 64',
      '7 recvfrom(5, ""..., 100, 0, NULL, NULL) = 30',
      '7 readv(5, [{iov_base=""..., iov_len=8}], 1) = 8',
      '8 recvmsg(5, {msg_name=NULL, msg_iov=[{iov_base="", iov_len=9}]}, 0) = 9',
    ].join("\n"),
    calls: { systemCalls: 4, bytesRead: 111, programs: 0 },
  },
  {
    what: "a call that failed",
    trace:
      "7 read(3, 0x7ffc, 4096) = -1 EAGAIN (Resource temporarily unavailable)",
    calls: { systemCalls: 1, bytesRead: 0, programs: 0 },
  },
  {
    what: "a call that another process interrupted, once",
    trace: [
      "7 read(3,  <unfinished ...>",
      '8 write(1, ""..., 5)   = 5',
      '7 <... read resumed>""..., 4096)   = 40',
    ].join("\n"),
    calls: { systemCalls: 2, bytesRead: 40, programs: 0 },
  },
  {
    what: "a text that was read and looks like a result",
    trace: '7 read(3, "= 5) = 6"..., 4096) = 8',
    calls: { systemCalls: 1, bytesRead: 8, programs: 0 },
  },
  {
    what: "a program that was executed, also between others, and not one that was looked for",
    trace: [
      '7 execve("/opt/genie", ["genie"], 0x7ff /* 9 vars */) = 0',
      '8 execve("/usr/bin/nothing", ["nothing"], 0x7ff) = -1 ENOENT (No such file or directory)',
      '8 execve("/usr/bin/noop", ["noop"], 0x7ff <unfinished ...>',
      "7 poll([{fd=3, events=POLLIN}], 1, -1 <unfinished ...>",
      "8 <... execve resumed>)             = 0",
    ].join("\n"),
    calls: { systemCalls: 4, bytesRead: 0, programs: 2 },
  },
  {
    what: "ends and signals, which are none",
    trace: [
      "7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---",
      "7 exit_group(0)   = ?",
      "7 +++ exited with 0 +++",
      "",
    ].join("\n"),
    calls: { systemCalls: 1, bytesRead: 0, programs: 0 },
  },
])("parseTrace counts $what", ({ trace, calls }) => {
  expect(parseTrace(trace)).toEqual(calls);
});
