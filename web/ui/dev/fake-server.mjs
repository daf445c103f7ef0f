// A pretend Vigil for looking at the pages and for their browser checks: serves ../assets with small pages around them and
// speaks the proctor's half of docs/protocol.md with simulated students. Nothing here is part of the product.
//
//   node dev/fake-server.mjs [--port 8099] [--students 12] [--quiet]
//
// /dashboard  (?students=2000, ?lang=id, ?framed=1, ?fail=expired|forbidden|slow, ?empty=1; ?groups=3 has that many groups, ?rights=watch,talk
//             limits what this person may do, ?see=g1,g2 whom they see)
// /timeline, /report  (?lang=id, ?rights=watch)
// /grant      (?rights=watch,talk&see=g1) changes rights and groups of every dashboard that is open; what is left out is everything
// /checkin    (?lang=id, ?plugin=0, ?admission=1, ?socket=fail)
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";

const assets = join(dirname(fileURLToPath(import.meta.url)), "../../assets");
const types = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" };
const csp =
  "default-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; object-src 'none'; base-uri 'none'";

const first = [
  "Ayu",
  "Budi",
  "Citra",
  "Dewi",
  "Eko",
  "Fitri",
  "Gilang",
  "Hana",
  "Indra",
  "Joko",
  "Kartika",
  "Lestari",
  "María José",
  "Nguyễn",
  "Olu",
  "Putri",
  "Rahmat",
  "Siti",
  "Teguh",
  "Wayan",
  "Zahra",
  "Bartholomew-Alexander",
];
const last = [
  "Wibowo",
  "Santoso",
  "Pratama",
  "Kusuma",
  "Hidayat",
  "Nugroho",
  "Saputra",
  "Halim",
  "Siregar",
  "Okonkwo",
  "Fernández de la Vega",
  "Maheswari",
  "Anggraini",
];
const hex = (n, len) => n.toString(16).padStart(len, "0");
const pick = (list, i) => list[i % list.length];

/** A repeatable stream of numbers between 0 and 1. */
function dice(seed) {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x / 4294967296;
  };
}

/** Builds the exam's students as rows. */
export function makeStudents(count, now, seed = 7, groups = 0) {
  const roll = dice(seed);
  const list = [];
  for (let i = 0; i < count; i++) {
    const started = now - (10 + roll() * 25) * 60_000;
    const r = roll();
    const state =
      i % 12 === 3
        ? "paused"
        : i % 12 === 6
          ? "awaiting"
          : i % 12 === 9 && r < 0.7
            ? "submitted"
            : i % 40 === 11
              ? "terminated"
              : i % 25 === 4
                ? "created"
                : i % 12 === 0
                  ? "time_up"
                  : i % 14 === 13
                    ? "stopped"
                    : "active";
    const working = state === "active" || state === "paused" || state === "time_up";
    const over = state === "submitted" || state === "terminated" || state === "stopped";
    const lost = state === "active" && (i % 12 === 1 || r < 0.02);
    const incidents = working ? Math.floor(roll() * roll() * 6) : 0;
    const open = Math.max(0, incidents - Math.floor(roll() * 3));
    const severity = incidents === 0 ? 0.1 : [0.3, 0.3, 0.6, 0.9][Math.floor(roll() * 3.2)];
    const kind = { 0.3: "blur", 0.6: "hidden", 0.9: "second_session" }[severity] ?? "copy";
    const row = {
      id: `0198c1a2-0000-7000-8000-${hex(i + 1, 12)}`,
      who: {
        name: `${pick(first, i)} ${pick(last, Math.floor(i / 3) + i)}${count > 100 ? ` ${Math.floor(i / 22) + 1}` : ""}`,
        user: `user-${1000 + i}`,
        attempt: i % 17 === 16 ? 2 : 1,
        created: started - 60_000,
      },
      life: { version: 3, state, changed: started, control: i % 5 === 4 ? [] : ["pause", "resume", "terminate", "update", "flag"] },
      conn: { c: "never" },
      tally: {
        signals: Math.floor(roll() * 60),
        incidents,
        open,
        severity,
        ...(incidents ? { last_kind: kind, last_at: now - Math.floor(roll() * 900_000) } : {}),
      },
      lost: { version: 0, gaps: 0, total: 0, proposed: 0, granted: 0 },
    };
    if (working) Object.assign(row.life, { started, end: now + Math.floor((2 + roll() * 55) * 60_000) });
    if (state === "paused") Object.assign(row.life, { left: 1_534_000, reason: "Please wait for me.", by: "Pak Guru" });
    if (state === "time_up")
      Object.assign(row.life, { end: now - 180_000, changed: now - 180_000, reason: "deadline", by: "Vigil" });
    if (over) Object.assign(row.life, { started, ended: now - 120_000 });
    if (working || state === "awaiting")
      row.conn = { c: "online", since: now - 300_000, heard: now - 2000, epoch: 3, page: 1 + (i % 3) };
    if (lost)
      row.conn = {
        c: "lost",
        since: now - Math.floor(20 + roll() * 200) * 1000,
        heard: now - 240_000,
        epoch: 3,
        cause: pick(["student", "server", "lms", "unclear", "navigation"], Math.floor(i / 12) + 1),
      };
    if (i % 12 === 8 && state === "active")
      row.conn = { c: "degraded", since: now - 4000, heard: now - 12_000, epoch: 3, cause: "student" };
    if (i % 12 === 10) row.lost = { gaps: 2, total: 190_000, proposed: 130_000, granted: 0 };
    if (i === 2 || i % 300 === 77) row.tally.hand = now - 45_000;
    if (i === 3) row.tally.unread = 2;
    if (i === 5) row.tally.unread = 1;
    if (i === 7)
      row.lms = [
        {
          id: "old-command-0001",
          session: row.id,
          kind: "extend",
          stage: "queued",
          lms: { state: "unknown", problem: "The LMS did not answer in time.", at: now - 60_000 },
          at: now - 90_000,
          by: "Bu Rina",
        },
      ];
    if (state === "created")
      row.lms = [
        {
          id: "old-command-0002",
          session: row.id,
          kind: "extend",
          stage: "queued",
          lms: { state: "waiting" },
          at: now - 90_000,
          by: "Bu Rina",
        },
      ];
    if (over) row.conn = { c: "closed", since: now - 120_000, heard: now - 120_000, epoch: 3 };
    // One in so many is in no group, which may be told by an empty list or by nothing at all; one in seven is in two.
    if (groups > 0 && i % 9 !== 8)
      row.groups = { version: 1, list: [groupAt(i, groups), ...(groups > 1 && i % 7 === 5 ? [groupAt(i + 1, groups)] : [])] };
    else if (groups > 0 && i % 2) row.groups = { version: 1, list: [] };
    list.push(row);
  }
  return list;
}

const days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
/** The group of the student at a place: "Group A" to "Group Z", or tutorials where a course has more. */
function groupAt(i, groups) {
  const n = i % groups;
  return {
    id: `g${n + 1}`,
    name:
      groups <= 26
        ? `Group ${String.fromCharCode(65 + n)}`
        : `Tutorial ${String(n + 1).padStart(3, "0")}, ${days[n % 5]} ${8 + (n % 9)}:00, with ${pick(first, n)} ${pick(last, n)}`,
  };
}

const kinds = [
  ["hidden", 0.3, 8000],
  ["blur", 0.1, 3000],
  ["copy", 0.1, 0, { length: 42 }],
  ["paste", 0.3, 0, { length: 812, hash: "9f86d081884c7d65" }],
  ["page_turned", 0, 0, { page: 2 }],
  ["resize", 0.1, 0, { width: 1280, height: 640 }],
  ["fullscreen_left", 0.3, 0],
  ["idle", 0.1, 600_000],
  ["context_menu", 0.1, 0],
  ["focus_gained", 0, 0],
  ["rtt", 0, 0, { rtt: 48, offset: -230 }],
];

function timeline(row, now) {
  const roll = dice(parseInt(row.id.slice(-6), 16) * 7919);
  const out = [
    { type: "state", at: now - 1_800_000, state: "ready", by: "student" },
    { type: "signal", at: now - 1_799_000, recv: now - 1_798_900, stream: "server:1", seq: 1, kind: "consent", severity: 0 },
    {
      type: "signal",
      at: now - 1_790_000,
      recv: now - 1_789_900,
      stream: "abcdefabcdefabcdef",
      seq: 1,
      kind: "capabilities",
      severity: 0,
      data: { visibility: true, fullscreen: true, clipboard: true, displays: false, storage: true, mobile: false },
    },
    { type: "state", at: now - 1_780_000, state: "active", by: "lms" },
  ];
  for (let seq = 2; seq < 45; seq++) {
    const [kind, severity, dur, data] = kinds[Math.floor(roll() * kinds.length)];
    const at = now - 1_780_000 + Math.floor(seq * 38_000 + roll() * 20_000);
    const e = {
      type: "signal",
      at,
      recv: at + (seq === 20 ? 95_000 : 120 + dur),
      stream: "abcdefabcdefabcdef",
      seq,
      kind,
      severity,
      ...(dur ? { dur } : {}),
      ...(data ? { data } : {}),
    };
    if (severity >= 0.3)
      Object.assign(e, {
        incident: true,
        review: { state: seq < 12 ? "cleared" : "none", version: 1, ...(seq < 12 ? { by: "Bu Rina" } : {}) },
      });
    out.push(e);
  }
  out.push({
    type: "gap",
    at: now - 900_000,
    id: "gap-1",
    end: now - 770_000,
    cause: "student",
    proposed: 130_000,
    review: { state: "none", version: 1 },
  });
  out.push({
    type: "gap",
    at: now - 760_000,
    id: "gap-2",
    end: now - 730_000,
    cause: "server",
    decision: "granted",
    proposed: 30_000,
  });
  out.push({ type: "gap", at: now - 700_000, id: "gap-3", end: now - 660_000, cause: "lms", proposed: 40_000 });
  out.push({ type: "gap", at: now - 660_000, id: "gap-4", end: now - 640_000, cause: "unclear", proposed: 20_000 });
  out.push({
    type: "command",
    at: now - 450_000,
    id: "cmd-old-3",
    kind: "pause",
    by: "Bu Rina",
    stage: "refused",
    problem: "The attempt has not begun in the learning platform.",
    lms: { state: "refused", status: "none", problem: "The attempt has not begun in the learning platform.", at: now - 449_000 },
  });
  out.push({
    type: "command",
    at: now - 600_000,
    id: "cmd-old-1",
    kind: "warn",
    text: "Please stay on the exam page. Leaving it is recorded.",
    by: "Bu Rina",
    stage: "seen",
  });
  out.push({
    type: "command",
    at: now - 500_000,
    id: "cmd-old-2",
    kind: "extend",
    seconds: 300,
    reason: "technical",
    by: "Bu Rina",
    stage: "queued",
    lms: { state: "refused", problem: "Extra time is not allowed in this quiz.", at: now - 490_000 },
  });
  out.push({
    type: "chat",
    at: now - 400_000,
    id: "chat-old-1",
    from: "student",
    name: row.who.name,
    text: "Bu, gambar di soal 4 tidak muncul.",
  });
  out.push({
    type: "chat",
    at: now - 380_000,
    id: "chat-old-2",
    from: "proctor",
    name: "Bu Rina",
    text: "Coba muat ulang halaman; pekerjaanmu tersimpan.",
  });
  if (row.tally.unread)
    out.push({
      type: "chat",
      at: now - 30_000,
      id: "chat-old-3",
      from: "student",
      name: row.who.name,
      text: "Can I go on? My clock stands still.",
      urgent: row.life.state === "paused",
    });
  return out.sort((a, b) => a.at - b.at);
}

/** Starts the server; resolves to { url, port, close, exams }. */
export async function start({ port = 0, students = 12, busy = true } = {}) {
  const behave = { refuse: false }; // refuse: no socket and no token
  const exams = new Map(); // id → { rows, sockets, behave }
  const sockets = new Set();
  const exam = (id) => {
    if (!exams.has(id)) {
      const count = /^empty/.test(id) ? 0 : Number(/(\d+)$/.exec(id)?.[1] ?? students);
      const groups = Number(/groups-(\d+)-/.exec(id)?.[1] ?? 0);
      const list = (name) => new RegExp(`${name}-([a-z0-9.]*)-`).exec(id)?.[1].split(".").filter(Boolean);
      exams.set(id, {
        rows: new Map(makeStudents(count, Date.now(), 7, groups).map((r) => [r.id, r])),
        sockets: new Set(),
        seq: 100,
        received: [],
        access: { rights: list("rights"), see: list("see") }, // what is undefined is everything
      });
    }
    return exams.get(id);
  };

  const page = (title, lang, body, config, css, js) => `<!doctype html>
<html lang="${lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title>
<link rel="stylesheet" href="/assets/base.css"><link rel="stylesheet" href="/assets/pages.css"><link rel="stylesheet" href="/assets/${css}.css"><script type="application/json" id="vigil-config">${JSON.stringify(config).replace(/</g, "\\u003c")}</script>
<script type="module" src="/assets/${js}.js"></script></head><body class="page-${js}">${body}</body></html>`;

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, "http://x");
    const q = url.searchParams;
    const lang = q.get("lang") ?? "en";
    const send = (status, type, body) => {
      res.writeHead(status, { "Content-Type": type, "Content-Security-Policy": csp, "Cache-Control": "no-store" });
      res.end(body);
    };
    const json = (status, value) =>
      send(status, status < 400 ? "application/json" : "application/problem+json", JSON.stringify(value));
    const body = async () => {
      let text = "";
      for await (const part of req) text += part;
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    };
    try {
      if (url.pathname.startsWith("/assets/")) {
        const file = normalize(url.pathname.slice(8));
        if (file.startsWith("..")) return send(404, "text/plain", "no");
        return send(200, types[extname(file)] ?? "application/octet-stream", await readFile(join(assets, file)));
      }
      if (url.pathname === "/dashboard") {
        const id = q.get("fail")
          ? `fail-${q.get("fail")}`
          : q.get("empty")
            ? "empty-0"
            : `exam-${["groups", "rights", "see"]
                .filter((p) => q.has(p))
                .map((p) => `${p}-${q.get(p).replaceAll(",", ".")}-`)
                .join("")}${q.get("students") ?? students}`;
        return send(
          200,
          "text/html; charset=utf-8",
          page(
            "Dashboard",
            lang,
            '<div id="app"></div>',
            {
              lang,
              page: "dashboard",
              now: Date.now(),
              exam: { id, title: "Midterm: Introduction to Statistics", course: "STAT101 · Even semester" },
              you: { name: "Bu Rina" },
              tokenEndpoint: "/api/v1/socket/page-token",
              api: `/api/v1/exams/${id}`,
              members: true,
              links: { report: "/report", settings: "/settings" },
              framed: q.has("framed"),
            },
            "dashboard",
            "dashboard",
          ),
        );
      }
      if (url.pathname === "/timeline" || url.pathname === "/report") {
        const name = url.pathname.slice(1);
        const rights = q.has("rights") ? { rights: q.get("rights").split(",") } : {};
        const row = makeStudents(6, Date.now())[5];
        const entries = name === "timeline" ? timeline(row, Date.now()) : [];
        return send(
          200,
          "text/html; charset=utf-8",
          page(
            name,
            lang,
            name === "timeline" ? timelineBody(row, entries) : reportBody(makeStudents(6, Date.now())),
            {
              lang,
              page: name,
              now: Date.now(),
              api: `/api/v1/exams/exam-${students}/sessions/${row.id}`,
              entries,
              ...rights,
            },
            name === "report" ? "pages" : name,
            name,
          ),
        );
      }
      if (url.pathname === "/grant") {
        for (const id of exams.keys()) grant({ rights: q.get("rights")?.split(","), see: q.get("see")?.split(",") }, id);
        return json(200, {});
      }
      if (url.pathname === "/checkin") {
        return send(
          200,
          "text/html; charset=utf-8",
          page(
            "Check-in",
            lang,
            checkinBody(q.has("admission"), q.get("plugin") === "0"),
            {
              lang,
              page: "checkin",
              now: Date.now(),
              session: q.get("socket") === "fail" ? "fail-slow" : "session-1",
              state: q.get("admission") ? "awaiting" : "created",
              tokenEndpoint: "/api/v1/socket/page-token",
              left: Number(q.get("left") ?? 240_000),
              courseURL: "/course",
              watch: ["focus", "clipboard", "fullscreen", "display", "window", "idle"],
              fullscreen: true,
              admission: q.has("admission"),
              plugin: q.get("plugin") !== "0",
              agreed: q.has("admission"),
            },
            "checkin",
            "checkin",
          ),
        );
      }
      if (url.pathname === "/api/v1/socket/page-token") {
        const { exam: id, session } = await body();
        if (behave.refuse)
          return json(503, {
            title: "Unavailable",
            status: 503,
            code: "unavailable",
            duty: "retry",
            detail: "The server is starting.",
          });
        const name = id ?? session ?? "";
        if (name === "fail-expired")
          return json(401, {
            title: "Unauthorized",
            status: 401,
            code: "unauthorized",
            duty: "stop",
            detail: "Your session has ended.",
          });
        if (name === "fail-forbidden")
          return json(403, {
            title: "Forbidden",
            status: 403,
            code: "forbidden",
            duty: "stop",
            detail: "You are not a proctor of this exam.",
          });
        if (name === "fail-slow")
          return json(503, {
            title: "Unavailable",
            status: 503,
            code: "unavailable",
            duty: "retry",
            detail: "The server is starting.",
            wait: 3000,
          });
        return json(200, {
          token: Buffer.from(name).toString("base64url"),
          expires: Date.now() + 300_000,
          url: `ws://${req.headers.host}/socket`,
          session: "s",
          now: Date.now(),
        });
      }
      let m = /^\/api\/v1\/exams\/([^/]+)\/sessions\/([^/]+)\/timeline$/.exec(url.pathname);
      if (m) {
        const row = exam(m[1]).rows.get(decodeURIComponent(m[2]));
        if (!row) return json(404, { title: "Not found", status: 404, detail: "No such session." });
        // The story is told once, so that a place in it stays one.
        row.story ??= timeline(row, Date.now());
        const all = row.story;
        const place = (e) => `${e.at}.${e.id ?? e.seq ?? e.state}`;
        const from = q.has("after") ? all.findIndex((e) => place(e) === q.get("after")) + 1 : 0;
        return json(200, { entries: all.slice(from, from + 20), next: from + 20 < all.length ? place(all[from + 19]) : "" });
      }
      m = /^\/api\/v1\/exams\/([^/]+)\/sessions\/([^/]+)\/incidents\/review$/.exec(url.pathname);
      if (m) {
        const b = await body();
        return json(200, { id: b.id, review: b.review, version: b.version + 1 });
      }
      if (url.pathname === "/checkin/session-1/start") return send(200, "text/html", "<h1>The quiz</h1>");
      if (/\/members$/.test(url.pathname))
        return json(200, {
          members: [
            { user: "user-1000", name: "Ayu Wibowo", session: "x" },
            { user: "m1", name: "Nadia Kim" },
            { user: "m2", name: "Viktor Horvat" },
          ],
        });
      if (/\/open$/.test(url.pathname)) return json(200, { url: "/dashboard?opened=1" });
      send(404, "text/plain", "not found");
    } catch (err) {
      send(500, "text/plain", String(err));
    }
  });

  const wss = new WebSocketServer({ noServer: true, handleProtocols: () => "vigil.v1" });
  server.on("upgrade", (req, socket, head) => {
    const offered = String(req.headers["sec-websocket-protocol"] ?? "").split(/,\s*/);
    const token = offered.find((p) => p.startsWith("vigil.token."));
    if (behave.refuse || !offered.includes("vigil.v1") || !token)
      return socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    const id = Buffer.from(token.slice(12), "base64url").toString();
    wss.handleUpgrade(req, socket, head, (ws) => (id.startsWith("session-") ? student(ws, id) : proctor(ws, id)));
  });

  function student(ws, id) {
    sockets.add(ws);
    ws.on("close", () => sockets.delete(ws));
    const tell = (f) => ws.readyState === 1 && ws.send(JSON.stringify(f));
    tell({
      t: "welcome",
      role: "student",
      session: id,
      exam: { id: "e", title: "Midterm", watch: [], attention: 0.3 },
      now: Date.now(),
      epoch: 1,
      state: "awaiting",
      version: 2,
      ping: 10_000,
    });
    ws.on("message", (data) => {
      for (const f of [JSON.parse(String(data))].flat()) {
        if (f.t === "time") tell({ t: "time", at: f.at, now: Date.now() });
        if (f.t === "signal") tell({ t: "ack", stream: "s", seqs: [f.seq] });
      }
    });
    if (id === "session-1") setTimeout(() => tell({ t: "state", state: "authorized", version: 3, at: Date.now() }), 6000);
  }

  function proctor(ws, id) {
    const e = exam(id);
    e.sockets.add(ws);
    sockets.add(ws);
    ws.on("close", () => {
      e.sockets.delete(ws);
      sockets.delete(ws);
    });
    const tell = (f) => ws.readyState === 1 && ws.send(JSON.stringify(f));
    tell({
      t: "welcome",
      role: "proctor",
      exam: {
        id,
        title: "Midterm: Introduction to Statistics",
        course: "STAT101 · Even semester",
        watch: ["focus"],
        pause: true,
        attention: 0.3,
      },
      now: Date.now(),
      ping: 10_000,
      name: "Bu Rina",
      ...(e.access.rights || e.access.see ? { access: accessOf(e) } : {}),
    });
    ws.on("message", (data) => {
      for (const f of [JSON.parse(String(data))].flat()) {
        e.received.push(f);
        take(e, f, tell);
      }
    });
  }

  const all = (e, f) => {
    for (const ws of e.sockets) ws.send(JSON.stringify(f));
  };
  const life = (e, row, change) => {
    row.life = { ...row.life, ...change, version: row.life.version + 1, changed: Date.now(), by: "Bu Rina" };
    all(e, { t: "session", row: { id: row.id, life: row.life } });
  };

  const accessOf = (e) => ({
    rights: e.access.rights ?? ["watch", "talk", "time", "end", "reopen", "review", "export"],
    ...(e.access.see ? {} : { all: true }),
  });
  /** The rows that the proctor sees, with the groups that they may know of. */
  const seen = (e) => {
    const rows = [...e.rows.values()];
    const { see } = e.access;
    if (!see) return rows;
    return rows
      .map((row) => ({
        ...row,
        groups: { version: row.groups?.version ?? 1, list: (row.groups?.list ?? []).filter((g) => see.includes(g.id)) },
      }))
      .filter((row) => row.groups.list.length > 0);
  };
  /** Changes what the proctors of an exam may do and whom they see: { rights?, see? }, where what is left out is everything. */
  function grant(access, id = [...exams.keys()].at(-1)) {
    const e = exam(id);
    e.access = access;
    for (const ws of e.sockets) {
      ws.send(JSON.stringify({ t: "access", ...accessOf(e) }));
      snapshot(e, (f) => ws.send(JSON.stringify(f)));
    }
  }

  function snapshot(e, tell) {
    const rows = seen(e);
    const number = Date.now();
    for (let i = 0, n = 1; i === 0 || i < rows.length; i += 100, n++)
      tell({
        t: "snapshot",
        number,
        page: n,
        ...(i + 100 >= rows.length ? { last: true } : {}),
        rows: rows.slice(i, i + 100).map(({ story, ...row }) => row),
      });
  }

  function take(e, f, tell) {
    switch (f.t) {
      case "subscribe":
        return snapshot(e, tell);
      case "time":
        return tell({ t: "time", at: f.at, now: Date.now() });
      case "chat":
        return setTimeout(() => {
          all(e, { t: "chat", id: f.id, session: f.session, from: "proctor", name: "Bu Rina", text: f.text, at: Date.now() });
          const row = e.rows.get(f.session);
          setTimeout(() => {
            row.tally = { ...row.tally, unread: (row.tally.unread ?? 0) + 1 };
            all(e, [
              {
                t: "chat",
                id: `answer-${Date.now()}`,
                session: f.session,
                from: "student",
                name: row.who.name,
                text: "Terima kasih, Bu!",
                at: Date.now(),
              },
              { t: "session", row: { id: row.id, tally: row.tally } },
            ]);
          }, 2500);
        }, 250);
      case "seen": {
        const row = e.rows.get(f.session);
        if (!row) return;
        const { hand, unread, ...tally } = row.tally;
        row.tally = tally;
        return all(e, { t: "session", row: { id: row.id, tally } });
      }
      case "lost_time":
        for (const id of f.targets) {
          const row = e.rows.get(id);
          const given = f.grant ? row.lost.proposed : 0;
          row.lost = { ...row.lost, granted: row.lost.granted + given, proposed: 0 };
          all(e, { t: "session", row: { id, lost: row.lost } });
          if (f.grant) life(e, row, { end: row.life.end + given, granted: (row.life.granted ?? 0) + given });
          all(e, {
            t: "progress",
            id: f.id,
            session: id,
            kind: "extend",
            stage: "done",
            lms: f.grant ? { state: "accepted", at: Date.now() } : undefined,
            at: Date.now(),
            by: "Bu Rina",
          });
        }
        return;
      case "command": {
        const targets = f.all
          ? seen(e)
              .filter((r) => !["submitted", "terminated", "expired", "stopped", "canceled"].includes(r.life.state))
              .map((r) => r.id)
          : f.targets;
        targets.forEach((id, i) => {
          const row = e.rows.get(id);
          const told = row.life.control.length > 0 && ["pause", "resume", "extend", "terminate", "flag"].includes(f.kind);
          const p = (stage, lms, problem) =>
            all(e, {
              t: "progress",
              id: f.id,
              session: id,
              kind: f.kind,
              stage,
              ...(problem ? { problem } : {}),
              ...(lms ? { lms } : {}),
              at: Date.now(),
              by: "Bu Rina",
            });
          p(f.kind === "note" || f.kind === "flag" ? "done" : "queued", told ? { state: "waiting" } : undefined);
          if (f.kind === "extend" && ["created", "ready", "awaiting", "authorized"].includes(row.life.state)) return;
          if (f.kind === "pause") life(e, row, { state: "paused", left: Math.max(0, row.life.end - Date.now()), reason: f.text });
          if (f.kind === "resume") life(e, row, { state: "active", end: Date.now() + (row.life.left ?? 0), left: undefined });
          if (f.kind === "admit") life(e, row, { state: "authorized" });
          if (row.conn.c !== "online") return;
          setTimeout(
            () => f.kind !== "note" && f.kind !== "flag" && p("delivered", told ? { state: "waiting" } : undefined),
            400 + i * 3,
          );
          setTimeout(
            () => {
              if (told && i % 9 === 5) {
                const problem = "The learning platform did not do it; the attempt is running there.";
                if (f.kind === "pause") life(e, row, { state: "active", left: undefined, reason: problem, by: undefined });
                return p("refused", { state: "refused", status: "running", problem, at: Date.now() }, problem);
              }
              if (f.kind === "extend")
                life(e, row, { end: row.life.end + f.seconds * 1000, granted: (row.life.granted ?? 0) + f.seconds * 1000 });
              if (f.kind === "terminate") life(e, row, { state: "terminated", ended: Date.now() });
              p(
                f.kind === "note" || f.kind === "flag" ? "done" : "seen",
                told ? { state: "accepted", status: "running", at: Date.now() } : undefined,
              );
            },
            1800 + i * 5,
          );
        });
      }
    }
  }

  // Life goes on.
  const roll = dice(99);
  const beat = setInterval(() => {
    const now = Date.now();
    for (const e of exams.values()) {
      if (e.sockets.size === 0 || e.rows.size === 0) continue;
      const here = new Set(seen(e).map((r) => r.id));
      const rows = [...e.rows.values()].filter((r) => here.has(r.id)); // not what seen made of them: it is changed below
      if (rows.length === 0) continue;
      const frames = [];
      for (let i = 0; busy && i < Math.max(1, rows.length / 60); i++) {
        const row = rows[Math.floor(roll() * rows.length)];
        if (row.life.state !== "active" || row.conn.c !== "online") continue;
        const [kind, severity, dur, data] = kinds[Math.floor(roll() * kinds.length)];
        const incident = severity >= 0.3 && roll() < 0.25;
        frames.push({
          t: "signal",
          session: row.id,
          stream: "abcdefabcdefabcdef",
          seq: ++e.seq,
          kind,
          severity,
          ...(incident ? { incident } : {}),
          at: now - dur - 150,
          recv: now,
          ...(dur ? { dur } : {}),
          ...(data ? { data } : {}),
        });
        row.tally = {
          ...row.tally,
          signals: row.tally.signals + 1,
          ...(incident
            ? {
                incidents: row.tally.incidents + 1,
                open: row.tally.open + 1,
                severity: Math.max(row.tally.severity, severity),
                last_kind: kind,
                last_at: now,
              }
            : {}),
        };
        frames.push({ t: "session", row: { id: row.id, tally: row.tally } });
      }
      if (busy && roll() < 0.08) {
        const row = rows[Math.floor(roll() * rows.length)];
        if (row.life.state === "active") {
          const lost = row.conn.c === "lost";
          row.conn = lost
            ? { c: "online", since: now, heard: now, epoch: row.conn.epoch + 1, page: 2 }
            : { ...row.conn, c: "lost", since: now, cause: "student" };
          frames.push({ t: "session", row: { id: row.id, conn: row.conn } });
        }
      }
      frames.push({ t: "pulse", now, online: rows.filter((r) => r.conn.c === "online").length });
      all(e, frames);
    }
  }, 1000);

  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: address.port,
    url: `http://127.0.0.1:${address.port}`,
    exams,
    sockets,
    behave,
    grant,
    close: () =>
      new Promise((resolve) => {
        clearInterval(beat);
        for (const ws of sockets) ws.terminate();
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

// As web/page/timeline.html and report.html have it.
const escaped = (text) => String(text ?? "").replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const iso = (at) => new Date(at).toISOString();
const timelineBody = (
  row,
  entries,
) => `<a class="skip" href="#main">Skip</a><main id="main" class="page page-wide"><header class="row spread">
<div><p class="muted small"><a href="/dashboard">Midterm: Introduction to Statistics</a></p><h1>${row.who.name}</h1><p><span class="pill">Working</span> <span class="muted">Attempt 1</span></p></div>
<nav class="row no-print" aria-label="Actions"><a class="button button-quiet" href="/report">Report</a><a class="button" href="?format=csv">Download CSV</a><button class="button" id="print" type="button">Print</button></nav></header>
<p class="note">Signals are hints for people, never a verdict.</p><div id="chart" class="card" hidden></div><div id="filters" class="row no-print" hidden></div>
<div class="card table-wrap"><table id="timeline"><caption class="sr-only">Timeline</caption><thead><tr>${["Server", "Browser", "What", "Length", "Detail", "Review"].map((h) => `<th scope="col">${h}</th>`).join("")}</tr></thead><tbody>
${entries
  .map(
    (
      e,
    ) => `<tr data-type="${e.type}"${e.incident || e.review ? ` data-incident="true" data-id="${e.id ?? `${e.stream}/${e.seq}`}"` : ""}${e.review ? ` data-review="${e.review.state}" data-version="${e.review.version}"` : ""}>
<td class="numbers"><time datetime="${iso(e.recv ?? e.at)}">${iso(e.recv ?? e.at).slice(11, 19)}</time></td><td class="numbers muted"></td><td>${escaped(e.kind ?? e.cause ?? e.state ?? e.from)}</td><td class="numbers">${e.dur ? `${e.dur / 1000} s` : ""}</td><td><span dir="auto">${escaped(e.text)}</span></td><td class="review">${e.review ? escaped(e.review.state === "none" ? "not reviewed" : e.review.state) : ""}</td></tr>`,
  )
  .join("\n")}
</tbody></table></div></main>`;
const reportBody = (
  rows,
) => `<a class="skip" href="#main">Skip</a><main id="main" class="page page-wide"><header class="row spread"><div><p class="muted small">STAT101</p><h1>Report: Midterm</h1></div>
<nav class="row no-print" aria-label="Actions"><a class="button button-quiet" href="/dashboard">Live</a><a class="button" href="/dashboard/e/report?format=csv">Download CSV</a><button class="button" id="print" type="button">Print</button></nav></header>
<div class="card table-wrap"><table><caption class="sr-only">Students</caption><thead><tr>${["Name", "Attempt", "State", "Severity", "Incidents"].map((h) => `<th scope="col">${h}</th>`).join("")}</tr></thead><tbody>
${rows.map((r) => `<tr><th scope="row"><a href="/timeline"><bdi>${escaped(r.who.name)}</bdi></a></th><td class="numbers">1</td><td>${r.life.state}</td><td><span class="pill">low</span></td><td><span class="numbers">${r.tally.open} / ${r.tally.incidents}</span></td></tr>`).join("\n")}
</tbody></table></div></main>`;

// As web/page/checkin.html has it.
const checkinBody = (
  waiting,
  window,
) => `<a class="skip" href="#main">Skip</a><main id="main" class="page"><form id="checkin-form" class="card stack" method="post" action="/checkin/session-1/start"${window ? ' target="_blank"' : ""}>
<header><p class="muted small">STAT101 · Even semester</p><h1>Midterm: Introduction to Statistics</h1><p class="muted">Attempt 1 · Ayu Wibowo</p></header>
<div id="countdown" class="note" role="timer" hidden></div>
<section class="stack"><h2>What is watched</h2><p>No camera, no microphone, no recording of your screen.</p><ul><li>whether you are connected</li><li>when the quiz page is hidden</li><li>that you copy, cut or paste, and how many characters, not what</li><li>full screen</li><li>more than one screen</li></ul><p>These are hints for people, never a verdict.</p><p>It is kept for up to 400 days.</p><details id="notice-more"><summary>How long exactly, who can read it, and your rights</summary><h3>How long</h3><dl class="kept"><div><dt>90 days</dt><dd>what your browser reports</dd></div><div><dt>400 days</dt><dd>after the last change of your attempt: your name and user id</dd></div></dl><h3>Your rights</h3><p>You may ask for a copy.</p></details><p class="muted small">Privacy: <a href="/policy">your school's privacy notice</a></p></section>
<section class="stack"><h2>System check</h2><ul id="check" class="checks" aria-live="polite"></ul><noscript><p class="note note-warn">Without JavaScript nothing can be checked.</p></noscript></section>
<input type="hidden" name="notice" value="0123456789abcdef">${
  waiting
    ? '<p id="waiting" class="note" role="status">A proctor lets you in.</p><p><button id="start" class="button" type="submit">Look again</button></p>'
    : '<p><label class="row"><input id="consent" type="checkbox" name="consent" value="yes" required> <span>I have read this and agree to it.</span></label></p><p class="row"><button id="start" class="button button-primary" type="submit">Start</button> <a class="button button-quiet" href="/course">Back</a></p>'
}</form></main>`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const arg = (name, fallback) => {
    const i = process.argv.indexOf(`--${name}`);
    return i < 0 ? fallback : Number(process.argv[i + 1]);
  };
  const { url } = await start({ port: arg("port", 8099), students: arg("students", 12), busy: !process.argv.includes("--quiet") });
  console.log(`${url}/dashboard  ${url}/dashboard?students=2000  ${url}/checkin`);
}
