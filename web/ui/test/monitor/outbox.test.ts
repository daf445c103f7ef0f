import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { MAX_PENDING, openOutbox, signalFrame } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/outbox";
import { makeSender } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/sender";

const session = "s1";
let factory: IDBFactory;
beforeEach(() => {
  factory = new IDBFactory();
});
const open = (options: { session?: string; onStream?: () => void } = {}) => openOutbox({ session, factory, ...options });
const copy = (at: number) => ({ kind: "copy", at, data: { length: 7 } });
const numbers = (frames: (object | string)[]) => frames.map((frame) => (JSON.parse(String(frame)) as { seq: number }).seq);

describe("the outbox", () => {
  it("gives numbers from 1 and says hello with the next one", async () => {
    const box = await open();
    expect((await box.hello()).next).toBe(1);
    await box.add(copy(1000));
    await box.add(copy(2000));
    expect(await box.hello()).toEqual({ stream: box.stream(), next: 3 });
    expect(box.stream()).toMatch(/^[A-Za-z0-9_-]{16,64}$/);
  });

  it("has a signal that was written and not sent when the page crashed, to the letter", async () => {
    const first = await open();
    const entry = await first.add(copy(1000));
    // The page dies here: nothing is closed, nothing was sent.
    const second = await open();
    expect(second.stream()).toBe(first.stream());
    expect(await second.list(0, 10)).toEqual([entry]);
    expect((await second.add(copy(2000)))?.seq).toBe(2);
  });

  it("never gives a number again that was acknowledged", async () => {
    const box = await open();
    await box.add(copy(1000));
    await box.acknowledge(box.stream(), [1]);
    const next = await open();
    expect((await next.add(copy(2000)))?.seq).toBe(2);
    expect(await next.count()).toBe(1);
  });

  it("takes an acknowledgement twice, for unknown numbers and for another stream", async () => {
    const box = await open();
    await box.add(copy(1000));
    await box.add(copy(2000));
    await box.acknowledge("another-stream-of-old", [1, 2]);
    expect(await box.count()).toBe(2);
    await box.acknowledge(box.stream(), [1]);
    await box.acknowledge(box.stream(), [1, 99]);
    expect((await box.list(0, 10)).map((entry) => entry.seq)).toEqual([2]);
  });

  it("gives two tabs of one session different numbers of one stream, without a hole", async () => {
    const tabs = [await open(), await open()];
    expect(tabs[1]?.stream()).toBe(tabs[0]?.stream());
    const entries = await Promise.all(Array.from({ length: 40 }, (_, i) => tabs[i % 2]?.add(copy(i))));
    const seqs = entries.map((entry) => entry?.seq ?? 0).sort((a, b) => a - b);
    expect(seqs).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(await tabs[0]?.count()).toBe(40);
  });

  it("keeps sessions apart", async () => {
    const one = await open();
    const other = await open({ session: "s2" });
    await one.add(copy(1));
    expect(await other.count()).toBe(0);
    expect(other.stream()).not.toBe(one.stream());
  });

  it.each([
    ["missing", null],
    [
      "throwing",
      {
        open: () => {
          throw new DOMException("no", "SecurityError");
        },
      },
    ],
    [
      "refusing",
      {
        open: () => {
          const request = { error: new DOMException("no", "InvalidStateError") } as { error: unknown; onerror?: () => void };
          setTimeout(() => request.onerror?.());
          return request;
        },
      },
    ],
  ])("works in memory where IndexedDB is %s", async (_, refused) => {
    const box = await openOutbox({ session, factory: refused as unknown as IDBFactory });
    expect(box.durable()).toBe(false);
    expect((await box.add(copy(1)))?.seq).toBe(1);
    expect((await box.hello()).next).toBe(2);
    await box.acknowledge(box.stream(), [1]);
    expect(await box.count()).toBe(0);
    const other = await openOutbox({ session, factory: null });
    expect(other.stream()).not.toBe(box.stream());
  });

  it("goes on in memory under another stream when the site's data is cleared", async () => {
    const onStream = vi.fn();
    const box = await open({ onStream });
    const before = box.stream();
    await box.add(copy(1));
    await new Promise((done, fail) => {
      const request = factory.open("vigil");
      request.onsuccess = () => {
        const clear = request.result.transaction(["streams", "signals"], "readwrite");
        clear.objectStore("streams").clear();
        clear.objectStore("signals").clear();
        clear.oncomplete = done;
        clear.onerror = fail;
      };
    });
    const entry = await box.add(copy(2));
    expect(onStream).toHaveBeenCalledOnce();
    expect(box.durable()).toBe(false);
    expect(box.stream()).not.toBe(before);
    expect(entry?.seq).toBe(1);
  });

  it("does not grow without bound, and counts what it did not keep", async () => {
    const box = await openOutbox({ session, factory: null });
    for (let i = 0; i < MAX_PENDING; i++) await box.add(copy(i));
    expect(await box.add(copy(0))).toBeNull();
    expect(box.dropped()).toBe(1);
    expect((await box.hello()).next).toBe(MAX_PENDING + 1);
  });

  it("keeps chat lines until they are acknowledged", async () => {
    const line = await (await open()).addLine("hello");
    const next = await open();
    expect(await next.lines()).toEqual([line]);
    await next.removeLine(line.id);
    expect(await next.lines()).toEqual([]);
  });

  it("writes a frame without empty fields", () => {
    expect(signalFrame(3, { kind: "print", at: 5.4 })).toBe('{"t":"signal","seq":3,"kind":"print","at":5}');
    expect(signalFrame(4, { kind: "blur", at: 5, dur: 7.6, data: {} })).toBe('{"t":"signal","seq":4,"kind":"blur","at":5,"dur":8}');
  });
});

it("writes numbers so that they survive a power cut", async () => {
  const asked = vi.spyOn(IDBDatabase.prototype, "transaction");
  const box = await open();
  asked.mockClear();
  await box.add(copy(1));
  expect(asked.mock.calls.map((call) => call[2])).toEqual([{ durability: "strict" }]);
  asked.mockRestore();
});

describe("the sender", () => {
  const rig = async () => {
    const box = await open();
    const sent: string[] = [];
    let up = true;
    let time = 1_000_000;
    const sender = makeSender({
      outbox: box,
      now: () => time,
      send: (frames) => {
        if (up) sent.push(...frames.map((frame) => (typeof frame === "string" ? frame : JSON.stringify(frame))));
        return up;
      },
    });
    return { box, sent, sender, cut: (is: boolean) => (up = !is), pass: (ms: number) => (time += ms) };
  };

  it("sends nothing before it was welcomed, then everything once", async () => {
    const { box, sent, sender } = await rig();
    await box.add(copy(1));
    await sender.flush();
    expect(sent).toEqual([]);
    await sender.begin();
    await box.add(copy(2));
    await sender.flush();
    await sender.flush();
    expect(numbers(sent)).toEqual([1, 2]);
  });

  it("sends again after a drop what was not acknowledged, and only that", async () => {
    const { box, sent, sender } = await rig();
    await sender.begin();
    for (let i = 1; i <= 3; i++) await box.add(copy(i));
    await sender.flush();
    await sender.acknowledge({ t: "ack", stream: box.stream(), seqs: [2] });
    const before = [...sent];
    sender.end();
    sent.length = 0;
    await sender.begin();
    expect(sent).toEqual([before[0], before[2]]);
  });

  it("keeps what the socket does not take", async () => {
    const { box, sent, sender, cut } = await rig();
    await sender.begin();
    cut(true);
    await box.add(copy(1));
    await sender.flush();
    cut(false);
    await sender.flush();
    expect(numbers(sent)).toEqual([1]);
    sender.end();
  });

  it("stays below the server's rate", async () => {
    const { box, sent, sender, pass } = await rig();
    for (let i = 1; i <= 300; i++) await box.add(copy(i));
    await sender.begin();
    expect(sent.length).toBe(180);
    pass(2000);
    await sender.flush();
    expect(sent.length).toBe(216);
    expect(new Set(numbers(sent)).size).toBe(216);
    sender.end();
  });

  it("forgets what the server will never take", async () => {
    const { box, sender } = await rig();
    await sender.begin();
    await box.add(copy(1));
    await sender.flush();
    expect(await sender.refused({ t: "error", code: "invalid", message: "", duty: "drop", ref: "1" })).toBe("signal");
    expect(await box.count()).toBe(0);
  });

  it("sends again after the wait what the server could not take now", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { box, sent, sender } = await rig().finally(() => vi.useRealTimers());
    await sender.begin();
    await box.add(copy(1));
    await box.add(copy(2));
    await sender.flush();
    await sender.refused({ t: "error", code: "too_many", message: "", duty: "retry", ref: "1", wait: 200 });
    await vi.waitFor(() => expect(numbers(sent)).toEqual([1, 2, 1]), 10000);
    expect(await box.count()).toBe(2);
  });

  it("sends chat lines until they are acknowledged", async () => {
    const { box, sent, sender } = await rig();
    const line = await box.addLine("hello");
    await sender.begin();
    await sender.flush();
    expect(sent).toEqual([JSON.stringify({ t: "chat", id: line.id, text: "hello" })]);
    sender.end();
    await sender.begin();
    expect(sent.length).toBe(2);
    await sender.acknowledge({ t: "ack", id: line.id });
    sender.end();
    await sender.begin();
    expect(sent.length).toBe(2);
  });
});
