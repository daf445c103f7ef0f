// The honest hour: ten students who do nothing wrong take a quiz that holds attempts which nobody watches, in a real Moodle, on real
// clocks, with a real `vigil serve`. They turn pages after 5 to 120 seconds; lines break, computers sleep, tabs are hidden. Nobody may
// be held, no page that sent answers may count as unwatched, and Vigil's record may hold nothing against anybody but what they did.
//
// MINUTES (60) says how long, SEED (1) what the dice say, HONEST_OUT names a file for all that was seen, as JSON.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { Honest, beyond, roles } from "./lib/honest.mjs";
import { moodleCli } from "./lib/moodle-site.mjs";
import { cannotRun, connectTool, exported, moodleStage } from "./lib/moodle-stage.mjs";

const minutes = Number(process.env.MINUTES || 60);
const seed = Number(process.env.SEED || 1);
const names = Object.keys(roles);
const pad = (text, n) => String(text).padEnd(n);

test("an honest hour harms nobody", { skip: cannotRun(), timeout: (minutes + 45) * 60_000 }, async () => {
  const stage = await moodleStage({
    people: { teacher: "editingteacher", ...Object.fromEntries(names.map((n) => [n, "student"])) },
    slows: true,
  });
  const students = [];
  const stops = [];
  try {
    await connectTool(stage);
    const { site, php, course, people, server, tag } = stage;
    const quiz = await php("make_quiz", course, "Honest", { timelimit: 60 * (minutes + 40), vigil_unwatched: "hold" }, 12);
    const dashboard = await site.dashboard(await site.logIn(`${tag}-teacher`), quiz);
    const exam = new URL(dashboard.url()).pathname.split("/")[2];

    // Cron, each minute, and what is seen of the verdicts, each in a PHP of its own.
    let going = true;
    const [cron, watcher] = [await moodleCli(process.env.MOODLE_DIR), await moodleCli(process.env.MOODLE_DIR)];
    const [judged, paused] = [{}, {}];
    const background = [
      (async () => {
        while (going) {
          const next = Date.now() + 60_000;
          await cron("cron");
          while (going && Date.now() < next) await new Promise((r) => setTimeout(r, 500));
        }
      })(),
      (async () => {
        while (going) {
          const seen = await watcher("judgements", quiz.quiz, 30);
          Object.assign(judged, seen.judged);
          Object.assign(paused, seen.paused);
        }
      })(),
    ];
    stops.push(async () => {
      going = false;
      await Promise.all(background);
    });

    // They come one after the other, as a class does, and begin to work at once.
    const begin = Date.now();
    const working = [];
    for (const [n, role] of names.entries()) {
      const scale = Math.min(1, minutes / 15);
      const student = new Honest({ name: role, role, id: people[role], seed: 1000 * seed + n, end: Infinity, scale });
      students.push(student);
      await student.enter(site, `${tag}-${role}`, quiz);
      working.push(
        student.work().catch(async (e) => {
          student.problems.push(e.stack);
          console.log(`# ${role}: ${e.stack}`);
          if (process.env.SHOTS) await student.page.screenshot({ path: `${process.env.SHOTS}/honest-${role}.png` }).catch(() => {});
        }),
      );
    }
    console.log(`# all are in after ${Math.round((Date.now() - begin) / 1000)} s; ${minutes} minutes from now on`);
    const end = Date.now() + minutes * 60_000;
    for (const s of students) s.end = end;
    const telling = setInterval(() => {
      const turns = students.map((s) => `${s.role} ${s.did.turns ?? 0}`).join(", ");
      console.log(`# ${Math.round((end - Date.now()) / 1000)} s left; pages turned: ${turns}`);
    }, 120_000);
    stops.push(async () => clearInterval(telling));
    await Promise.all(working);
    await new Promise((r) => setTimeout(r, 5000));
    for (const stop of stops.splice(0)) await stop();

    const posts = await php("posts", quiz.cmid);
    const report = [];
    const records = {};
    for (const s of students) {
      const { session, attempts } = await php("look", quiz.quiz, s.id);
      const logged = (await php("logged_of", quiz.cmid, s.id)).map((e) => e.eventname.replace(/.*\\/, ""));
      const record = await exported(server, exam, s.id);
      records[s.role] = record;
      const mine = Object.values(judged).filter((r) => Number(r.userid) === s.id);
      const verdicts = {};
      for (const r of mine) verdicts[r.verdict] = (verdicts[r.verdict] ?? 0) + 1;
      const { updated = 0, autosaved = 0 } = posts[s.id] ?? {};
      const holds = Object.values(paused).filter((p) => Number(p.userid) === s.id).length + Number(session.heldseconds > 0);
      report.push({
        role: s.role,
        did: s.did,
        posts: updated + autosaved,
        updated,
        autosaved,
        sent: s.posts.length,
        verdicts,
        young: updated + autosaved - mine.length,
        unwatched: logged.filter((e) => e === "attempt_unwatched").length,
        holds: Math.max(holds, logged.filter((e) => e === "attempt_paused").length),
        state: attempts.at(-1)?.state,
        vigil: record.session.state,
        watched: Math.round(record.session.presence_watched_ms / 1000),
        open: Math.round((Date.parse(record.session.ended) - Date.parse(record.session.opened)) / 1000),
        accused: record.accused.map((i) => `${i.incident_kind} ${i.severity} ${i.at} ${Math.round((i.duration_ms ?? 0) / 1000)} s`),
        gaps: record.gaps.map((g) => `${g.cause} ${g.start} ${g.end}`),
        spells: s.spells.map((p) => `${p.kind} ${new Date(p.from).toISOString()} ${Math.round((p.until - p.from) / 1000)} s`),
        beyond: beyond(s, record),
        problems: s.problems,
      });
    }
    console.log(`# Moodle's log and the pages' verdicts, after ${minutes} minutes (seed ${seed}):`);
    console.log(
      `# ${["student", "posts", "watched", "young", "untold", "unwatched", "holds", "incidents", "beyond", "seen"].map((t) => pad(t, 11)).join("")}did`,
    );
    const line = (r) => {
      const un = (r.verdicts.unwatched ?? 0) + (r.verdicts.beside ?? 0);
      const cells = [
        r.role,
        r.posts,
        r.verdicts.watched ?? 0,
        r.young,
        r.verdicts.untold ?? 0,
        un,
        r.holds,
        r.accused.length,
        r.beyond.length,
        `${r.watched}/${r.open}`,
      ];
      console.log(`# ${cells.map((c) => pad(c, 11)).join("")}${JSON.stringify(r.did)}`);
    };
    report.forEach(line);
    const sum = (f) => report.reduce((n, r) => n + f(r), 0);
    const totals = {
      posts: sum((r) => r.posts),
      watched: sum((r) => r.verdicts.watched ?? 0),
      young: sum((r) => r.young),
      untold: sum((r) => r.verdicts.untold ?? 0),
      unwatched: sum((r) => (r.verdicts.unwatched ?? 0) + (r.verdicts.beside ?? 0)),
      holds: sum((r) => r.holds),
      incidents: sum((r) => r.accused.length),
      beyond: sum((r) => r.beyond.length),
    };
    console.log(`# ${JSON.stringify(totals)}`);
    for (const r of report) {
      for (const what of ["accused", "gaps", "problems"]) for (const one of r[what]) console.log(`# ${r.role}: ${what}: ${one}`);
      for (const one of r.beyond) console.log(`# ${r.role}: BEYOND what they did: ${JSON.stringify(one)}`);
      for (const one of r.spells) console.log(`# ${r.role}: truly: ${one}`);
    }
    if (process.env.HONEST_OUT)
      await writeFile(
        process.env.HONEST_OUT,
        JSON.stringify({ minutes, seed, totals, report, judged, paused, posts, records }, null, 1),
      );

    assert.deepEqual(
      report.flatMap((r) => r.problems.map((p) => `${r.role}: ${p}`)),
      [],
      "nothing went wrong with the students themselves",
    );
    assert.deepEqual(Object.values(paused), [], "nobody was held");
    assert.deepEqual(
      [totals.holds, totals.unwatched, sum((r) => r.unwatched)],
      [0, 0, 0],
      "holds, unwatched pages, events of them",
    );
    assert.deepEqual(
      report.flatMap((r) => r.beyond),
      [],
      "nothing beyond what they did",
    );
    for (const r of report) assert.deepEqual([r.state, r.vigil], ["finished", "submitted"], r.role);
    assert.deepEqual(stage.errors, [], "errors on Vigil's pages");
  } catch (e) {
    console.log(`# log of vigil:\n${stage.server.log().slice(-4000)}`);
    throw e;
  } finally {
    for (const stop of stops) await stop().catch(() => {});
    for (const s of students) s.line?.stop();
    await stage.end();
  }
});
