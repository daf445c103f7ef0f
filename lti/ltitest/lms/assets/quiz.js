// The quiz page's own script: the clock, saving, and what Vigil's monitor says.
const config = JSON.parse(document.getElementById("quiz-config").textContent);
const form = document.getElementById("responseform");
const clock = document.getElementById("clock");
const saved = document.getElementById("saved");
const AUTOSAVE = 60000;
const CHECK = 5000;
const PATIENCE = 3000;

let offset = config.now - Date.now();
let end = config.end;
let dirty = false;
let leaving = false;
let expecting = 0;

const frozen = config.state === "paused";
const left = () => Math.max(0, end - (frozen ? config.now : Date.now() + offset));

const show = () => {
  if (!end) {
    clock.textContent = "no limit";
    return;
  }
  const s = Math.ceil(left() / 1000);
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  clock.textContent = (h ? `${h}:` : "") + (h ? two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + `:${two(s % 60)}`;
  clock.parentElement.classList.toggle("soon", s <= 60);
};

const setEnd = (ms) => {
  if (!Number.isFinite(ms) || ms <= 0 || Math.abs(ms - end) < 1000) {
    return;
  }
  end = ms;
  show();
  clock.parentElement.classList.remove("moved");
  void clock.parentElement.offsetWidth; // starts the animation anew
  clock.parentElement.classList.add("moved");
};

const go = (url) => {
  if (!leaving) {
    leaving = true;
    window.location.assign(url);
  }
};

const follow = (answer) => {
  if (Number.isFinite(answer.now)) {
    offset = answer.now - Date.now();
  }
  if (answer.state === "paused" && !frozen) {
    go(config.paused);
  } else if (answer.state === "running" && frozen) {
    go(config.resume);
  } else if (answer.state === "terminated" || answer.state === "complete") {
    go(config.review);
  } else if (answer.end && !frozen) {
    setEnd(answer.end);
  }
};

// Saves this page's answers; false when they could not be saved.
const save = async () => {
  if (!form || config.page < 0) {
    return true;
  }
  const body = new URLSearchParams(new FormData(form));
  dirty = false;
  try {
    const r = await fetch(config.autosave, { method: "POST", body });
    const answer = await r.json();
    saved.textContent = r.ok ? "Saved" : answer.error;
    follow(answer);
    return r.ok;
  } catch {
    dirty = true;
    saved.textContent = "Not saved: the LMS does not answer.";
    return false;
  }
};

const check = async () => {
  try {
    follow(await (await fetch(config.status)).json());
  } catch {
    // The next one may get through.
  }
};

// The monitor may know of a change before the LMS does: asks until the LMS knows it too,
// since going there sooner would only lead back. A later call ends an earlier one.
const expect = async (state) => {
  const mine = ++expecting;
  for (let wait = 200; !leaving && mine === expecting && config.state !== state; wait = Math.min(wait * 1.5, PATIENCE)) {
    await check();
    await new Promise((done) => setTimeout(done, wait));
  }
};

if (form && config.page >= 0) {
  form.addEventListener("input", () => {
    dirty = true;
    saved.textContent = "";
  });
}
form?.addEventListener("submit", () => {
  leaving = true;
});

setInterval(() => {
  show();
  if (end && !frozen && left() === 0 && !leaving) {
    leaving = true;
    if (form) {
      const done = document.createElement("input");
      done.type = "hidden";
      done.name = "finishattempt";
      done.value = "1";
      form.append(done);
      form.submit();
    }
  }
}, 250);
setInterval(() => (dirty && !leaving ? save() : check()), frozen ? CHECK : AUTOSAVE);

// The monitor says these on the page; listening in the capture phase hears them wherever they start.
const on = (name, f) => window.addEventListener(name, f, true);
on("vigil:time", (e) => {
  if (!frozen) {
    // localEnd is by this machine's clock, end by Vigil's.
    setEnd(Number.isFinite(e.detail?.localEnd) ? e.detail.localEnd + offset : Number(e.detail?.end));
  }
});
on("vigil:paused", async () => {
  if (!frozen) {
    await save();
  }
  void expect("paused");
});
on("vigil:resumed", () => expect("running"));
on("vigil:terminated", () => expect("terminated"));

show();
